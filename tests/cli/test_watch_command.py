"""`sapo-lite watch`: what it says of a run that another process does, and that it only reads."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from rich.console import Console

from kept import put
from made_runs import TASKS, made_run, two_tasks
from sapo_lite.errors import RunFolderError
from sapo_lite.learning.steps import Step
from sapo_lite.report.watch_view import under_way_view
from sapo_lite.run.history import History
from sapo_lite.run.under_way import under_way
from small import command


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run that has finished nothing."""
    run = made_run(tmp_path / "run", two_tasks(50.0), adapter="olora")
    (run / "results.json").unlink()
    return run


def record(stage: Path, *scores: float) -> None:
    """Finish a stage: its record, as the run writes it."""
    stage.mkdir(exist_ok=True)
    rows = [{"rougeL": score, "task_metric": score} for score in scores]
    put(stage / "stage.json", {"choices": {}, "scores": {"chosen": rows}})


def train(stage: Path, *numbers: int) -> None:
    history = History(stage)
    for number in numbers:
        history.add(Step(number, 8, 0.5, 0.25, 1e-4, 1.0, tokens=100, seconds=2.0))


def test_what_a_run_does_is_read_from_its_folder(begun: Path) -> None:
    assert under_way(begun).doing == "preparing: paraphrases, the backbone"
    (begun / "00-zero-shot").mkdir()
    assert under_way(begun).doing == "00-zero-shot: testing all tasks"
    record(begun / "00-zero-shot", 10.0, 20.0)
    assert under_way(begun).doing == "between two stages, or in the last test"
    stage = begun / "01-stars"
    stage.mkdir()
    assert under_way(begun).doing == "01-stars: choosing a prompt"
    put(stage / "losses.json", [])
    assert under_way(begun).doing == "01-stars: training begins"
    train(stage, 1, 2, 3)
    found = under_way(begun)
    assert found.doing == "01-stars: training, step 3 of 8, loss 0.500 + penalty 0.250, about 10 s left"
    assert (found.tasks, found.stages, found.total) == (list(TASKS), [], 2)
    assert found.r == [[10.0, 20.0]]
    (stage / "adapter").mkdir()
    assert under_way(begun).doing == "01-stars: testing all tasks"
    train(stage / "retry-1", 1)
    assert under_way(begun).doing.startswith("01-stars/retry-1: training, step 1 of 8")
    record(stage, 90.0, 15.0)
    assert (under_way(begun).stages, under_way(begun).r[1]) == (["stars"], [90.0, 15.0])


@pytest.mark.parametrize("width", [80, 120, 200])
def test_it_is_shown_with_r_so_far(begun: Path, width: int) -> None:
    record(begun / "00-zero-shot", 10.0, 20.0)
    record(begun / "01-stars", 90.0, 15.0)
    train(begun / "02-mood", 1)
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(under_way_view("run", under_way(begun)))
    lines = [" ".join(line.split()) for line in capture.get().splitlines()]
    assert lines[0].startswith("run task 2 of 2 · ")
    assert lines[0].endswith(" GB")
    assert lines[1].startswith("02-mood: training, step 1 of 8, loss 0.500 + penalty 0.250")
    assert lines[2:] == [
        "R so far, %",
        "after training stars mood",
        "nothing 10.0 20.0",
        "1 stars 90.0 15.0",
    ]


def test_a_run_in_which_nothing_changes_may_have_stopped(begun: Path) -> None:
    long_ago = time.time() - 3600
    for path in [begun, *begun.rglob("*")]:
        os.utime(path, (long_ago, long_ago))
    console = Console(width=80, no_color=True)
    with console.capture() as capture:
        console.print(under_way_view("run", under_way(begun)))
    assert "nothing has changed for 60 min: the run may have stopped" in capture.get()


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="found no such folder"):
        under_way(tmp_path / "nowhere")


@pytest.mark.slow
def test_a_run_is_followed_until_its_summary(begun: Path, tmp_path: Path) -> None:
    record(begun / "00-zero-shot", 10.0, 20.0)
    whole = made_run(tmp_path / "whole", two_tasks(50.0), adapter="olora")
    before = set(begun.rglob("*"))
    with subprocess.Popen(
        command("watch", begun), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stderr is not None
        first = watcher.stderr.readline()
        after = set(begun.rglob("*"))
        (whole / "results.json").rename(begun / "results.json")  # it ends, whatever it has said
        shown, said = watcher.communicate(timeout=120)
    assert first.startswith("run  task 1 of 2: between two stages")
    assert (watcher.returncode, said) == (0, "")
    assert after == before
    assert "".join(shown.split()).endswith(f"everythingisin{begun}")
