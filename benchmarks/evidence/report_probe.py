"""The document's section on the probe: tests of loss against outcome, in tables, sentences and plots."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.evidence.analysis import KINDS, ProbeTest, pairs
from sapo_lite.compare.findings import LEVEL
from sapo_lite.compare.statistics import bounds
from sapo_lite.report.svg import Panel, Points, figure
from sapo_lite.support.messages import many, markdown, number, p_value

_ROWS = {"earlier": "earlier tasks (change)", "later": "later tasks (change)", "task": "the task itself"}
_AXES = {
    "earlier": "change on earlier tasks",
    "later": "change on later tasks",
    "task": "score of the task",
}
_OUTCOMES = {
    "earlier": "scores of earlier tasks after training",
    "later": "scores of later tasks after training",
    "task": "the score of the task itself",
}


def sentences(tests: Sequence[ProbeTest]) -> Iterator[str]:
    """A sentence for each test. It names a direction only if the result is significant."""
    for test in tests:
        subject = f"Loss before training and {_OUTCOMES[test.what]}, {KINDS[test.kind]} wordings"
        if test.pooled is None or test.p is None:
            yield f"{subject}: nothing to correlate; one of them is the same for all prompts."
            continue
        value, groups = test.pooled.value, test.pooled.groups
        p = p_value(test.p) if test.p < 0.0001 else f"= {p_value(test.p)}"
        figures = (
            f"pooled rank correlation {number(value, sign=True)} over {many(groups, 'transition')} and "
            f"{test.pooled.units} prompts, Holm-corrected p {p}"
        )
        if test.p >= LEVEL:
            verdict = "no relation that stands out from chance"
        else:
            verdict = f"prompts of lower loss ended with {'higher' if value < 0 else 'lower'} scores"
        yield f"{subject}: {verdict} ({figures})."


def plots(content: Mapping[str, Any]) -> dict[str, str]:
    """SVG documents by file name: one an outcome, a panel for each transition."""
    panels = {what: list(_scatters(content, what)) for what in _AXES}
    return {f"probe-{what}.svg": figure(drawn, columns=3) for what, drawn in panels.items() if drawn}


def _scatters(content: Mapping[str, Any], what: str) -> Iterator[Panel]:
    """The original instruction is in another colour."""
    for transition in content["transitions"]:
        points = list(zip(*pairs(transition, what, "chosen"), strict=True))
        if points:
            learned = transition["learned"]
            yield Panel(
                f"seed {transition['seed']}, task {learned + 1}: {transition['tasks'][learned]}",
                "loss before training, nats per token",
                _AXES[what],
                [Points(points[1:]), Points(points[:1], colour=1, radius=3.5)],
            )


def section(content: Mapping[str, Any], tests: Sequence[ProbeTest], images: str) -> str:
    transitions = content["transitions"]
    same = sum(t["one_start"] for t in transitions)
    again = sum(t["repeats_the_run"] for t in transitions)
    return f"""
## Probe

{many(len(transitions), "transition")}: some tasks are learned with their original instructions (LoRAInc),
then one more task is learned from that state with each of its candidates. The state is loaded anew for
each: the weights before training were bit-identical for all candidates in {same} of {len(transitions)}
transitions. With the original instruction, the probe repeats an ordinary run: all scores were equal to
that run's in {again} of {len(transitions)}.

The loss is that before training, on the scoring examples, without a race. Outcomes: the mean change of
the scores of earlier tasks (below 0: forgetting) and of later ones (generalisation), and the score of the
task itself. A negative correlation says that prompts of lower loss ended with higher scores, which is
SAPO's claim for earlier and later tasks. Earlier tasks' own wordings are those they were learned with.

{_tests_table(tests)}

The unit of the permutation test is a prompt: outcomes are permuted within each transition
({content["permutations"]} times, two-sided), under the null that loss and outcome have nothing to do with
each other there. It speaks of these tasks and this backbone. Prompts that share their core phrase are
alike in both, so they are fewer than they look, and p-values are smaller than they would be for unlike
ones. The interval has transitions as units (t interval of their correlations); those of one seed share
their earlier tasks. Holm's correction is over the {sum(t.pooled is not None for t in tests)} tests of
this table.

By transition (Spearman; a dash where loss or outcome did not vary, or where there are no such tasks):

{_transitions_table(content, tests)}

Each point is a prompt, the larger one the original instruction:

{images}
"""


def _tests_table(tests: Sequence[ProbeTest]) -> str:
    rows = []
    for test in tests:
        pooled, alone = test.pooled, [v for v in test.by_transition if v is not None]
        over = test.over_transitions
        rows.append(
            [
                f"{_ROWS[test.what]}, {KINDS[test.kind]} wordings",
                number(pooled.value if pooled else None, sign=True),
                p_value(pooled.p if pooled else None),
                p_value(test.p),
                f"{number(over.mean if over else None, sign=True)} ({bounds(over, 2)})",
                f"{sum(v < 0 for v in alone)} of {len(alone)}",
            ]
        )
    headings = ["loss before training and", "pooled", "p", "p (Holm)"]
    return markdown([*headings, "mean of transitions (95 %)", "negative"], rows)


def _transitions_table(content: Mapping[str, Any], tests: Sequence[ProbeTest]) -> str:
    headings = ["transition"] + [f"{test.what}, {KINDS[test.kind]}" for test in tests]
    rows = []
    for n, transition in enumerate(content["transitions"]):
        tasks, learned = transition["tasks"], transition["learned"]
        name = f"seed {transition['seed']}: {', '.join(tasks[:learned])} → {tasks[learned]}"
        rows.append([name, *(number(test.by_transition[n], sign=True) for test in tests)])
    return markdown(headings, rows)
