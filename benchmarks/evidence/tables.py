"""The tables of the document, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.evidence.analysis import BASELINE, CONTINUAL, KINDS, Compared, ProbeTest
from sapo_lite.compare.statistics import bounds
from sapo_lite.support.messages import markdown, number, p_value

WHAT = {"earlier": "earlier tasks (change)", "later": "later tasks (change)", "task": "the task itself"}


def correlation_table(tests: Sequence[ProbeTest]) -> str:
    rows = []
    for test in tests:
        pooled, alone = test.pooled, [v for v in test.by_transition if v is not None]
        over = test.over_transitions
        rows.append(
            [
                f"{WHAT[test.what]}, {KINDS[test.kind]} wordings",
                number(pooled.value if pooled else None, sign=True),
                p_value(pooled.p if pooled else None),
                p_value(test.p),
                f"{number(over.mean if over else None, sign=True)} ({bounds(over, 2)})",
                f"{sum(v < 0 for v in alone)} of {len(alone)}",
            ]
        )
    headings = ["loss before training and", "pooled", "p", "p (Holm)"]
    return markdown([*headings, "mean of transitions (95 %)", "negative"], rows)


def transition_table(content: Mapping[str, Any], tests: Sequence[ProbeTest]) -> str:
    headings = ["transition"] + [f"{t.what}, {KINDS[t.kind]}" for t in tests]
    rows = []
    for n, transition in enumerate(content["transitions"]):
        values = [number(test.by_transition[n], sign=True) for test in tests]
        rows.append([transition_name(transition), *values])
    return markdown(headings, rows)


def transition_name(transition: Mapping[str, Any]) -> str:
    """ "seed 0: stars, mood → oldest"."""
    tasks, learned = transition["tasks"], transition["learned"]
    return f"seed {transition['seed']}: {', '.join(tasks[:learned])} → {tasks[learned]}"


def continual_table(found: Sequence[Compared], kind: str) -> str:
    """A row for each strategy on each adapter, three metrics beside each other."""
    of_kind = [c for c in found if c.kind == kind]
    ways = dict.fromkeys((c.adapter, c.strategy) for c in of_kind)
    headings = ["strategy, adapter"]
    metrics = [metric for metric in CONTINUAL if any(c.metric == metric for c in of_kind)]
    for metric in metrics:
        headings += [metric.upper(), f"to {BASELINE} (95 %; above)"]
    rows = []
    for adapter, strategy in ways:
        row = [f"{strategy}, {adapter}"]
        for metric in metrics:
            (one,) = (c for c in of_kind if (c.adapter, c.strategy, c.metric) == (adapter, strategy, metric))
            row += [f"{one.over_seeds.mean:.1f} ({number(one.over_seeds.deviation, 1)})", _difference(one)]
        rows.append(row)
    return markdown(headings, rows)


def _difference(one: Compared) -> str:
    if one.difference is None:
        return ""
    mark = "*" if one.p is not None and one.p < 0.05 else ""
    within = f"{bounds(one.difference)}; {one.higher} of {one.difference.n}"
    return f"{number(one.difference.mean, 1, sign=True)}{mark} ({within})"


def best_known(content: Mapping[str, Any]) -> str:
    """How often a strategy chose the original instruction: then it is the same as the baseline."""
    lines = []
    for strategy in dict.fromkeys(c["strategy"] for c in content["cells"]):
        chosen = [n for c in content["cells"] if c["strategy"] == strategy for n in c["chosen"].values()]
        lines.append([strategy, f"{sum(n == 0 for n in chosen)} of {len(chosen)}"])
    table = markdown(["strategy", "tasks whose wording to be tested with is the original"], lines)
    return f"How often the wording of a task was its original one, over all runs:\n\n{table}"
