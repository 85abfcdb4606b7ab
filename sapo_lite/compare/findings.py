"""Findings of a comparison: groups over seeds, paired differences, and which of them are significant."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sapo_lite.compare.read import METRICS, Run, incomparable
from sapo_lite.compare.statistics import Interval, bounds, holm, mean_interval, paired
from sapo_lite.errors import RunFolderError
from sapo_lite.prompts.strategies import STRATEGIES
from sapo_lite.support.messages import as_toml, many, number

LEVEL = 0.05
# Metrics whose differences stand beside that of another one in a sentence.
_BESIDE = {"BWT": ("in-task", "retention")}


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed only.

    settings: further settings in which groups of the comparison differ
    runs: by seed
    """

    strategy: str
    adapter: str
    settings: dict[str, Any]
    runs: dict[int, Run] = field(repr=False)

    @property
    def label(self) -> str:
        name = self.adapter if self.strategy == "-" else f"{self.strategy} on {self.adapter}"
        return f"{name}, {self.details}" if self.settings else name

    @property
    def details(self) -> str:
        return ", ".join(f"{key} = {as_toml(value)}" for key, value in self.settings.items())


def grouped(runs: Sequence[Run]) -> list[Group]:
    """Group runs by strategy, adapter and every other setting that differs. Keeps their order.

    Raises:
        RunFolderError: runs cannot be compared, a line for each; or two runs of one group and seed have
            different results.
    """
    if faults := incomparable(runs):
        raise RunFolderError("These runs cannot be compared:\n  " + "\n  ".join(faults))
    drawn = all(run.settings["sequence.draw"] == run.seed for run in runs)
    own = {"seed", "prompt.strategy", "adapter.method", "evaluation.other_run"}
    own |= {"sequence.draw", "sequence.tasks"} if drawn else set()
    own |= {"rewrite.enabled"} if all(_rewrites_by_strategy(run) for run in runs) else set()
    own |= {"paraphrase.always"} if _fitted_by_group(runs) else set()
    keys = [key for key in dict.fromkeys(key for run in runs for key in run.settings) if key not in own]
    differing = [
        key for key in keys if any(run.settings.get(key) != runs[0].settings.get(key) for run in runs)
    ]
    groups: dict[str, Group] = {}
    for run in runs:
        group = Group(run.strategy, run.adapter, {key: run.settings.get(key) for key in differing}, {})
        other = groups.setdefault(group.label, group).runs.setdefault(run.seed, run)
        if other.values != run.values:
            raise RunFolderError(
                f"{run.path} and {other.path} are both {group.label} with seed {run.seed}, and their results "
                "differ. Name one of them."
            )
    return list(groups.values())


def _fitted_by_group(runs: Sequence[Run]) -> bool:
    """Whether runs of one strategy and adapter agree on `paraphrase.always`, as in a grid, which sets it."""
    found = {(run.strategy, run.adapter, run.settings.get("paraphrase.always")) for run in runs}
    return len(found) == len({(run.strategy, run.adapter) for run in runs})


def _rewrites_by_strategy(run: Run) -> bool:
    """Whether answers are rewritten if and only if the strategy asks for it."""
    strategy = STRATEGIES.get(run.settings["prompt.strategy"])
    return bool(run.settings.get("rewrite.enabled")) == (strategy is not None and strategy.rewrites)


@dataclass(frozen=True)
class Finding:
    """One metric of one group, in percent.

    values: by seed
    over_seeds: mean of the values; None if the group does not have the metric
    baseline: group that this one is compared with; None for the baseline itself
    difference: paired difference to the baseline, on the seeds that both have
    p: p-value of the difference, with Holm's correction over the whole table; None if it was not tested
    """

    group: Group = field(repr=False)
    metric: str
    values: dict[int, float]
    over_seeds: Interval | None
    baseline: Group | None = field(repr=False)
    difference: Interval | None
    p: float | None

    @property
    def significant(self) -> bool:
        return self.p is not None and self.p < LEVEL


def findings(groups: Sequence[Group], kind: str) -> list[Finding]:
    """All metrics of all groups, for one kind of prompt. Holm's correction is over all of these."""
    metrics = [
        m for m in METRICS if any(run.values.get(kind, {}).get(m) is not None for run in _runs(groups))
    ]
    found = []
    for group in groups:
        for metric in metrics:
            values, baseline = _values(group, kind, metric), _baseline(group, groups)
            base = _values(baseline, kind, metric) if baseline else {}
            seeds = [seed for seed in values if seed in base]
            difference = _difference([values[s] for s in seeds], [base[s] for s in seeds])
            over_seeds = mean_interval(list(values.values())) if values else None
            found.append((group, metric, values, over_seeds, baseline, difference))
    p_values = {n: p for n, (*_, d) in enumerate(found) if d is not None and (p := d.p) is not None}
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return [Finding(*one, adjusted.get(n)) for n, one in enumerate(found)]


def _runs(groups: Sequence[Group]) -> Iterator[Run]:
    return (run for group in groups for run in group.runs.values())


def _values(group: Group, kind: str, metric: str) -> dict[int, float]:
    """Values of a metric by seed, without runs that do not have it."""
    found = {seed: run.values.get(kind, {}).get(metric) for seed, run in group.runs.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _baseline(group: Group, groups: Sequence[Group]) -> Group | None:
    """Baseline of a group: the first strategy on the same adapter, if possible with the same settings.

    If there is only one strategy, it is the first group. None for the baseline itself.
    """
    strategies = list(dict.fromkeys(other.strategy for other in groups if other.strategy != "-"))
    if len(strategies) < 2:
        rivals = [groups[0]]
    else:
        rivals = [g for g in groups if (g.strategy, g.adapter) == (strategies[0], group.adapter)]
    alike = [rival for rival in rivals if rival.settings == group.settings]
    found = next(iter([*alike, *rivals]), None)
    return None if found is group else found


def _difference(values: Sequence[float], baseline: Sequence[float]) -> Interval | None:
    """Paired difference over seeds, None without any.

    If all differences are equal, it has no test, so Holm's correction does not count it: their variance is 0,
    so a t test would find them significant however few they are. Unless they are 0 (the same runs under two
    names: nothing to be found), it has no interval either.
    """
    if not values:
        return None
    found = paired(values, baseline)
    if found.deviation != 0:
        return found
    return replace(found, p=None) if found.mean == 0 else replace(found, low=None, high=None, p=None)


def left_out(groups: Sequence[Group], kind: str) -> str:
    """A sentence on the tasks that are not in the retention, over all seeds; empty if all are."""
    counts = {g.label: sum(run.left_out.get(kind, 0) for run in g.runs.values()) for g in groups}
    found = [f"{count} of {label}" for label, count in counts.items() if count]
    return f"Retention leaves out tasks with R[j,j] = 0: {', '.join(found)}." if found else ""


def statement(found: Sequence[Finding]) -> str:
    """The significant differences in one sentence; empty if nothing was compared.

    Beside a difference of BWT are those of in-task and retention: what was hardly learned loses little.
    """
    compared = [one for one in found if one.difference is not None]
    tested = [one for one in compared if one.p is not None]
    if not compared:
        return ""
    if not tested:
        return (
            "Nothing was tested: that takes at least two seeds, with differences that are not all the same."
        )
    corrected = f"p < {LEVEL} after Holm's correction for {many(len(tested), 'comparison')}"
    if holding := [one for one in tested if one.significant]:
        return f"Significant ({corrected}): {'; '.join(_clause(one, compared) for one in holding)}."
    return f"No difference is significant ({corrected})."


def _clause(one: Finding, compared: Sequence[Finding]) -> str:
    assert one.difference is not None
    assert one.baseline is not None
    beside = _BESIDE.get(one.metric, ())
    others = [other for other in compared if other.group is one.group and other.metric in beside]
    more = ", ".join(f"{other.metric} {_distance(other.difference)}" for other in others if other.difference)
    return (
        f"{one.metric} of {one.group.label} {_distance(one.difference)} {one.baseline.label} "
        f"(95 % {bounds(one.difference)}, {many(one.difference.n, 'seed')}{f'; {more}' if more else ''})"
    )


def _distance(difference: Interval) -> str:
    """`13.8 above`"""
    return f"{number(abs(difference.mean), 1)} {'above' if difference.mean > 0 else 'below'}"
