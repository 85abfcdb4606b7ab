"""A run's files before it goes on: made again where that is safe, refused with the way on where it is not."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kept import put, value_of
from made_runs import made_run, two_tasks
from sapo_lite.errors import ParaphraseError, RunFolderError
from sapo_lite.prompts.pool import Pool, pool_to_json
from sapo_lite.run.binding import read_binding, write_binding
from sapo_lite.run.edits import accept_edits
from sapo_lite.run.folder import RUN, RunFolder
from sapo_lite.run.stage_folder import Stage, StageRecord
from sapo_lite.run.verification import verify
from sapo_lite.types import Candidate, Example, Task

STARS = Task("stars", "lab", "How many?", "", (), "en", (Example("a", "1"),), (Example("b", "2"),))
POOL = Pool("stars", (Candidate(0, "How many?", "original"), Candidate(1, "Say how many.", "builtin")))
SAFE, FIRST = "the same command then makes them again", "or start over with --fresh"


def save_adapter(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("adapter_config.json", "adapter_model.safetensors", "memory.safetensors"):
        (folder / name).write_text(f"{name} of {folder.parent.name}")


def finish(stage: Stage) -> None:
    stage.write("predictions/stars-original", {"of": stage.place})
    stage.write("watched/general", {"of": stage.place})
    stage.finish(StageRecord({}, {}))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose third stage is trained and tested, but not finished."""
    run = made_run(tmp_path / "run", two_tasks(50.0))
    (run / "results.json").unlink()
    Stage(run, of=RUN).write("usage", {"seconds": {}, "peak_memory_gb": {}})
    Stage(run, of=RUN).write("chat", {"before": "<s>"})
    Stage(run / "candidates").write("stars", pool_to_json(POOL))
    Stage(run / "base").write("losses-stars", [1])
    RunFolder(run).note_first_files()
    finish(Stage(run / "00-zero-shot"))
    for name in ("01-stars", "02-mood"):
        stage = Stage(run / name)
        for value in ("losses", "wordings", "gradient", "rewrites"):
            stage.write(value, {value: name})
        stage.keep_adapter(save_adapter)
        finish(stage)
    (run / "02-mood/stage.json").unlink()
    return run


def verified(run: Path) -> list[str]:
    notices: list[str] = []
    verify(run, notices.append)
    return notices


def names(run: Path) -> set[str]:
    return {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def other_value(path: Path) -> None:
    put(path, {"of": "another run"})


def of_the_other_stage(path: Path) -> None:
    other = {"01-stars": "02-mood", "02-mood": "01-stars"}
    shutil.copy(Path(*(other.get(part, part) for part in path.parts)), path)


ANY = (cut, Path.unlink, other_value, of_the_other_stage)


def test_a_whole_run_is_left_as_it_is(run: Path) -> None:
    before = {name: (run / name).read_bytes() for name in names(run)}
    assert verified(run) == []
    assert {name: (run / name).read_bytes() for name in names(run)} == before


@pytest.mark.parametrize("damage", ANY)
@pytest.mark.parametrize("name", ["losses.json", "predictions/stars-original.json", "watched/general.json"])
def test_what_a_finished_stage_measured_or_answered_is_made_again(
    run: Path, name: str, damage: Callable[[Path], object]
) -> None:
    damage(run / "01-stars" / name)
    fault = "is missing" if damage is Path.unlink else "is not as the run wrote it"
    before = names(run)
    assert verified(run) == [f"01-stars/{name} {fault}: it is made again"]
    tested_again = set() if name == "losses.json" else {"01-stars/stage.json"}
    assert before - names(run) == ({f"01-stars/{name}"} & before) | tested_again


@pytest.mark.parametrize("damage", [cut, Path.unlink, of_the_other_stage])
@pytest.mark.parametrize(
    "name",
    [
        *("wordings.json", "rewrites.json", "gradient.json", "adapter/memory.safetensors"),
        *("adapter/adapter_model.safetensors", "adapter/adapter_config.json", "adapter/SHA256SUMS"),
    ],
)
def test_what_later_stages_were_built_on_is_refused_with_the_way_on(
    run: Path, name: str, damage: Callable[[Path], object]
) -> None:
    damage(run / "01-stars" / name)
    before = names(run)
    with pytest.raises(RunFolderError, match=SAFE) as refused:
        verify(run, str)
    assert f"delete {run / '01-stars'} and the folders of later stages" in str(refused.value)
    assert str(run / "01-stars" / name.split("/")[0]) in str(refused.value)
    assert names(run) == before


def test_a_missing_adapter_is_refused(run: Path) -> None:
    shutil.rmtree(run / "01-stars/adapter")
    with pytest.raises(RunFolderError, match=r"01-stars/adapter is missing\. Put the file back"):
        verify(run, str)


def test_the_adapter_of_another_stage_is_refused(run: Path) -> None:
    shutil.rmtree(run / "01-stars/adapter")
    shutil.copytree(run / "02-mood/adapter", run / "01-stars/adapter")
    with pytest.raises(RunFolderError, match="01-stars/adapter is not as the run wrote it"):
        verify(run, str)


@pytest.mark.parametrize("name", ["adapter/adapter_model.safetensors", "wordings.json", "losses.json"])
def test_a_training_that_nothing_was_built_on_is_repeated(run: Path, name: str) -> None:
    cut(run / "02-mood" / name)
    (notice,) = verified(run)
    assert notice.startswith(f"02-mood/{name.split('/')[0]} is not as the run wrote it")
    assert notice.endswith(": the stage is learned again")
    kept = {path for path in names(run) if path.startswith("02-mood")}
    assert kept == (set() if name == "losses.json" else {"02-mood/losses.json"})


def test_a_damaged_or_missing_record_is_made_again(run: Path) -> None:
    cut(run / "01-stars/stage.json")
    assert verified(run) == ["01-stars/stage.json is not as the run wrote it: it is made again"]
    assert verified(run) == ["01-stars/stage.json is missing: it is made again"]


@pytest.mark.parametrize("name", ["chat.json", "candidates/stars.json"])
@pytest.mark.parametrize("damage", [cut, Path.unlink, other_value])
def test_the_first_files_are_never_made_again(run: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(run / name)
    with pytest.raises(RunFolderError, match=FIRST) as refused:
        verify(run, str)
    assert str(refused.value).startswith(str(run / name))
    assert ("--accept-edits" in str(refused.value)) == (name != "chat.json" and damage is not Path.unlink)


def test_times_and_results_of_a_run_are_made_again(run: Path) -> None:
    for name in ("usage.json", "results.json", "base/losses-stars.json"):
        (run / name).write_text("{}")
    assert verified(run) == [
        "usage.json is not as the run wrote it: the times of the run so far are lost",
        "results.json is not as the run wrote it: it is made again",
        "base/losses-stars.json is not as the run wrote it: it is made again",
    ]


def test_of_a_finished_run_the_results_alone_are_checked(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", two_tasks(50.0))
    (run / "01-stars/predictions").mkdir(parents=True)
    (run / "01-stars/predictions/stars-original.json").write_text("damaged")
    assert verified(run) == []


def test_retries_of_the_guard_are_made_again_from_the_damaged_one_on(run: Path) -> None:
    for number in (1, 2):
        retry = Stage(run / f"02-mood/retry-{number}", of="02-mood")
        retry.keep_adapter(save_adapter)
        finish(retry)
    assert verified(run) == []
    cut(run / "02-mood/retry-2/adapter/adapter_model.safetensors")
    assert verified(run) == ["02-mood/retry-2 is not as the run wrote it: it is made again"]
    assert not (run / "02-mood/retry-2").exists()
    assert (run / "02-mood/retry-1/stage.json").exists()


# --- candidates edited by hand


def edit(run: Path, text: str) -> None:
    """As a person does, who knows of no checksum."""
    path = run / "candidates/stars.json"
    path.write_text(path.read_text().replace("Say how many.", text))


def accepted(run: Path) -> list[str]:
    notices: list[str] = []
    accept_edits(run, [STARS], notices.append)
    return notices


def test_edited_candidates_are_taken_and_what_was_made_from_the_old_ones_is_removed(run: Path) -> None:
    edit(run, "Count them.")
    assert accepted(run) == ["taken as edited: stars; 3 stages made from the old ones will be made again"]
    assert names(run) == {"recipe.json", "usage.json", "chat.json", "candidates/stars.json"}
    assert value_of(run / "candidates/stars.json")["candidates"][1]["text"] == "Count them."
    assert verified(run) == []
    assert read_binding(run).made == {}


def test_candidates_that_were_not_edited_cost_nothing(run: Path) -> None:
    before = names(run)
    assert accepted(run) == ["--accept-edits: no candidates were edited"]
    assert names(run) == before


def test_edited_candidates_that_are_none_are_refused_before_anything_is_removed(run: Path) -> None:
    before = names(run)
    path = run / "candidates/stars.json"
    path.write_text(path.read_text().replace('"text"', '"words"'))
    with pytest.raises(ParaphraseError, match="as candidates"):
        accepted(run)
    path.write_text("{")
    with pytest.raises(RunFolderError, match="is not valid JSON"):
        accepted(run)
    assert names(run) == before


def test_a_kill_between_the_new_candidates_and_the_binding_is_no_loss(run: Path) -> None:
    made = read_binding(run).made
    edit(run, "Count them.")
    accepted(run)
    write_binding(run, replace(read_binding(run), made=made))
    with pytest.raises(RunFolderError, match="--accept-edits takes it as it is"):
        verify(run, str)
    assert accepted(run) == ["taken as edited: stars"]
    assert verified(run) == []
