"""Outcomes of probed candidates: what training with each did to earlier tasks, later ones, and the task."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.evidence.analysis.study import KINDS
from sapo_lite.probe.correlation import Group
from sapo_lite.probe.results import ProbeResults, ProbeTraining

_PLACES = 6  # sums of floats in other orders must not break ties


@dataclass(frozen=True)
class Outcome:
    """A quantity after training with a candidate.

    what: "earlier", "later" or "task"; "watched" for sets that no task of the sequence belongs to
    measure: "change" in points, "retention" in percent (mean of after / before), or "score" in percent
    kind: kind of test prompt
    """

    what: str
    measure: str
    kind: str

    @property
    def label(self) -> str:
        names = {
            "earlier": "earlier tasks",
            "later": "later tasks",
            "task": "the task itself",
            "watched": "watched sets",
        }
        wording = "" if self.what == "watched" else f", {KINDS[self.kind]} wordings"
        return f"{names[self.what]} ({self.measure}){wording}"


_ALL = (
    *(("earlier", measure, kind) for measure in ("change", "retention") for kind in KINDS),
    *(("later", "change", kind) for kind in KINDS),
    *(("task", "score", kind) for kind in KINDS),
    ("watched", "change", "chosen"),
)


def outcomes(probes: Sequence[ProbeResults]) -> list[Outcome]:
    """Outcomes that the probes have. One that equals the one before it in every probe is left out: in a state
    of original instructions, earlier tasks' own wordings are the original ones."""
    found: list[Outcome] = []
    seen: set[tuple[str, str, str]] = set()
    for outcome in (Outcome(*one) for one in _ALL):
        every = [candidate_outcomes(probe, outcome) for probe in probes]
        content = (outcome.what, outcome.measure, repr(every))
        if any(every) and content not in seen:
            found.append(outcome)
            seen.add(content)
    return found


def candidate_outcomes(probe: ProbeResults, outcome: Outcome) -> list[float]:
    """The outcome by candidate, mean over the row orders that all candidates have; empty if there is none."""
    orders = shared_orders(probe)
    by_candidate = []
    for candidate in probe.candidates:
        own = [t for t in probe.trainings if t.candidate == candidate.index and t.order in orders]
        values = [training_outcome(probe, training, outcome) for training in own]
        if not values or any(value is None for value in values):
            return []
        by_candidate.append(round(fmean(value for value in values if value is not None), _PLACES))
    return by_candidate


def shared_orders(probe: ProbeResults) -> set[int]:
    """Row orders in which every candidate was trained."""
    return set.intersection(
        *({t.order for t in probe.trainings if t.candidate == c.index} for c in probe.candidates)
    )


def training_outcome(probe: ProbeResults, training: ProbeTraining, outcome: Outcome) -> float | None:
    """The outcome of one training; None if the probe has no such tasks."""
    if outcome.what == "watched":
        before, after, tasks = probe.watched_before, training.watched, list(training.watched)
    else:
        before, after = probe.before.get(outcome.kind, {}), training.scores.get(outcome.kind, {})
        tasks = {
            "earlier": probe.tasks[: probe.learned],
            "later": probe.tasks[probe.learned + 1 :],
            "task": [probe.task],
        }[outcome.what]
    tasks = [task for task in tasks if task in after and (outcome.measure == "score" or task in before)]
    if outcome.measure == "retention":
        tasks = [task for task in tasks if before[task]]
    if not tasks:
        return None
    if outcome.measure == "score":
        return fmean(after[task] for task in tasks)
    if outcome.measure == "retention":
        return 100 * fmean(after[task] / before[task] for task in tasks)
    return fmean(after[task] - before[task] for task in tasks)


def group(probe: ProbeResults, x: Sequence[float], y: Sequence[float]) -> Group:
    """Pairs of a probe's candidates."""
    return Group(x, y, [candidate.cluster for candidate in probe.candidates], probe.seed)


def loss_groups(probes: Sequence[ProbeResults], outcome: Outcome) -> list[Group]:
    """Losses and outcomes of all candidates, a group for each probe that has the outcome."""
    return [
        group(probe, [candidate.loss for candidate in probe.candidates], y)
        for probe in probes
        if (y := candidate_outcomes(probe, outcome))
    ]
