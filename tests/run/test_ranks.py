"""A run in two processes has the results of one, and ends well when a process does not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import forked  # noqa: F401  its server of processes has the libraries loaded
from sapo_lite.errors import BackboneError, WorkerError
from sapo_lite.model import rank_start
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.ranks import Ranks
from sapo_lite.recipe import load_recipe
from sapo_lite.run import paths
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.pipeline import run
from sapo_lite.run.progress import Silent
from sapo_lite.run.results import Results
from small import SETTINGS

# So many rows that each process gets some; without masks of dropout, which depend on the rows of a pass.
ENOUGH = (*SETTINGS, "sequence.test_examples=20", "adapter.dropout=0", "model.dtype=float32")

Map = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_start, "_START", "forkserver")


def learn(out: Path, *settings: str, processes: int) -> Results:
    with RunFolder(out) as folder:
        return run(
            load_recipe("lab", [*ENOUGH, *settings]), folder, Silent(lambda _: None), processes=processes
        )


def losses(out: Path) -> list[float]:
    lines = [line for file in sorted(out.rglob(paths.HISTORY)) for line in file.read_text().splitlines()]
    return [value for line in map(json.loads, lines) for value in (line["loss"], line["penalty"])]


def require_equal(one: Path, two: Path) -> None:
    """The same losses, choices and answers, and nearly the same weights."""
    assert losses(two) == pytest.approx(losses(one), abs=1e-4)
    for file in sorted(one.rglob("*.json")):
        ours, theirs = (json.loads((out / file.relative_to(one)).read_text()) for out in (one, two))
        if file.name == "stage.json":
            choices = [[c["chosen"] for c in record["choices"].values()] for record in (ours, theirs)]
            assert choices[0] == choices[1]
        if file.parent.name == "predictions":
            assert ours == theirs
    for file in sorted(one.rglob("adapter_model.safetensors")):
        first, second = load_file(file), load_file(two / file.relative_to(one))
        assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        ["adapter.method=olora"],
        ["prompt.strategy=random", "prompt.hold_unit=rows", "training.gradient_checkpointing=true"],
    ],
    ids=["penalty", "several instructions in a step"],
)
def test_two_processes_find_what_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str]
) -> None:
    work, whole = set[str](), Ranks.map

    def noted(self: Ranks, work_of_all: Any, parts: Any, own: Any) -> Any:
        work.add(work_of_all.__module__)
        return whole(self, work_of_all, parts, own)

    monkeypatch.setattr(Ranks, "map", noted)
    learn(tmp_path / "one", *settings, processes=1)
    assert not work
    learn(tmp_path / "two", *settings, processes=2)
    assert {"sapo_lite.model.generation", "sapo_lite.learning.rank_gradients"} <= work
    require_equal(tmp_path / "one", tmp_path / "two")
    assert json.loads((tmp_path / "two/environment.json").read_text())["processes"] == 2


@pytest.mark.slow
def test_a_run_whose_second_process_is_killed_says_so_and_goes_on_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, whole, steps = ("training.checkpoint_every=1",), Ranks.map, []

    def deadly(self: Ranks, work: Any, parts: Any, own: Any) -> Any:
        steps.append(work.__module__)
        if steps.count("sapo_lite.learning.rank_gradients") == 3:
            self._processes[0].kill()
        return whole(self, work, parts, own)

    monkeypatch.setattr(Ranks, "map", deadly)
    with pytest.raises(
        WorkerError, match="process 2 of 2 ended by signal 9 in the middle of its work"
    ) as found:
        learn(tmp_path / "two", *settings, processes=2)
    assert f"--out {tmp_path / 'two'} goes on" in str(found.value)
    monkeypatch.setattr(Ranks, "map", whole)
    learn(tmp_path / "two", *settings, processes=1)
    learn(tmp_path / "one", *settings, processes=1)
    require_equal(tmp_path / "one", tmp_path / "two")


def absent() -> Backbone:
    raise BackboneError("there is no model")


def broken() -> Backbone:
    raise ValueError("a fault of the program")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (absent, BackboneError, "^there is no model$"),
        (broken, WorkerError, "process 2 of 2: ValueError: a fault of the program"),
    ],
)
def test_an_error_of_another_process_is_that_of_the_run(
    tmp_path: Path, make: Callable[[], Backbone], error: type[Exception], words: str
) -> None:
    with rank_start.started(2, tmp_path / "log.txt") as others, pytest.raises(error, match=words):
        others.open(make, None)  # type: ignore[arg-type,union-attr]
    assert not torch.distributed.is_initialized()
    assert (make is broken) == ("a fault of the program" in (tmp_path / "log.txt").read_text())


def test_rows_are_divided_by_length_in_their_order() -> None:
    def divided(sizes: list[int], ranks: int, least: int = 1) -> list[list[int]]:
        return [sizes[own.start : own.stop] for own in Ranks(ranks, Path(), [], None).divide(sizes, least)]

    assert divided([1, 1, 1, 1], 2) == [[1, 1], [1, 1]]
    assert divided([6, 1, 1, 1, 1, 1], 2) == [[6], [1, 1, 1, 1, 1]]
    assert divided([1, 1, 9], 3) == [[1], [1], [9]]
    assert divided([9, 1, 1], 3) == [[9], [1], [1]]
    assert divided([1, 1], 3) == [[1, 1]]
    assert divided([1] * 15, 2, least=8) == [[1] * 15]
    assert divided([], 2) == [[]]
