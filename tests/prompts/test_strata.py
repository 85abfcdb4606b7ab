"""Order of a race: every kind of answer is in the first round, and weighted means are those of the task."""

import math
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.selection.rare_labels import RARE, simulate
from sapo_lite.prompts.losses import CandidateLoss, comparable_loss, excess
from sapo_lite.prompts.racing import race
from sapo_lite.prompts.strata import MOST, strata, stratified_order, weights

kinds = st.lists(st.integers(0, MOST - 1), min_size=1, max_size=200)


# --- strata


def test_labels_are_strata_also_those_of_a_single_example() -> None:
    answers = ["yes", "no", "yes", "perhaps", "yes", "no"]
    assert strata(answers, [1] * 6) == [0, 1, 0, 2, 0, 1]
    assert len(set(strata([f"label {i % 16}" for i in range(100)], [2] * 100))) == 16


def test_free_answers_are_in_strata_of_similar_length() -> None:
    lengths = random.Random(0).sample(range(1, 101), 100)
    found = strata([f"answer {i}" for i in range(100)], lengths)
    assert set(Counter(found).values()) == {25}
    groups = [[n for n, own in zip(lengths, found, strict=True) if own == stratum] for stratum in range(4)]
    assert all(max(shorter) < min(longer) for shorter, longer in pairwise(groups))


def test_of_many_answers_the_frequent_ones_have_strata_of_their_own() -> None:
    answers = ["none"] * 40 + ["all"] * 7 + [f"answer {i // 2}" for i in range(53)]
    found = strata(answers, [1] * 40 + list(range(60)))
    assert set(found[:40]) == {0}
    assert set(found[40:47]) == {1}
    assert set(found[47:]) == {2, 3, 4, 5}


@given(st.lists(st.text("ab", max_size=4), min_size=1, max_size=200))
def test_there_are_never_more_strata_than_a_first_round_holds_twice(answers: list[str]) -> None:
    found = strata(answers, [len(answer) for answer in answers])
    assert set(found) == set(range(len(set(found))))
    assert len(set(found)) <= MOST


# --- order


@given(kinds, st.integers(0, 3))
def test_a_first_round_holds_two_of_every_stratum_or_all_there_are(found: list[int], seed: int) -> None:
    order = stratified_order(found, seed)
    assert sorted(order) == list(range(len(found)))
    first = Counter(found[position] for position in order[:32])
    assert all(first[stratum] >= min(2, size) for stratum, size in Counter(found).items())


def test_of_few_strata_a_rare_one_is_measured_in_full() -> None:
    found = [0] * 120 + [1] * 125 + [2] * 5
    for seed in range(20):
        assert Counter(found[p] for p in stratified_order(found, seed)[:32])[2] == 5


@pytest.mark.parametrize("measured", [32, 64, 96, 192])
def test_frequent_strata_have_their_shares(measured: int) -> None:
    found = [0] * 100 + [1] * 80 + [2] * 70
    for seed in range(10):
        first = Counter(found[p] for p in stratified_order(found, seed)[:measured])
        assert all(abs(first[i] - measured * size / 250) <= 2 for i, size in Counter(found).items())


@pytest.mark.slow
def test_every_example_of_a_stratum_is_as_likely_to_come_first() -> None:
    found = [0] * 30 + [1] * 6
    came = Counter(stratified_order(found, seed)[p] for seed in range(3000) for p in range(14))
    assert max(came[p] for p in range(30)) < 1.25 * min(came[p] for p in range(30))
    assert {came[p] for p in range(30, 36)} == {3000}


def test_one_stratum_makes_a_simple_random_order() -> None:
    assert stratified_order([4] * 50, 7) == tuple(random.Random(7).sample(range(50), 50))


# --- weights


@given(kinds, st.integers(0, 3))
def test_weights_give_every_stratum_its_share(found: list[int], seed: int) -> None:
    order = stratified_order(found, seed)[:40]
    own = weights(found, order)
    assert sum(own) == pytest.approx(len(order))
    for stratum, size in Counter(found).items():
        share = sum(w for w, position in zip(own, order, strict=True) if found[position] == stratum)
        assert share / len(order) == pytest.approx(size / len(found))


def test_losses_of_a_dropped_candidate_estimate_those_on_all_examples() -> None:
    # Five of 250 examples have a label that costs 6 nats more; all of them are in the first round.
    found = [0] * 245 + [1] * 5
    losses = [1.0] * 245 + [7.0] * 5
    order = stratified_order(found, seed=1)
    start = order[:32]
    partial = CandidateLoss(
        0, tuple(losses[p] for p in start), (2,) * 32, start, 250, weights=weights(found, start)
    )
    whole = CandidateLoss(1, (0.5,) * 250, (2,) * 250, order, 250)
    assert partial.loss == pytest.approx(math.fsum(losses) / 500)
    assert excess(partial, whole) == pytest.approx(math.fsum(losses) / 500 - 0.25)
    assert comparable_loss(partial, whole) == pytest.approx(math.fsum(losses) / 500)


# --- races


@pytest.mark.slow
@pytest.mark.parametrize("deviation", [0.01, 0.2])
@pytest.mark.parametrize("examples", RARE)
def test_a_race_keeps_the_candidate_that_alone_masters_a_rare_label(examples: int, deviation: float) -> None:
    races = simulate(examples, deviation, 60, stratified=True)
    assert (races.lost, races.work < 0.6) == (0.0, True)
    if deviation == 0.01:  # without strata, it is lost where the label is not in the first round
        assert simulate(examples, deviation, 60, stratified=False).lost > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("examples", RARE)
def test_at_most_one_race_in_a_hundred_loses_it(examples: int) -> None:
    assert max(simulate(examples, deviation, 400, stratified=True).lost for deviation in (0.02, 0.1)) <= 0.01


def test_a_race_that_drops_nobody_finds_the_lowest_sum_whatever_the_strata() -> None:
    rng = random.Random(0)
    found = [rng.randrange(5) for _ in range(90)]
    losses = [[rng.expovariate(1) for _ in range(90)] for _ in range(6)]
    result = race(
        range(6), 90, lambda few, places: [[losses[c][p] for p in places] for c in few], seed=0, strata=found
    )
    assert result.winner == min(range(6), key=lambda c: math.fsum(losses[c]))
