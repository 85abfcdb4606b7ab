"""Prompt schedules: decisions during training, made once, and the prompts after training."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kept import value_of
from sapo_lite.errors import RunFolderError
from sapo_lite.prompts.choice import Choice
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.schedules import (
    Adversarial,
    AfterTraining,
    RandomSchedule,
    Rescored,
    Rescoring,
    TrainingContext,
)
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.types import Candidate, TrainingRow, TrainingSet
from tiny import candidate_score, make_task

POOL = [Candidate(i, f"Wording {i}.", "file") for i in range(6)]
LOSSES = {"Wording 0.": 0.3, "Wording 1.": 2.0, "Wording 2.": 0.1, "Wording 3.": 2.0, "Wording 4.": 1.0}
LOSSES["Wording 5."] = 1.5


def fails(*_: object) -> float:
    raise AssertionError("this was decided before")


def kept_in(folder: Path) -> TrainingContext:
    """The folder keeps the decisions; nothing is rescored."""
    return TrainingContext(folder / "wordings.json", "wordings", list, 0.0, 1, lambda _: None)


def adversarial(folder: Path, draws: int = 3, hold: int = 4) -> Adversarial:
    return Adversarial(POOL, draws=draws, hold=hold, seed="7/task", training=kept_in(folder))


def recorded(folder: Path) -> list[dict]:
    return value_of(folder / "wordings.json")


# --- adversarial


def test_the_drawn_candidate_of_the_highest_loss_is_held(tmp_path: Path) -> None:
    schedule = adversarial(tmp_path)
    found = [schedule.at(step, LOSSES.__getitem__) for step in range(40)]
    decisions = recorded(tmp_path)
    assert [decision["hold"] for decision in decisions] == list(range(10))
    assert [decision["step"] for decision in decisions] == list(range(0, 40, 4))
    for decision, held in zip(decisions, (found[n : n + 4] for n in range(0, 40, 4)), strict=True):
        losses = [LOSSES[POOL[index].text] for index in decision["drawn"]]
        assert decision["losses"] == losses
        assert len(set(decision["drawn"])) == 3
        # Of the two that tie for the highest loss, the earlier one.
        highest = max(decision["drawn"], key=lambda index: (LOSSES[POOL[index].text], -index))
        assert held == [POOL[highest].text] * 4
    assert len({tuple(decision["drawn"]) for decision in decisions}) > 5


def test_the_model_is_asked_about_those_drawn_alone_and_when_a_hold_begins_alone(tmp_path: Path) -> None:
    asked: list[str] = []
    schedule = adversarial(tmp_path, draws=2)
    for step in range(12):
        schedule.at(step, lambda instruction: (asked.append(instruction), 1.0)[1])
    assert asked == [POOL[index].text for decision in recorded(tmp_path) for index in decision["drawn"]]
    assert len(asked) == 6


def test_a_hold_that_begins_without_rows_of_the_task_is_decided_at_the_first_step_that_has_some(
    tmp_path: Path,
) -> None:
    schedule = adversarial(tmp_path)
    for step in (1, 2, 10):
        schedule.at(step, LOSSES.__getitem__)
    assert [(decision["hold"], decision["step"]) for decision in recorded(tmp_path)] == [(0, 1), (2, 10)]


def test_more_draws_than_candidates_are_all_of_them(tmp_path: Path) -> None:
    schedule = adversarial(tmp_path, draws=50)
    assert [schedule.at(step, LOSSES.__getitem__) for step in (0, 4)] == ["Wording 1."] * 2
    assert recorded(tmp_path)[1]["drawn"] == [0, 1, 2, 3, 4, 5]


def test_a_decision_is_in_the_file_before_it_is_used_and_is_made_once(tmp_path: Path) -> None:
    before = [adversarial(tmp_path).at(step, LOSSES.__getitem__) for step in range(6)]
    assert len(recorded(tmp_path)) == 2
    # Another process goes on from a checkpoint in the middle of the second hold, or before the first.
    for first in (5, 0):
        again = adversarial(tmp_path)
        assert [again.at(step, fails) for step in range(first, 6)] == before[first:]


# --- rescoring


def scores_of(means: Sequence[float], noise: float, examples: int, seed: int) -> list[CandidateLoss]:
    """Losses of 2 tokens an example, whose paired differences scatter by `noise` nats."""
    rng = random.Random(seed)
    return [
        candidate_score(i, [2 * mean + rng.gauss(0, noise) for _ in range(examples)], [2] * examples)
        for i, mean in enumerate(means)
    ]


class Rescorer:
    """A rescored schedule on made-up losses of candidates, one set for each epoch."""

    def __init__(
        self, folder: Path, scores: Sequence[list[CandidateLoss]], resolution: float = 0.0, epochs: int = 1
    ) -> None:
        self.rescorings: list[Rescoring] = []
        self._scores = iter(scores)
        training = TrainingContext(
            *(folder / "wordings.json", "wordings", lambda: next(self._scores)),
            *(resolution, epochs, self.rescorings.append),
        )
        self.schedule = Rescored(POOL, POOL[2], training)

    def epochs(self, count: int) -> list[str]:
        """The instructions in `count` epochs of five steps."""
        texts = [self.schedule.at(step, fails, step // 5) for step in range(5 * count)]
        assert all(len(set(texts[n : n + 5])) == 1 for n in range(0, 5 * count, 5))
        return texts[::5]


CLEARLY_4 = scores_of([2, 2, 1.9, 2, 1, 2], 0.5, 40, seed=1)
CLEARLY_0 = scores_of([0.5, 2, 1.9, 2, 1, 2], 0.5, 40, seed=2)
ALL_ALIKE = scores_of([1] * 6, 0.5, 40, seed=3)


def test_the_first_epoch_has_the_candidate_chosen_before_and_nothing_is_scored(tmp_path: Path) -> None:
    rescorer = Rescorer(tmp_path, [])
    assert rescorer.epochs(1) == ["Wording 2."]
    assert not (tmp_path / "wordings.json").exists()
    assert rescorer.schedule.after_training() == AfterTraining(POOL[2], POOL[2], ())


def test_a_candidate_that_is_clearly_better_now_takes_over_when_an_epoch_begins(tmp_path: Path) -> None:
    rescorer = Rescorer(tmp_path, [CLEARLY_4, ALL_ALIKE, CLEARLY_0])
    assert rescorer.epochs(4) == ["Wording 2.", "Wording 4.", "Wording 4.", "Wording 0."]
    assert [(r.epoch, r.step, r.before, r.after) for r in rescorer.rescorings] == [
        (2, 5, 2, 4),
        (3, 10, 4, 4),
        (4, 15, 4, 0),
    ]
    first = rescorer.rescorings[0]
    assert first.losses == [score.token_mean for score in CLEARLY_4]
    assert first.lowest == 4
    assert first.lead == pytest.approx(CLEARLY_4[2].token_mean - CLEARLY_4[4].token_mean)
    assert rescorer.schedule.after_training() == AfterTraining(POOL[0], POOL[0], tuple(rescorer.rescorings))


def test_decisions_that_a_finished_training_lacks_are_said(tmp_path: Path) -> None:
    rescorer = Rescorer(tmp_path, [CLEARLY_4, ALL_ALIKE], epochs=4)
    rescorer.epochs(3)
    with pytest.raises(RunFolderError, match="found 2 of at least 3"):
        rescorer.schedule.after_training()
    with pytest.raises(RunFolderError, match="found none"):
        adversarial(tmp_path / "other").after_training()


def test_what_a_rescoring_found_is_said_in_a_sentence(tmp_path: Path) -> None:
    rescorer = Rescorer(tmp_path, [CLEARLY_4, ALL_ALIKE, CLEARLY_4])
    rescorer.epochs(4)
    least = min(range(6), key=lambda i: ALL_ALIKE[i].token_mean)
    first = f"{CLEARLY_4[2].token_mean - CLEARLY_4[4].token_mean:.4f} nats per answer token"
    second = f"{ALL_ALIKE[4].token_mean - ALL_ALIKE[least].token_mean:.4f} nats per answer token"
    assert [str(found) for found in rescorer.rescorings] == [
        f"epoch 2: prompt #4 from now on, whose loss is {first} below that of #2",
        f"epoch 3: prompt #4 stays; the loss of #{least} is {second} lower, within noise",
        "epoch 4: prompt #4 still has the lowest loss",
    ]


def test_among_equals_less_than_one_rescoring_in_a_hundred_switches(tmp_path: Path) -> None:
    # Each by itself: all of 400 first rescorings of six equally good candidates.
    switched = 0
    for seed in range(400):
        rescorer = Rescorer(tmp_path, [scores_of([1] * 6, 0.5, 40, seed)])
        rescorer.epochs(2)
        assert rescorer.rescorings[0].lead > 0 or rescorer.rescorings[0].lowest == 2
        switched += rescorer.rescorings[0].after != 2
        (tmp_path / "wordings.json").unlink()
    assert switched <= 4


@pytest.mark.parametrize(("resolution", "after"), [(0.8, 4), (1.0, 2)])
def test_a_lead_that_arithmetic_alone_may_make_is_none(tmp_path: Path, resolution: float, after: int) -> None:
    rescorer = Rescorer(tmp_path, [CLEARLY_4], resolution)
    rescorer.epochs(2)
    assert 0.8 < rescorer.rescorings[0].lead < 1.0
    assert rescorer.rescorings[0].after == after


def test_a_single_example_proves_nothing(tmp_path: Path) -> None:
    rescorer = Rescorer(tmp_path, [scores_of([2, 2, 2, 2, 1, 2], 0.0, 1, seed=0)])
    assert rescorer.epochs(2) == ["Wording 2."] * 2


def test_what_was_found_is_not_measured_again(tmp_path: Path) -> None:
    before = Rescorer(tmp_path, [CLEARLY_4, CLEARLY_0]).epochs(3)
    again = Rescorer(tmp_path, [ALL_ALIKE])
    assert again.epochs(4) == [*before, "Wording 0."]
    assert [found.epoch for found in again.rescorings] == [4]


# --- after training


def test_adversarial_rows_keep_the_last_candidate_and_the_task_is_tested_as_before(tmp_path: Path) -> None:
    schedule = adversarial(tmp_path)
    ended = [schedule.at(step, LOSSES.__getitem__) for step in range(10)][-1]
    # The second as a later process finds it, which did not train.
    for found in (schedule.after_training(), adversarial(tmp_path).after_training()):
        assert found.replayed is not None
        assert found.replayed.text == ended
        assert (found.final, found.rescorings) == (None, ())


def test_rescored_rows_and_the_tests_have_the_candidate_that_it_ended_with(tmp_path: Path) -> None:
    rescorer = Rescorer(tmp_path, [CLEARLY_4])
    rescorer.epochs(2)
    found = rescorer.schedule.after_training()
    assert found == AfterTraining(POOL[4], POOL[4], tuple(rescorer.rescorings))
    assert Rescorer(tmp_path, []).schedule.after_training() == found


def test_a_random_schedule_goes_on_varying() -> None:
    assert RandomSchedule(("Judge.", "Say."), hold=2, seed="1").after_training() == AfterTraining()


@dataclass(frozen=True)
class Settled:
    """A schedule with a fixed result of its training."""

    after: AfterTraining

    def at(self, step: int, loss: Callable[[str], float], epoch: int) -> str:
        return "Judge."

    def after_training(self) -> AfterTraining:
        return self.after


def test_a_learned_task_goes_on_with_what_its_schedule_says_whatever_that_is() -> None:
    task = make_task(3)
    rows = [TrainingRow("Judge.", e.input, e.answer) for e in task.train]

    def learned(after: AfterTraining) -> TrainedTask:
        choice = Choice("mine", POOL[0], *[None] * 7)
        return TrainedTask(TrainingSet(task, rows, Settled(after)), choice, POOL[0]).after_training()

    varying, ended = learned(AfterTraining()), learned(AfterTraining(POOL[3], POOL[5]))
    assert (varying.prompt, varying.training_set) == (
        POOL[0],
        TrainingSet(task, rows, Settled(AfterTraining())),
    )
    assert (ended.prompt, ended.choice.chosen) == (POOL[3], POOL[0])
    assert ended.training_set == TrainingSet(
        task, [TrainingRow("Wording 5.", e.input, e.answer) for e in task.train]
    )


def test_a_task_without_a_schedule_is_after_training_as_it_was() -> None:
    task = make_task(3)
    rows = [TrainingRow("Judge.", e.input, e.answer) for e in task.train]
    found = TrainedTask(TrainingSet(task, rows), Choice("fixed", POOL[0], *[None] * 7), POOL[0])
    assert found.after_training() is found
