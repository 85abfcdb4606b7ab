"""Runs that were repeated on another machine, against the study's own."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.evidence.analysis.measures import measure
from benchmarks.evidence.analysis.study import RunRecord, Study


@dataclass(frozen=True)
class Repeat:
    """A repeated run.

    same_choices, choices: tasks with the same chosen candidate, and all
    equal, cells: cells of R that are equal, and all, of every kind of prompt and stage
    largest, deviation: of the differences, in points; the deviation is the root mean square
    ap: AP of the repeat less that of the study, by kind of prompt
    """

    run: RunRecord
    same_choices: int
    choices: int
    equal: int
    cells: int
    largest: float
    deviation: float
    ap: Mapping[str, float]


def repeats(study: Study) -> list[Repeat]:
    found = []
    for run in study.repeats:
        if first := study.by_seed(run.variant, run.adapter).get(run.seed):
            found.append(_compared(run, first))
    return found


def _compared(run: RunRecord, first: RunRecord) -> Repeat:
    differences: list[float] = []
    for kind in run.kinds:
        for ours, theirs in zip(run.matrix(kind) or [], first.matrix(kind) or [], strict=True):
            differences += [a - b for a, b in zip(ours, theirs, strict=True)]
    ap = {}
    for kind in run.kinds:
        here, there = measure(run, kind, "AP"), measure(first, kind, "AP")
        if here is not None and there is not None:
            ap[kind] = here - there
    chosen = [
        (candidate["index"], first.results["chosen"][task]["index"])
        for task, candidate in run.results["chosen"].items()
    ]
    return Repeat(
        run,
        same_choices=sum(a == b for a, b in chosen),
        choices=len(chosen),
        equal=sum(d == 0 for d in differences),
        cells=len(differences),
        largest=max(map(abs, differences), default=0.0),
        deviation=math.sqrt(math.fsum(d * d for d in differences) / max(1, len(differences))),
        ap=ap,
    )
