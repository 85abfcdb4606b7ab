"""Trackers: the curves of each training and R after each stage, and no change of the run's identity."""

import os
import re
from pathlib import Path

import pytest

from sapo_lite.errors import RecipeError
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.learning.tracking import Tracking
from sapo_lite.recipe import load_recipe
from sapo_lite.run.results import read_results
from small import small_run


def test_an_unknown_tracker_is_refused() -> None:
    expected = re.escape('tracking.to: expected a list of "trackio", "tensorboard" or "wandb"')
    with pytest.raises(RecipeError, match=expected):
        load_recipe("lab", ["tracking.to=['tensorbord']"])


def test_trackers_are_no_part_of_what_a_run_is() -> None:
    settings = ["tracking.to=['tensorboard','wandb']"]
    with_trackers, without = load_recipe("lab", settings), load_recipe("lab")
    assert with_trackers.tracking.to == ("tensorboard", "wandb")
    assert with_trackers.resolved() == without.resolved()


def test_a_tracker_that_is_not_installed_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sapo_lite.learning.tracking.find_spec", lambda _: None)
    with pytest.raises(RecipeError, match=r"trackio cannot be imported\..*pip install trackio"):
        Tracking(("trackio",), "run", tmp_path).require()


def test_the_environment_is_as_before_after_a_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_DIR", raising=False)
    before = dict(os.environ)
    tracking = Tracking(("tensorboard",), "run", tmp_path)
    with tracking.training("01-mood") as settings:
        assert settings == {"report_to": ["tensorboard"], "run_name": "run/01-mood", "project": "sapo-lite"}
        assert os.environ["TENSORBOARD_LOGGING_DIR"] == str(tmp_path / "tensorboard/01-mood")
        assert os.environ["WANDB_MODE"] == "online"  # the user's choice
        assert os.environ["WANDB_DIR"] == str(tmp_path)
    assert dict(os.environ) == before


def test_the_mode_of_wandb_is_set_for_wandb_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with Tracking((), "run", tmp_path).training("01-mood"):
        assert "WANDB_MODE" not in os.environ
    assert Tracking(("wandb",), "run", tmp_path)._places("R")["WANDB_MODE"] == "offline"


@pytest.mark.slow
def test_tensorboard_gets_every_step_and_r_after_every_stage(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = ("prompt.strategy=fixed", "evaluation.prompts=original", "tracking.to=['tensorboard']")
    small_run(tmp_path, *settings)
    [matrix] = [by_metric[TASK_METRIC] for by_metric in read_results(tmp_path).matrices.values()]

    def scalars(part: str, name: str) -> list[tuple[int, float]]:
        events = EventAccumulator(str(tmp_path / "tracking/tensorboard" / part)).Reload()
        return [(event.step, event.value) for event in events.Scalars(name)]

    for stage in ("01-oldest", "02-odd_one_out"):
        for name in ("train/loss", "train/penalty", "train/learning_rate", "train/grad_norm"):
            assert [step for step, _ in scalars(stage, name)] == [1, 2, 3, 4]
    for column, task in enumerate(("oldest", "odd_one_out")):
        expected = [(number, pytest.approx(row[column])) for number, row in enumerate(matrix)]
        assert scalars("R", f"R/{task}") == expected
    small_run(tmp_path, *settings)  # a finished run is read; nothing is logged again
    assert len(scalars("R", "R/oldest")) == 3


@pytest.mark.slow
@pytest.mark.parametrize("tracker", ["trackio", "wandb"])
def test_the_other_trackers_take_a_run(tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read as trackio is imported
    pytest.importorskip(tracker)
    settings = ("prompt.strategy=fixed", "evaluation.prompts=original", "sequence.tasks=['oldest']")
    results, _ = small_run(tmp_path / "run", *settings, f"tracking.to=['{tracker}']")
    assert results.tasks == ["oldest"]
    if tracker == "wandb":
        runs = list((tmp_path / "run/tracking/wandb").glob("offline-run-*"))
        assert len(runs) == 3  # the training, R before it, R after it
    else:
        assert list((tmp_path / "trackio").glob("sapo-lite*"))
