"""Measures of one run by kind of test prompt, and their paired differences over seeds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from benchmarks.evidence.analysis.study import BASELINE, KINDS, RunRecord, Study
from sapo_lite.compare.statistics import Interval, holm, mean_interval, paired
from sapo_lite.evaluation.continual import continual_metrics

FORMULAS = {
    "in-task": "mean over j of R[j,j]",
    "AP": "mean over j of R[N,j]",
    "BWT": "mean over i=2..N of mean over j<i of (R[i,j] - R[j,j])",
    "retention": "mean over j<N of R[N,j] / R[j,j], of tasks with R[j,j] > 0, in percent",
    "FWT": "mean over i=1..N-1 of mean over j>i of (R[i,j] - R[0,j])",
}
PRIMARY = ("in-task", "AP", "retention")  # in the family of tests; the others are described


def measure(run: RunRecord, kind: str, name: str) -> float | None:
    """A measure of FORMULAS in percent (points for BWT and FWT); None if it is not defined for the run."""
    if kind not in run.kinds:
        return None
    if name in ("BWT", "FWT"):
        r = run.matrix(kind)
        if r is None or (kind, name) == ("chosen", "FWT"):  # tasks not learned yet have no chosen prompt
            return None
        found = continual_metrics(r)
        return found.bwt if name == "BWT" else found.fwt
    learned, end = run.ends(kind)
    if name == "retention":
        shares = [after / before for before, after in list(zip(learned, end, strict=True))[:-1] if before]
        return 100 * fmean(shares) if shares else None
    return fmean(learned if name == "in-task" else end)


def mean_update(run: RunRecord, _kind: str, _name: str) -> float | None:
    """Mean size of the run's updates; None if they were not measured."""
    sizes = [one["update"] for one in run.results.get("updates", {}).values() if one["update"] is not None]
    return fmean(sizes) if sizes else None


Measure = Callable[[RunRecord, str, str], float | None]


@dataclass(frozen=True)
class Difference:
    """A measure of a variant, less that of another on the same adapter and seeds.

    means: of the variant over all its seeds
    interval: paired, seeds as units; None without common seeds
    above: number of common seeds in which it is higher
    p: with Holm's correction over the family of tests; None outside of it
    """

    variant: str
    other: str
    adapter: str
    kind: str
    name: str
    means: Interval
    interval: Interval | None
    above: int
    p: float | None = None


def difference(
    study: Study, variant: str, other: str, adapter: str, kind: str, name: str, of: Measure = measure
) -> Difference | None:
    """None if no run of the variant has the measure."""
    ours = _values(study.by_seed(variant, adapter), kind, name, of)
    theirs = _values(study.by_seed(other, adapter), kind, name, of)
    if not ours:
        return None
    seeds = [seed for seed in ours if seed in theirs]
    found = paired([ours[s] for s in seeds], [theirs[s] for s in seeds]) if seeds else None
    above = sum(ours[seed] > theirs[seed] for seed in seeds)
    means = mean_interval(list(ours.values()))
    return Difference(variant, other, adapter, kind, name, means, found, above)


def _values(runs: Mapping[int, RunRecord], kind: str, name: str, of: Measure) -> dict[int, float]:
    found = {seed: of(run, kind, name) for seed, run in runs.items()}
    return {seed: value for seed, value in sorted(found.items()) if value is not None}


def primary(study: Study) -> list[Difference]:
    """SAPO less the baseline in the primary measures, by kind and adapter, with Holm's correction."""
    found = [
        one
        for adapter in study.adapters
        for kind in KINDS
        for name in PRIMARY
        if (one := difference(study, "sapo", BASELINE, adapter, kind, name)) and one.interval
    ]
    return with_holm(found)


def with_holm(found: list[Difference]) -> list[Difference]:
    """The same with p-values adjusted for all of them."""
    tested = [one for one in found if one.interval and one.interval.p is not None]
    adjusted = holm([one.interval.p for one in tested if one.interval and one.interval.p is not None])
    by_identity = {id(one): p for one, p in zip(tested, adjusted, strict=True)}
    return [replace(one, p=by_identity.get(id(one))) for one in found]
