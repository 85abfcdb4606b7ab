"""The document's section on the probe: loss against outcomes, the argmin's effect, noise and mechanism."""

from collections.abc import Iterator
from statistics import fmean

from scipy.stats import rankdata

from benchmarks.evidence.analysis.choice import ORIGINAL, gradient_norms, losses, update_sizes
from benchmarks.evidence.analysis.mechanism import noise, partial_test, plain_test
from benchmarks.evidence.analysis.numbers import Numbers
from benchmarks.evidence.analysis.outcomes import candidate_outcomes
from benchmarks.evidence.analysis.probe_tests import Setting, outcome_tests
from benchmarks.evidence.analysis.study import KINDS, PERMUTATIONS
from benchmarks.evidence.analysis.wordings_effect import repeats_of_runs
from benchmarks.evidence.report.text import RANK_HEADINGS, over_both, rank_cells, rho
from sapo_lite.probe.correlation import rank_correlation
from sapo_lite.support.messages import many, markdown, number


def section(numbers: Numbers, images: str) -> str:
    if not numbers.probes:
        return ""
    parts = [
        *_tests(numbers),
        *_argmin(numbers),
        *_noise(numbers),
        *_mechanism(numbers),
        *_other_settings(numbers),
        images and f"Each point is a prompt, the larger one the original:\n\n{images}",
    ]
    return "\n\n".join(["## Probe", *filter(None, parts)])


def _setting(setting: Setting) -> str:
    recipe, state, adapter, rate = setting
    return f"recipe `{recipe}`, earlier tasks learned by `{state}` on {adapter}, learning rate {rate:g}"


def _tests(numbers: Numbers) -> Iterator[str]:
    setting, probes = next(iter(numbers.settings.items()))
    same, every = repeats_of_runs(numbers.study, probes)
    seeds = sorted({probe.seed for probe in probes})
    repeated = (
        f" With the original instruction a probe is the next stage of a run: all its scores were equal to "
        f"the run's in {same} of {every}."
        if every
        else ""
    )
    yield (
        f"{many(len(probes), 'probe')} over {many(len(seeds), 'seed')} ({_setting(setting)}): from one "
        "state, one more task is learned with each of its candidates, and all tasks are tested." + repeated
    )
    yield (
        "The loss is that before training, on all scoring examples. Negative correlations say that prompts "
        "of lower loss ended with higher scores. Near-equal prompts (a cluster: in the lab those of one core "
        "phrase) are alike in loss and outcome, so prompts are no units. The test permutes the means of "
        f"clusters within each probe ({PERMUTATIONS} times, two-sided); Holm's correction is over all rows "
        "of the table. Within clusters: prompts of one cluster only. Seeds: mean correlation of a seed's "
        "probes, t interval. A relation is *found* where the corrected test and the interval over seeds "
        "agree."
    )
    ranks = [rankdata(losses(probe))[ORIGINAL] for probe in probes]
    yield (
        f"By loss, the original has rank {number(fmean(ranks), 1)} on average of "
        f"{many(len(probes[0].candidates), 'candidate')}, and is the lowest in "
        f"{sum(rank == 1 for rank in ranks)} of {len(ranks)} probes. Outcomes that are the same under two "
        "kinds of test wordings stand once: in a state of original wordings, earlier tasks' own ones are "
        "those."
    )
    rows = [[outcome.label, *rank_cells(test)] for outcome, test in numbers.tests.items()]
    yield markdown(["loss before training and", *RANK_HEADINGS], rows)
    yield "By probe (rank correlation of all prompts; a dash where loss or outcome did not vary):"
    yield _by_probe(numbers)


def _by_probe(numbers: Numbers) -> str:
    wanted = [outcome for outcome in numbers.tests if outcome.measure != "retention"]
    rows = []
    for probe in numbers.probes:
        tasks = probe.tasks
        found = [candidate_outcomes(probe, outcome) for outcome in wanted]
        values = [rank_correlation(losses(probe), y) if y else None for y in found]
        name = f"seed {probe.seed}: {', '.join(tasks[: probe.learned])} → {probe.task}"
        rows.append([name, *map(rho, values)])
    return markdown(["probe", *(f"{one.what}, {KINDS[one.kind]}" for one in wanted)], rows)


def _argmin(numbers: Numbers) -> Iterator[str]:
    yield "### What the prompt of lowest loss does"
    yield (
        "Its outcome less that of the original, of the mean candidate, and of the best one, in points (95 %, "
        "probes as units; then seeds as units). `same`: probes in which it is the original."
    )
    rows = []
    for outcome, effect in numbers.effects.items():
        values = effect.original.values
        counts = f"{sum(v > 0 for v in values)}, {sum(v == 0 for v in values)}, {sum(v < 0 for v in values)}"
        cells = [number(effect.argmin, 1), *over_both(effect.original), counts, str(effect.same)]
        cells += [over_both(effect.mean)[0], over_both(effect.best)[0], f"{number(effect.better, 0)} %"]
        rows.append([outcome.label, *cells])
    headings = ["outcome", "argmin", "to the original", "seeds", "better, equal, worse", "same"]
    yield markdown([*headings, "to the mean", "to the best", "candidates that do better"], rows)


def _noise(numbers: Numbers) -> Iterator[str]:
    found = {outcome: noise(numbers.probes, outcome) for outcome in numbers.tests}
    rows = [
        [
            outcome.label,
            f"{one.pairs} in {one.probes}",
            number(one.deviation, 1),
            rho(one.reliability),
            str(one.orders),
            rho(one.limit),
        ]
        for outcome, one in found.items()
        if one is not None
    ]
    if not rows:
        return
    yield "### The noise of a training"
    yield (
        "The same prompt, trained from the same state with its rows in another order. Deviation: of one "
        "training, in points. Reliability: rank correlation of the two orders within probes. No indicator, "
        "however good, can be expected to correlate more with the outcome than the limit, the root of the "
        "reliability of the mean over the orders that the tests use."
    )
    headings = ["outcome", "candidates, probes", "deviation", "reliability", "orders used", "limit of ρ"]
    yield markdown(headings, rows)


def _mechanism(numbers: Numbers) -> Iterator[str]:
    rows = []
    for outcome in numbers.tests:
        if outcome.what not in ("earlier", "task") or outcome.measure == "retention":
            continue
        for name, quantity in (("update", update_sizes), ("gradient norm", gradient_norms)):
            plain = plain_test(numbers.probes, outcome, quantity, PERMUTATIONS)
            left = partial_test(numbers.probes, outcome, losses, quantity, PERMUTATIONS)
            if plain and left:
                rows.append([f"{outcome.label}: {name} alone", *rank_cells(plain)])
                rows.append([f"{outcome.label}: loss, given the {name}", *rank_cells(left)])
    if not rows:
        return
    # These are no part of a family of tests: neither a corrected p nor a verdict.
    rows = [[*row[:5], *row[6:-1]] for row in rows]
    yield "### Is it the size of the update?"
    yield (
        "Whether low loss means no more than a smaller step: the size of the update (Frobenius norm of the "
        "block's product) and the norm of the gradient at step 0 against the outcome, and what is left of "
        "the loss's correlation once the ranks of either are taken out within each probe. Described, not "
        "tested as findings: p-values are not corrected."
    )
    yield markdown(["", *RANK_HEADINGS[:4], *RANK_HEADINGS[5:-1]], rows)


def _other_settings(numbers: Numbers) -> Iterator[str]:
    others = list(numbers.settings.items())[1:]
    if not others:
        return
    yield "### Other states and learning rates"
    yield "The same test, its correction over each setting's rows by itself:"
    for setting, probes in others:
        rows = [
            [outcome.label, *rank_cells(test)]
            for outcome, test in outcome_tests(probes, PERMUTATIONS).items()
            if outcome.measure != "retention"
        ]
        text = _setting(setting)
        yield f"{text[0].upper()}{text[1:]}, {many(len(probes), 'probe')}:"
        yield markdown(["loss before training and", *RANK_HEADINGS], rows)
