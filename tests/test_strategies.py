"""What a task is trained on, by strategy."""

from collections import Counter

import pytest

from sapo_lite.recipe import PromptConfig
from sapo_lite.strategies import STRATEGIES, select
from sapo_lite.types import Candidate, Schedule, TrainRow
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


def test_every_strategy_of_a_recipe_exists() -> None:
    assert set(STRATEGIES) == set(PromptConfig.model_json_schema()["properties"]["strategy"]["enum"])


@pytest.mark.parametrize(("strategy", "chosen"), [("fixed", 0), ("sapo", 1), ("worst", 2)])
def test_the_chosen_wording(strategy: str, chosen: int) -> None:
    assert select(strategy, TASK, POOL, SCORES, seed=0).chosen is POOL[chosen]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_chosen_wording_is_on_every_row(strategy: str) -> None:
    selection = select(strategy, TASK, POOL, SCORES, seed=3)
    wording = selection.chosen.text
    assert list(selection.part.rows) == [TrainRow(wording, e.input, e.answer) for e in TASK.train]


def test_a_tie_goes_to_the_earlier_candidate() -> None:
    tied = [candidate_score(i, (1.0,), (2,)) for i in range(4)]
    assert select("sapo", TASK, POOL, tied, seed=0).chosen is POOL[0]
    assert select("worst", TASK, POOL, tied, seed=0).chosen is POOL[0]


def test_what_a_strategy_needs_is_as_declared() -> None:
    needs = {name: (s.needs_candidates, s.needs_scores) for name, s in STRATEGIES.items()}
    assert needs == {
        "fixed": (False, False),
        "sapo": (True, True),
        "worst": (True, True),
        "random": (True, False),
        "paft": (True, False),
        "rewrite": (False, False),
    }
    for name, (candidates, scores) in needs.items():
        select(name, TASK, POOL if candidates else POOL[:1], SCORES if scores else [], seed=0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_with_one_candidate_there_is_nothing_to_score_and_it_is_chosen(strategy: str) -> None:
    # A task without an instruction (Py150) has nothing to paraphrase and is trained as it is.
    assert select(strategy, TASK, POOL[:1], [], seed=0).chosen is POOL[0]


def test_random_is_decided_by_the_seed_and_the_task() -> None:
    drawn = [select("random", TASK, POOL, [], seed=seed).chosen for seed in range(30)]
    assert drawn == [select("random", TASK, POOL, [], seed=seed).chosen for seed in range(30)]
    other = make_task(4)
    object.__setattr__(other, "id", "task1310_amazonreview_rating_classification")
    assert drawn != [select("random", other, POOL, [], seed=seed).chosen for seed in range(30)]


def test_random_draws_every_candidate_about_equally_often_the_original_included() -> None:
    drawn = Counter(select("random", TASK, POOL, [], seed=seed).chosen.index for seed in range(400))
    assert set(drawn) == {0, 1, 2, 3}
    assert all(70 <= count <= 130 for count in drawn.values())  # 100 +- 3.5 deviations, and seeds are fixed


def test_paft_holds_a_wording_for_so_many_steps_and_then_draws_another() -> None:
    schedule = select("paft", TASK, POOL, [], seed=3, hold=4).part.wordings
    assert isinstance(schedule, Schedule)
    wordings = [schedule.at(step) for step in range(400)]
    held = [wordings[start : start + 4] for start in range(0, 400, 4)]
    assert all(len(set(four)) == 1 for four in held)
    drawn = Counter(four[0] for four in held)
    assert set(drawn) == {candidate.text for candidate in POOL}
    assert max(drawn.values()) < 45  # of 100 draws among four; 25 are expected
    # A resumed training asks for a later step first.
    again = select("paft", TASK, POOL, [], seed=3, hold=4).part.wordings
    assert again is not None
    assert again.at(399) == wordings[399]


def test_paft_is_tested_with_the_original_wording() -> None:
    assert select("paft", TASK, POOL, [], seed=3).chosen is POOL[0]


@pytest.mark.parametrize("strategy", [name for name, s in STRATEGIES.items() if not s.varies])
def test_other_strategies_have_no_schedule(strategy: str) -> None:
    assert select(strategy, TASK, POOL, SCORES, seed=3).part.wordings is None
