"""All numbers of a study that its document reports, each computed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.evidence.analysis.choice import ArgminEffect, IndicatorTest, argmin_effect, indicator_tests
from benchmarks.evidence.analysis.measures import Difference, difference, primary
from benchmarks.evidence.analysis.outcomes import Outcome
from benchmarks.evidence.analysis.paper import InTask, cross_task_tests, in_task_equivalence
from benchmarks.evidence.analysis.probe_tests import RankTest, Setting, by_setting, outcome_tests
from benchmarks.evidence.analysis.study import KINDS, PERMUTATIONS, Study
from benchmarks.evidence.analysis.wordings_effect import (
    CrossedEffects,
    Decomposition,
    crossed_effects,
    decomposition,
)
from sapo_lite.probe.results import ProbeResults

# Pairs of variants, besides SAPO and the baseline, and what their difference is for.
COMPARISONS = (
    ("sapo", "sapo-base", "candidates scored in the current state, less scored once by the base model"),
    ("sapo", "fixed-small", "SAPO, less the original at a learning rate with updates as large as SAPO's"),
    ("sapo-lowlr", "fixed-lowlr", "SAPO, less the original, both at a lower learning rate"),
    ("paft-rows", "paft", "PAFT with a prompt held for rows, less for steps"),
)


@dataclass(frozen=True)
class Numbers:
    """The numbers of one study.

    settings: probes by what they share; the first are the main ones
    tests, effects, indicators: of the main probes, by outcome
    crossed: by kind of item ("pair" or "sequence") and kind of test prompt
    others: of COMPARISONS, whose variants were run
    """

    study: Study
    settings: Mapping[Setting, Sequence[ProbeResults]]
    tests: Mapping[Outcome, RankTest]
    effects: Mapping[Outcome, ArgminEffect]
    indicators: Mapping[Outcome, Mapping[str, IndicatorTest]]
    cross_task: Mapping[str, RankTest]
    in_task: Sequence[InTask]
    primary: Sequence[Difference]
    decomposition: Decomposition | None
    crossed: Mapping[tuple[str, str], CrossedEffects]
    others: Sequence[Difference]

    @property
    def probes(self) -> Sequence[ProbeResults]:
        """The main probes."""
        return next(iter(self.settings.values()), [])


def analysed(study: Study) -> Numbers:
    settings = by_setting(study.probes)
    probes = next(iter(settings.values()), [])
    tests = outcome_tests(probes, PERMUTATIONS)
    effects = {outcome: argmin_effect(probes, outcome) for outcome in tests}
    return Numbers(
        study=study,
        settings=settings,
        tests=tests,
        effects={outcome: effect for outcome, effect in effects.items() if effect},
        indicators={o: indicator_tests(probes, o, PERMUTATIONS) for o in tests if o.measure != "retention"},
        cross_task=cross_task_tests(probes),
        in_task=in_task_equivalence(study),
        primary=primary(study),
        decomposition=decomposition(study, probes),
        crossed=_crossed(study),
        others=_others(study),
    )


def _crossed(study: Study) -> dict[tuple[str, str], CrossedEffects]:
    found = {}
    for what in dict.fromkeys(item.kind for item in study.crossed):
        items = [item for item in study.crossed if item.kind == what]
        for kind in KINDS:
            if effects := crossed_effects(items, kind):
                found[what, kind] = effects
    return found


def _others(study: Study) -> list[Difference]:
    return [
        one
        for variant, other, _ in COMPARISONS
        for adapter in study.adapters
        for kind in KINDS
        for name in ("in-task", "AP", "retention")
        if (one := difference(study, variant, other, adapter, kind, name)) and one.interval
    ]
