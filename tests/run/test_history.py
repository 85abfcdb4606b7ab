"""history.jsonl: a line for each optimiser step, also of runs that were killed and went on."""

import json
import math
from pathlib import Path

import pytest
from test_resume import kill_when

from sapo_lite.learning.steps import Step
from sapo_lite.run.history import History, HistoryStep, read_history
from small import small_run

KEYS = ["step", "steps", "loss", "penalty", "lr", "grad_norm", "tokens_per_s", "memory_gb", "seconds"]


def step(number: int, gradient_norm: float | None = 0.5) -> Step:
    return Step(number, 9, 1 / number, 0.25, 1e-4 / 3, gradient_norm, tokens=300, seconds=2.0)


def numbers(stage: Path) -> list[int]:
    return [line.step for line in read_history(stage)]


def test_a_step_is_a_line_of_json(tmp_path: Path) -> None:
    history = History(tmp_path / "01-mood")
    for number in (1, 2, 3):
        history.add(step(number))
    lines = (tmp_path / "01-mood/history.jsonl").read_text(encoding="utf-8").splitlines()
    assert [list(json.loads(line)) for line in lines] == [KEYS] * 3
    third = read_history(tmp_path / "01-mood")[2]
    assert third.memory_gb > 0
    assert third == HistoryStep(3, 9, 0.333333, 0.25, 3.33333e-05, 0.5, 150.0, third.memory_gb, 2.0)


@pytest.mark.parametrize("norm", [math.inf, math.nan, None])
def test_a_norm_that_is_no_number_is_null(tmp_path: Path, norm: float | None) -> None:
    History(tmp_path).add(step(1, norm))
    assert "null" in (tmp_path / "history.jsonl").read_text(encoding="utf-8")
    assert read_history(tmp_path)[0].grad_norm is None


def test_a_training_that_goes_on_drops_lines_after_its_checkpoint(tmp_path: Path) -> None:
    killed = History(tmp_path)
    for number in (1, 2, 3, 4, 5):
        killed.add(step(number))
    with (tmp_path / "history.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 6, "ste')  # the kill
    assert numbers(tmp_path) == [1, 2, 3, 4, 5]
    resumed = History(tmp_path)
    assert numbers(tmp_path) == [1, 2, 3, 4, 5]  # nothing is lost before the first step
    resumed.add(step(4))
    resumed.add(step(5))
    assert numbers(tmp_path) == [1, 2, 3, 4, 5]
    again = History(tmp_path)
    again.add(step(1))
    assert numbers(tmp_path) == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["history.jsonl"]


def test_a_stage_without_training_has_none(tmp_path: Path) -> None:
    assert read_history(tmp_path / "00-zero-shot") == []


@pytest.mark.slow
def test_every_stage_that_trains_keeps_its_steps_through_a_kill(tmp_path: Path) -> None:
    """O-LoRA, so that the second stage has a penalty; killed after the second of its four steps."""
    settings = ("training.checkpoint_every=1", "adapter.method=olora", "prompt.strategy=fixed")
    settings = (*settings, "evaluation.prompts=original")
    kill_when(tmp_path, "02-odd_one_out/checkpoints/checkpoint-2/trainer_state.json", settings)
    small_run(tmp_path, *settings)
    assert read_history(tmp_path / "00-zero-shot") == []
    for stage in ("01-oldest", "02-odd_one_out"):
        lines = read_history(tmp_path / stage)
        assert [(line.step, line.steps) for line in lines] == [(number, 4) for number in (1, 2, 3, 4)]
        assert all(line.loss > 0 and line.tokens_per_s > 0 and line.seconds > 0 for line in lines)
        assert all(line.grad_norm for line in lines)
        assert lines[-1].lr < max(line.lr for line in lines)  # cosine
        assert all((line.penalty > 0) == (stage == "02-odd_one_out") for line in lines)
