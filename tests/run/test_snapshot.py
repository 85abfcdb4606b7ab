"""A run after one of its stages: its adapter, and the instruction that each task is asked with."""

import json
import shutil
from pathlib import Path

import pytest

from kept import put, value_of
from made_runs import unfinished_run
from sapo_lite.errors import RecipeError, RunFolderError
from sapo_lite.run.results import read_results
from sapo_lite.run.snapshot import read_snapshot
from small import change_weights, small_run

SETTINGS = ("evaluation.prompts=chosen", "training.epochs=3")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "lab"
    small_run(out, *SETTINGS, "prompt.rescore=epoch")
    return out


@pytest.mark.slow
def test_a_task_is_asked_as_chosen_once_it_is_learned_and_before_with_its_own_words(run: Path) -> None:
    first, last = read_snapshot(run, 1), read_snapshot(run)
    chosen = {task: candidate.text for task, candidate in read_results(run).chosen.items()}
    assert last.prompts == chosen
    assert first.prompts == {
        "oldest": chosen["oldest"],
        "odd_one_out": first.tasks["odd_one_out"].instruction,
    }
    assert (first.learned, last.learned) == (("oldest",), ("oldest", "odd_one_out"))
    assert read_snapshot(run, 0).adapter is None
    assert first.adapter == run / "01-oldest/adapter"
    assert (first.label, last.number) == ("stage 1 (oldest)", 2)


def test_the_last_rescoring_counts(run: Path) -> None:
    """Also where it changed the candidate."""
    wordings = run / "01-oldest/wordings.json"
    decisions = value_of(wordings)
    candidates = value_of(run / "candidates/oldest.json")["candidates"]
    for number in range(len(candidates)):
        put(wordings, [*decisions[:-1], decisions[-1] | {"after": number}])
        assert read_snapshot(run).prompts["oldest"] == candidates[number]["text"]
    put(wordings, decisions)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        ["prompt.strategy=paft"],
        ["prompt.strategy=paft", "prompt.sampling=adversarial"],
        ["adapter.method=joint"],
    ],
)
def test_prompts_are_those_of_the_results(settings: list[str], tmp_path: Path) -> None:
    small_run(tmp_path / "run", *SETTINGS, *settings)
    found = read_snapshot(tmp_path / "run")
    assert found.prompts == {t: c.text for t, c in read_results(tmp_path / "run").chosen.items()}
    assert found.learned == ("oldest", "odd_one_out")


def test_how_tasks_are_asked_needs_no_data(run: Path) -> None:
    tasks = read_snapshot(run).tasks
    assert list(tasks) == ["oldest", "odd_one_out"]
    assert all(task.suffix == "answer :" and task.language == "en" for task in tasks.values())
    assert all(task.train == task.test == () for task in tasks.values())


def test_tasks_are_found_by_name_and_others_are_refused(run: Path) -> None:
    snapshot = read_snapshot(run)
    assert snapshot.task("oldest").key == read_snapshot(run, 1).task(None).key == "oldest"
    assert snapshot.task(None).key == "odd_one_out"
    with pytest.raises(
        RecipeError, match=r"expected oldest or odd_one_out, found oldst; did you mean oldest"
    ):
        snapshot.task("oldst")


def test_a_stage_that_is_not_there_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="expected a finished stage of the run, out of 0, 1, 2, found 3"):
        read_snapshot(run, 3)
    with pytest.raises(RunFolderError, match="expected the folder of a run, found no such folder"):
        read_snapshot(tmp_path / "nothing")


def test_a_run_of_an_earlier_version_is_refused_with_the_way_on(tmp_path: Path) -> None:
    old = unfinished_run(tmp_path / "run", {"stars": ["0", "1"], "mood": ["0", "0"]})
    with pytest.raises(
        RunFolderError, match="expected the instructions of the tasks, found none: an earlier"
    ):
        read_snapshot(old)


def test_the_way_on_of_an_earlier_version_keeps_its_stages(run: Path, tmp_path: Path) -> None:
    old = tmp_path / "run"
    shutil.copytree(run, old)
    about, before = value_of(old / "recipe.json"), (old / "results.json").read_bytes()
    put(old / "recipe.json", about | {"tasks": []})
    (old / "results.json").unlink()
    learned = (old / "02-odd_one_out/adapter").stat().st_ino
    small_run(old, *SETTINGS, "prompt.rescore=epoch")
    assert read_snapshot(old).prompts == read_snapshot(run).prompts
    assert (old / "results.json").read_bytes() == before
    assert (old / "02-odd_one_out/adapter").stat().st_ino == learned


def test_a_damaged_adapter_is_named(run: Path, tmp_path: Path) -> None:
    weights = run / "02-odd_one_out/adapter/adapter_model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(RunFolderError, match=r"adapter_model.safetensors is not as the run wrote it"):
        read_snapshot(run)
    weights.write_bytes(before)
    assert read_snapshot(run).number == 2


def test_another_model_under_the_same_name_is_refused(tmp_path: Path) -> None:
    from random_backbone import random_backbone

    own = tmp_path / "model"
    own.mkdir()
    for file in random_backbone().iterdir():
        (own / file.name).write_bytes(file.read_bytes())
    small_run(tmp_path / "run", f"model.name={own}", "evaluation.prompts=chosen", "training.epochs=1")
    read_snapshot(tmp_path / "run").require_same_model()
    change_weights(own)
    with pytest.raises(RunFolderError, match=r"has changed \(model.safetensors\) since the run"):
        read_snapshot(tmp_path / "run").require_same_model()


def test_a_run_keeps_how_its_tasks_are_asked_and_no_examples(run: Path) -> None:
    kept = json.loads((run / "recipe.json").read_text())["tasks"]
    assert [task["id"] for task in kept] == ["oldest", "odd_one_out"]
    assert all(task["train"] == task["test"] == [] for task in kept)
