"""Which wording does it: that of the new task while it is learned, or those of the old tasks.

`decomposition` takes the difference of two sequences apart with the probes of the same steps;
`crossed_effects` are of the design in which both vary on their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.evidence.analysis.choice import (
    ORIGINAL,
    OverProbes,
    best_place,
    losses,
    over_probes,
)
from benchmarks.evidence.analysis.outcomes import Outcome, candidate_outcomes
from benchmarks.evidence.analysis.study import BASELINE, Crossed, RunRecord, Study
from sapo_lite.probe.results import ProbeResults


@dataclass(frozen=True)
class Decomposition:
    """Change of the earlier tasks' scores in one step of a sequence, own wordings, in points.

    sequences: of `sapo` less that of the baseline, in the runs
    new: of the prompt of lowest loss less that of the original, in the probe of the baseline's state: the
        wording of the new task alone
    rest: `sequences` less `new`: wordings in which the old tasks were learned and are tested, and the state
        that these left
    """

    sequences: OverProbes
    new: OverProbes
    rest: OverProbes


def decomposition(study: Study, probes: Sequence[ProbeResults]) -> Decomposition | None:
    """Over the probes of the baseline's states whose step both runs have; None if there are none."""
    steps: list[tuple[int, float, float]] = []
    for probe in probes:
        ours = study.by_seed("sapo", probe.adapter).get(probe.seed)
        theirs = study.by_seed(BASELINE, probe.adapter).get(probe.seed)
        y = candidate_outcomes(probe, Outcome("earlier", "change", "chosen"))
        if probe.state != BASELINE or ours is None or theirs is None or not y:
            continue
        if not list(ours.tasks) == list(theirs.tasks) == probe.tasks:
            continue
        a, b = _step(ours, probe.learned, "chosen"), _step(theirs, probe.learned, "chosen")
        if a is not None and b is not None:
            steps.append((probe.seed, a - b, y[best_place(probe, losses)] - y[ORIGINAL]))
    sequences = over_probes([(seed, all_of) for seed, all_of, _ in steps])
    new = over_probes([(seed, part) for seed, _, part in steps])
    rest = over_probes([(seed, all_of - part) for seed, all_of, part in steps])
    return Decomposition(sequences, new, rest) if sequences and new and rest else None


def _step(run: RunRecord, learned: int, kind: str) -> float | None:
    """Mean change of the first `learned` tasks when the next one is learned; None without its matrix."""
    r = run.matrix(kind)
    return None if r is None else fmean(r[learned + 1][j] - r[learned][j] for j in range(learned))


def repeats_of_runs(study: Study, probes: Sequence[ProbeResults]) -> tuple[int, int]:
    """(probes whose training with the original gave exactly the scores of the run's next stage, probes that
    have such a run)."""
    same = every = 0
    for probe in probes:
        run = study.by_seed(probe.state, probe.adapter).get(probe.seed)
        if run is None or list(run.tasks) != probe.tasks:
            continue
        training = next(t for t in probe.trainings if (t.candidate, t.order) == (ORIGINAL, 0))
        kinds = [kind for kind in training.scores if run.matrix(kind) is not None]
        every += 1
        same += all(
            list(training.scores[kind].values()) == (run.matrix(kind) or [])[probe.learned + 1]
            for kind in kinds
        )
    return same, every


@dataclass(frozen=True)
class CrossedEffects:
    """Change of the old tasks' scores while the new one is learned, in points, under one kind of test prompt.

    cells: mean by (old wording, new wording)
    new, old: effect of SAPO's wording of the new task, and of the old ones: mean over the other factor
    both: SAPO's wordings of all tasks less the original ones
    """

    cells: dict[tuple[str, str], float]
    new: OverProbes
    old: OverProbes
    both: OverProbes


CELLS = (("original", "original"), ("original", "sapo"), ("sapo", "original"), ("sapo", "sapo"))


def crossed_effects(items: Sequence[Crossed], kind: str) -> CrossedEffects | None:
    """Over all items that have the four cells and the kind of prompt; None without any."""
    found = []
    for item in items:
        changes = {cell: _last_step(item.cells[cell], kind) for cell in CELLS if cell in item.cells}
        kept = {cell: value for cell, value in changes.items() if value is not None}
        if len(kept) == len(CELLS):
            found.append((item.seed, kept))
    new = over_probes([(s, (c[CELLS[1]] - c[CELLS[0]] + c[CELLS[3]] - c[CELLS[2]]) / 2) for s, c in found])
    old = over_probes([(s, (c[CELLS[2]] - c[CELLS[0]] + c[CELLS[3]] - c[CELLS[1]]) / 2) for s, c in found])
    both = over_probes([(s, c[CELLS[3]] - c[CELLS[0]]) for s, c in found])
    if not (new and old and both):
        return None
    return CrossedEffects({cell: fmean(c[cell] for _, c in found) for cell in CELLS}, new, old, both)


def _last_step(run: RunRecord, kind: str) -> float | None:
    """Mean change of all tasks but the last while the last one is learned; None if it was not measured.

    Of a pair, R[1,1] and R[2,1] are enough, which runs have of more kinds than they have matrices.
    """
    last = len(run.tasks) - 1
    if run.matrix(kind) is not None:
        return _step(run, last, kind)
    if last != 1 or kind not in run.kinds:
        return None
    learned, end = run.ends(kind)
    return end[0] - learned[0]
