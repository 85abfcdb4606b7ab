"""What came out of probes: outcomes, tests of loss against them, the choice by loss, a recorded study."""

import io
from dataclasses import replace
from pathlib import Path
from statistics import variance

import pytest
from rich.console import Console

from sapo_lite.probe.clusters import clusters_of
from sapo_lite.probe.effects import Outcome, choice_by_loss, loss_tests, noise, of_candidates, outcomes
from sapo_lite.probe.results import ProbedCandidate, ProbeResults, ProbeTraining
from sapo_lite.report.probe_view import probe_summary
from sapo_lite.support.typed_json import read_plain

RECORDED = Path(__file__).resolve().parents[2] / "benchmarks/evidence/results/lab-first/probes"
EARLIER, LATER, TASK = (Outcome(what, "chosen") for what in ("earlier", "later", "task"))  # type: ignore[arg-type]


def made_up(
    changes: list[tuple[float, float]], losses: list[float], seed: int = 0, clusters: list[int] | None = None
) -> ProbeResults:
    """Tasks a and b, then c is probed, d is later. Change of a, 2 x that of b, by candidate and row order."""
    before = {"a": 50.0, "b": 50.0, "c": 10.0, "d": 20.0}
    trainings = []
    for index, by_order in enumerate(changes):
        for order, change in enumerate(by_order):
            after = {"a": 50.0 + change, "b": 50.0 + change / 2, "c": 90.0, "d": 20.0 - change}
            trainings.append(ProbeTraining(index, order, 1.0, 2.0, {"chosen": after, "original": after}))
    candidates = [
        ProbedCandidate(index, f"text {index}", cluster, loss, None, 5)
        for index, (loss, cluster) in enumerate(
            zip(losses, clusters or list(range(len(losses))), strict=True)
        )
    ]
    return ProbeResults(
        recipe="lab",
        adapter="lorainc",
        state="fixed",
        seed=seed,
        learning_rate=1e-3,
        tasks=["a", "b", "c", "d"],
        learned=2,
        before={"chosen": before, "original": before},
        watched_before={},
        candidates=candidates,
        trainings=trainings,
    )


ONE = made_up([(-20.0, -24.0), (-8.0, -8.0), (-40.0, -44.0)], [2.0, 1.0, 3.0])


def said_of(probes: list[ProbeResults]) -> str:
    shown = io.StringIO()
    Console(file=shown, width=110).print(probe_summary(probes, Path("here")))
    return " ".join(shown.getvalue().split())


def test_outcomes_are_means_over_tasks_and_row_orders() -> None:
    assert of_candidates(ONE, EARLIER) == [-16.5, -6.0, -31.5]  # 0.75 x (22, 8, 42)
    assert of_candidates(ONE, LATER) == [22.0, 8.0, 42.0]
    assert of_candidates(ONE, TASK) == [90.0, 90.0, 90.0]


def test_outcomes_that_are_the_same_under_two_kinds_of_prompt_are_one() -> None:
    assert outcomes([ONE]) == [EARLIER, LATER, TASK]
    last = replace(ONE, tasks=["a", "b", "c"])
    assert outcomes([last]) == [EARLIER, TASK]  # no later task


def test_the_choice_by_loss_is_compared_with_original_mean_and_best() -> None:
    found = choice_by_loss([ONE], EARLIER)
    assert found is not None
    assert (found.original.mean, found.mean.mean, found.best.mean) == (10.5, -6.0 + 18.0, 0.0)
    assert (found.higher, found.equal, found.lower, found.beaten_by) == (1, 0, 0, 0.0)
    assert (found.original.low, found.original.n) == (None, 1)
    worse = made_up([(-20.0,), (-30.0,), (0.0,)], [2.0, 1.0, 3.0], seed=1)  # type: ignore[list-item]
    both = choice_by_loss([ONE, worse], EARLIER)
    assert both is not None
    assert (both.higher, both.lower, both.beaten_by) == (1, 1, 0.5)
    assert both.original.mean == pytest.approx((10.5 - 7.5) / 2)
    assert both.original.low is not None


def test_the_states_of_one_seed_are_one_unit() -> None:
    found = choice_by_loss([ONE, replace(ONE, learned=1)], EARLIER)
    assert found is not None
    assert (found.original.n, found.original.low) == (1, None)


def test_noise_is_between_the_row_orders_of_a_candidate() -> None:
    found = noise([ONE], EARLIER)
    assert found is not None
    spread = [variance([-15.0, -18.0]), 0.0, variance([-30.0, -33.0])]
    assert found.between_orders == pytest.approx((sum(spread) / 3) ** 0.5)
    assert found.between_candidates > found.between_orders
    assert noise([made_up([(-1.0,), (-2.0,)], [1.0, 2.0])], EARLIER) is None  # type: ignore[list-item]


def test_a_relation_is_named_only_if_clusters_and_seeds_agree() -> None:
    changes = [(-1.0 * n, -1.0 * n) for n in range(9)]
    swapped = [*changes[:7], changes[8], changes[7]]
    probes = [
        made_up(swapped if seed == 2 else changes, [0.1 * n for n in range(9)], seed) for seed in range(3)
    ]
    text = said_of(probes)
    assert "change of earlier tasks, own wordings: candidates of lower loss ended higher." in text
    assert "change of later tasks, own wordings: candidates of lower loss ended lower." in text
    assert "own wordings: nothing to correlate; one of them is the same" in text
    upside_down = made_up(changes[::-1], [0.1 * n for n in range(9)], 3)
    divided = said_of([*probes, upside_down])
    assert "the test over clusters finds a relation, the interval over seeds does not" in divided


def test_near_equal_candidates_do_not_make_a_relation() -> None:
    changes = [(-1.0 * n, -1.0 * n) for n in range(12)]
    losses = [0.1 * n for n in range(12)]
    probes = [made_up(changes, losses, seed, [n // 6 for n in range(12)]) for seed in range(2)]
    assert "Loss and change of earlier tasks, own wordings: no relation was found." in said_of(probes)


def test_a_single_seed_has_no_interval() -> None:
    changes = [(-1.0 * n, -1.0 * n) for n in range(9)]
    text = said_of([made_up(changes, [0.1 * n for n in range(9)])])
    assert "This is a single seed: it has no interval, and says nothing of other seeds." in text
    assert "candidates of lower loss ended higher in this seed; other seeds are needed" in text


def test_a_single_row_order_has_no_noise() -> None:
    text = said_of([made_up([(-1.0,), (-2.0,)], [1.0, 2.0])])  # type: ignore[list-item]
    assert "how much of a difference is the noise of a training is not known (--orders 2)" in text


@pytest.mark.slow
def test_the_recorded_study_has_its_relation_between_core_phrases_only() -> None:
    """The first study of benchmarks/evidence: 378 candidates in 18 states of 6 seeds."""
    probes = [
        read_plain(path, ProbeResults, version="schema_version") for path in sorted(RECORDED.glob("*.json"))
    ]
    assert (len(probes), sum(len(probe.candidates) for probe in probes)) == (18, 378)
    for probe in probes:
        texts = [candidate.text for candidate in probe.candidates]
        assert clusters_of(texts) == [candidate.cluster for candidate in probe.candidates]
    tests = {(test.outcome.what, test.outcome.kind): test for test in loss_tests(probes, 20_000)}
    # prompts, clusters, p of clusters, within clusters, mean of seeds, its bounds
    expected = {
        ("earlier", "chosen"): (-0.35, -0.36, 0.0001, -0.03, -0.36, -0.71, 0.00),
        ("earlier", "unseen"): (-0.37, -0.37, 0.00005, -0.12, -0.37, -0.72, -0.02),
        ("later", "chosen"): (-0.15, -0.06, 0.54, -0.14, -0.12, -0.37, 0.13),
        ("later", "unseen"): (-0.20, -0.15, 0.11, -0.10, -0.17, -0.39, 0.04),
        ("task", "chosen"): (-0.24, -0.35, 0.0004, -0.20, -0.21, -0.61, 0.19),
    }
    for key, (prompts, clusters, p, within, mean, low, high) in expected.items():
        test = tests[key]
        assert test.prompts
        assert test.clusters
        assert test.within
        assert test.seeds
        assert test.prompts.value == pytest.approx(prompts, abs=0.006)
        assert test.clusters.value == pytest.approx(clusters, abs=0.006)
        assert test.clusters.p == pytest.approx(p, rel=0.05, abs=0.0001)
        assert test.within.value == pytest.approx(within, abs=0.006)
        assert (test.seeds.mean, test.seeds.low, test.seeds.high) == pytest.approx(
            (mean, low, high), abs=0.006
        )
        assert test.seeds.n == 6
