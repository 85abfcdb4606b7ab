"""From raw results to the numbers that the document reports: tests on probes, differences of sequences."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sapo_lite.compare.findings import Finding, findings, grouped
from sapo_lite.compare.read import Run
from sapo_lite.compare.statistics import Interval, holm, mean_interval
from sapo_lite.evaluation.continual import FORMULAS
from sapo_lite.evaluation.metrics import PUBLISHED_METRIC as METRIC
from sapo_lite.probe.correlation import Correlation, Group, pooled, rank_correlation

KINDS = {"chosen": "own", "original": "original", "unseen": "unseen"}
_SEED = 0  # of the permutations

# (what, kind of prompt) of the tests on probes. Earlier and later tasks were only learned with the original
# instruction, so their "chosen" is the original; only the probed task has three kinds.
OUTCOMES = (
    ("earlier", "chosen"),
    ("earlier", "unseen"),
    ("later", "chosen"),
    ("later", "unseen"),
    ("task", "chosen"),
    ("task", "original"),
    ("task", "unseen"),
)


@dataclass(frozen=True)
class ProbeTest:
    """Loss before the update against one outcome after it.

    by_transition: rank correlation of each; None if loss or outcome is the same for all candidates, or if
    there are no such tasks
    pooled: over all transitions, by ranks within them; its p-value is not adjusted, `p` is (Holm)
    over_transitions: the mean of `by_transition`, with transitions as units
    """

    what: str
    kind: str
    by_transition: list[float | None]
    pooled: Correlation | None
    p: float | None
    over_transitions: Interval | None


def outcome(transition: Mapping[str, Any], row: Mapping[str, Any], what: str, kind: str) -> float | None:
    """Outcome in percent: the task's own score, or the mean change of the score on earlier or later tasks."""
    learned, after, before = transition["learned"], row["scores"][kind], transition["before"][kind]
    if what == "task":
        score: float = after[learned][METRIC]
        return score
    columns = range(learned) if what == "earlier" else range(learned + 1, len(after))
    changes = [after[j][METRIC] - before[j][METRIC] for j in columns]
    return math.fsum(changes) / len(changes) if changes else None


def pairs(transition: Mapping[str, Any], what: str, kind: str) -> tuple[list[float], list[float]]:
    """(losses, outcomes) of all candidates; empty if there are no such tasks."""
    found = [(row["loss"], outcome(transition, row, what, kind)) for row in transition["rows"]]
    # Sums of floats in other orders must not break ties.
    kept = [(loss, round(value, 6)) for loss, value in found if value is not None]
    return [loss for loss, _ in kept], [value for _, value in kept]


def probe_tests(content: Mapping[str, Any]) -> list[ProbeTest]:
    """All tests on probes, with p adjusted for all of them (Holm)."""
    transitions, permutations = content["transitions"], content["permutations"]
    found = []
    for what, kind in OUTCOMES:
        groups = [pairs(transition, what, kind) for transition in transitions]
        alone = [rank_correlation(x, y) if x else None for x, y in groups]
        prompts = [Group(x, y, range(len(x)), n) for n, (x, y) in enumerate(groups) if x]
        together = pooled(prompts, permutations, seed=_SEED)
        measured = [value for value in alone if value is not None]
        found.append((what, kind, alone, together, mean_interval(measured) if measured else None))
    adjusted = iter(holm([test.p for *_, test, _ in found if test and test.p is not None]))
    return [
        ProbeTest(what, kind, alone, test, next(adjusted) if test else None, over)
        for what, kind, alone, test, over in found
    ]


def findings_by_kind(content: Mapping[str, Any]) -> dict[str, list[Finding]]:
    """Differences of all runs to the baseline, by kind of prompt; p is adjusted for all kinds together."""
    groups = grouped([_run(content, cell) for cell in content["cells"]])
    found = {kind: findings(groups, kind) for kind in KINDS}
    raw = [one.difference.p for of_kind in found.values() for one in of_kind if one.difference]
    adjusted = iter(holm([p for p in raw if p is not None]))
    return {
        kind: [replace(one, p=None if one.p is None else next(adjusted)) for one in of_kind]
        for kind, of_kind in found.items()
    }


def _run(content: Mapping[str, Any], cell: Mapping[str, Any]) -> Run:
    """The recorded part of a run."""
    own = {
        "seed": cell["seed"],
        "sequence.draw": cell["seed"],
        "sequence.tasks": cell["tasks"],
        "prompt.strategy": cell["strategy"],
        "adapter.method": cell["adapter"],
    }
    # Tasks that are not learned yet have only the original instruction.
    values = {
        kind: {m: by_metric[METRIC][m.lower()] for m in FORMULAS if (kind, m) != ("chosen", "FWT")}
        for kind, by_metric in cell["metrics"].items()
    }
    return Run(
        path=Path("{strategy}-{adapter}-{seed}".format(**cell)),
        name=content["recipe"],
        settings={**content["settings"], **own},
        data=dict.fromkeys(cell["tasks"], ""),
        inputs={},
        task_metrics=dict.fromkeys(cell["tasks"], METRIC),
        candidates="",
        values=values,
        seconds={},
        seconds_alone=0.0,
        peak_memory={},
        command=cell["command"],
    )
