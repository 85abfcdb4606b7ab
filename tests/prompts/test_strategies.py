"""Training set of a task, by strategy."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sapo_lite.prompts.indicators import CandidateValue
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.schedules import Adversarial, RandomSchedule, Rescored, TrainingContext
from sapo_lite.prompts.strategies import STRATEGIES, Selection, select, strategy_of, variants
from sapo_lite.prompts.strategy import Strategy
from sapo_lite.recipe import PromptConfig
from sapo_lite.types import Candidate, TrainingRow
from tiny import candidate_score, make_task

TASK = make_task(4)
POOL = [
    Candidate(0, TASK.instruction, "original"),
    *(Candidate(i, f"Wording {i}.", "file") for i in (1, 2, 3)),
]
# Token means 2.0, 0.5, 3.0, 0.5.
SCORES = [
    candidate_score(0, (4.0, 4.0), (2, 2)),
    candidate_score(1, (1.0, 1.0), (2, 2)),
    candidate_score(2, (9.0, 3.0), (2, 2)),
    candidate_score(3, (2.0, 0.0), (2, 2)),
]
# Values of an indicator; the second and the fourth are equal.
VALUES = [CandidateValue(index, value) for index, value in enumerate((40.0, 75.0, 12.5, 75.0))]
# Every strategy and every variant, as the section `prompt` asks for it.
SETTINGS: dict[str, dict[str, Any]] = {
    "fixed": {},
    "sapo": {},
    "sapo, top_k": {"top_k": 2},
    "sapo, rescore": {"rescore": "epoch"},
    "sapo, accuracy": {"indicator": "accuracy"},
    "sapo, length": {"indicator": "length"},
    "worst": {},
    "worst, accuracy": {"indicator": "accuracy"},
    "worst, length": {"indicator": "length"},
    "random": {},
    "paft": {},
    "paft, importance": {"sampling": "importance"},
    "paft, adversarial": {"sampling": "adversarial"},
    "rewrite": {},
}


def config(name: str, **settings: Any) -> PromptConfig:
    return PromptConfig(strategy=name.partition(",")[0], **{**SETTINGS[name], **settings})


def not_asked() -> list[CandidateLoss]:
    raise AssertionError("no decision was expected")


# For schedules that measure losses; no test here makes them do so.
LATER = TrainingContext(Path("not-there.json"), "wordings", not_asked, 0.0, 1, lambda _: None)


def chosen_by(
    name: str,
    candidates: list[Candidate] = POOL,
    scores: list[CandidateLoss] = SCORES,
    seed: int = 0,
    **settings: Any,
) -> Selection:
    prompt = config(name, **settings)
    return select(prompt, TASK, candidates, scores, VALUES, seed=seed, training=LATER)


def schedule_of(name: str, **settings: Any) -> RandomSchedule:
    schedule = chosen_by(name, seed=3, **settings).training_set.schedule
    assert isinstance(schedule, RandomSchedule)
    return schedule


def drawn(schedule: RandomSchedule, holds: int) -> Counter[str]:
    return Counter(schedule.at(hold * schedule.hold) for hold in range(holds))


def strategy(name: str) -> Strategy:
    return strategy_of(config(name).model_dump())


def test_every_strategy_and_every_variant_is_asked_for_by_a_recipe() -> None:
    entered = [*STRATEGIES.values(), *(variant.strategy for variant in variants())]
    asked_for = [strategy(name) for name in SETTINGS]
    assert sorted(map(id, asked_for)) == sorted(map(id, entered))
    assert all(strategy(name) is STRATEGIES[name] for name in STRATEGIES)


def test_a_number_above_that_of_a_variant_asks_for_it_too() -> None:
    assert strategy_of(config("sapo", top_k=5).model_dump()) is strategy("sapo, top_k")


def test_every_strategy_says_in_a_phrase_what_it_does() -> None:
    phrases = [strategy(name).description for name in SETTINGS]
    assert all(phrase and phrase[0].islower() and phrase[-1] != "." for phrase in phrases)
    assert len(set(phrases)) == len(phrases)


def test_settings_of_a_strategy_are_keys_of_the_section() -> None:
    own = [key for name in SETTINGS for key in strategy(name).settings]
    switches = [variant.setting for variant in variants()]
    assert {*own, *switches} <= set(PromptConfig.model_fields)
    assert len({(name, key) for name in SETTINGS for key in strategy(name).settings}) == len(own)


@pytest.mark.parametrize(
    ("strategy", "chosen"),
    [
        ("fixed", 0),
        ("sapo", 1),
        ("worst", 2),
        ("sapo, top_k", 1),
        ("sapo, rescore", 1),
        ("sapo, accuracy", 1),
        ("sapo, length", 2),
        ("worst, accuracy", 2),
        ("worst, length", 1),
    ],
)
def test_the_chosen_candidate(strategy: str, chosen: int) -> None:
    assert chosen_by(strategy).chosen is POOL[chosen]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_chosen_candidate_is_on_every_row(name: str) -> None:
    selection = chosen_by(name, seed=3)
    instruction = selection.chosen.text
    assert list(selection.training_set.rows) == [
        TrainingRow(instruction, e.input, e.answer) for e in TASK.train
    ]


def test_a_tie_goes_to_the_earlier_candidate() -> None:
    tied = [candidate_score(i, (1.0,), (2,)) for i in range(4)]
    assert chosen_by("sapo", scores=tied).chosen is POOL[0]
    assert chosen_by("worst", scores=tied).chosen is POOL[0]


def test_what_a_strategy_needs_is_as_declared() -> None:
    found = {name: strategy(name) for name in SETTINGS}
    needs = {name: (s.needs_candidates, s.needs_losses, s.races) for name, s in found.items()}
    assert needs == {
        "fixed": (False, False, False),
        "sapo": (True, True, True),
        "sapo, top_k": (True, True, False),
        "sapo, rescore": (True, True, True),
        "sapo, accuracy": (True, False, False),
        "sapo, length": (True, False, False),
        "worst": (True, True, False),
        "worst, accuracy": (True, False, False),
        "worst, length": (True, False, False),
        "random": (True, False, False),
        "paft": (True, False, False),
        "paft, importance": (True, True, False),
        "paft, adversarial": (True, False, False),
        "rewrite": (False, False, False),
    }
    for name, (candidates, scores, _) in needs.items():
        chosen_by(name, POOL if candidates else POOL[:1], SCORES if scores else [])


@pytest.mark.parametrize("name", SETTINGS)
def test_with_one_candidate_there_is_nothing_to_score_and_it_is_chosen(name: str) -> None:
    # A task without an instruction (Py150) has nothing to paraphrase and is trained as it is.
    selection = chosen_by(name, POOL[:1], [])
    assert selection.chosen is POOL[0]
    assert selection.training_set.schedule is None


def test_random_is_decided_by_the_seed_and_the_task() -> None:
    drawn = [chosen_by("random", scores=[], seed=seed).chosen for seed in range(30)]
    assert drawn == [chosen_by("random", scores=[], seed=seed).chosen for seed in range(30)]
    other = make_task(4)
    object.__setattr__(other, "id", "task1310_amazonreview_rating_classification")
    assert drawn != [
        select(config("random"), other, POOL, [], seed=seed, training=LATER).chosen for seed in range(30)
    ]


def test_random_draws_every_candidate_about_equally_often_the_original_included() -> None:
    drawn = Counter(chosen_by("random", scores=[], seed=seed).chosen.index for seed in range(400))
    assert set(drawn) == {0, 1, 2, 3}
    assert all(70 <= count <= 130 for count in drawn.values())  # 100 +- 3.5 deviations, and seeds are fixed


# --- schedules


@pytest.mark.parametrize("strategy", ["paft", "paft, importance", "sapo, top_k"])
def test_a_candidate_is_held_for_so_many_steps_and_then_another_is_drawn(strategy: str) -> None:
    schedule = schedule_of(strategy, hold=3)
    prompts = [schedule.at(step) for step in range(300)]
    held = [prompts[start : start + 3] for start in range(0, 300, 3)]
    assert all(len(set(three)) == 1 for three in held)
    assert len({three[0] for three in held}) > 1
    # A resumed training asks for a later step first.
    assert schedule_of(strategy, hold=3).at(299) == prompts[299]


@pytest.mark.parametrize("strategy", ["paft", "paft, importance", "sapo, top_k"])
@pytest.mark.parametrize("hold", [1, 3])
def test_a_candidate_is_held_for_so_many_rows_in_the_order_of_the_file(strategy: str, hold: int) -> None:
    task = make_task(60)
    found = select(
        config(strategy, hold=hold, hold_unit="rows"), task, POOL, SCORES, seed=3, training=LATER
    ).training_set
    assert found.schedule is None  # a row keeps its candidate in all epochs
    texts = [row.instruction for row in found.rows]
    assert [(row.input, row.answer) for row in found.rows] == [(e.input, e.answer) for e in task.train]
    # The draws of the steps, by rows.
    steps = schedule_of(strategy, hold=hold)
    assert texts == [steps.at(number) for number in range(60)]
    assert all(len(set(texts[n : n + hold])) == 1 for n in range(0, 60, hold))
    assert len(set(texts)) > 1


def test_paft_draws_every_candidate_about_equally_often_the_original_included() -> None:
    counts = drawn(schedule_of("paft"), 400)
    assert set(counts) == {candidate.text for candidate in POOL}
    assert all(70 <= count <= 130 for count in counts.values())


def test_importance_draws_in_proportion_to_exp_of_the_negative_loss_by_the_temperature() -> None:
    # exp(-2/0.5), exp(-0.5/0.5), exp(-3/0.5), exp(-0.5/0.5) over their sum, 0.75655.
    expected = [0.02421, 0.48626, 0.00328, 0.48626]
    schedule = schedule_of("paft, importance", temperature=0.5)
    assert schedule.candidates == tuple(candidate.text for candidate in POOL)
    assert schedule.weights is not None
    found = [weight / sum(schedule.weights) for weight in schedule.weights]
    assert found == pytest.approx(expected, abs=5e-6)
    counts = drawn(schedule, 4000)
    for candidate, share in zip(POOL, expected, strict=True):
        assert abs(counts[candidate.text] - 4000 * share) < 3.5 * math.sqrt(4000 * share * (1 - share))


def test_importance_goes_from_the_lowest_loss_alone_to_all_alike_as_the_temperature_rises() -> None:
    scores = [candidate_score(i, (loss,), (1,)) for i, loss in enumerate((2.0, 0.5, 3.0, 0.6))]
    assert set(drawn(schedule_of("paft, importance", scores=scores, temperature=1e-3), 100)) == {"Wording 1."}
    counts = drawn(schedule_of("paft, importance", scores=scores, temperature=1e6), 400)
    assert all(70 <= counts[candidate.text] <= 130 for candidate in POOL)


def test_losses_too_far_apart_for_floating_point_leave_something_to_draw() -> None:
    scores = [candidate_score(i, (loss,), (1,)) for i, loss in enumerate((5000.0, 4000.0, 9000.0, 4000.0))]
    assert set(drawn(schedule_of("paft, importance", scores=scores), 50)) == {"Wording 1.", "Wording 3."}


@pytest.mark.parametrize(
    ("k", "expected"), [(2, {1, 3}), (3, {0, 1, 3}), (4, {0, 1, 2, 3}), (9, {0, 1, 2, 3})]
)
def test_the_k_of_the_lowest_losses_are_drawn_about_equally_often(k: int, expected: set[int]) -> None:
    counts = drawn(schedule_of("sapo, top_k", top_k=k), 400)
    assert set(counts) == {POOL[index].text for index in expected}
    share = 400 / len(expected)
    assert all(abs(count - share) < 3.5 * math.sqrt(share) for count in counts.values())


def test_paft_is_tested_with_the_original_instruction() -> None:
    for name in ("paft", "paft, importance", "paft, adversarial"):
        assert chosen_by(name, seed=3).chosen is POOL[0]


@pytest.mark.parametrize("strategy", ["fixed", "sapo", "worst", "random"])
def test_other_strategies_have_one_instruction(strategy: str) -> None:
    assert chosen_by(strategy, seed=3).training_set.schedule is None


def test_adversarial_and_rescored_schedules_measure_losses_later() -> None:
    assert isinstance(chosen_by("paft, adversarial").training_set.schedule, Adversarial)
    assert isinstance(chosen_by("sapo, rescore").training_set.schedule, Rescored)
