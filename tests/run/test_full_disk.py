"""Commands on a full disk: one sentence, nothing lost, and the same command goes on to the same bytes."""

import json
import re
from pathlib import Path

import pytest

from forked import run_program
from sapo_lite.cli.terminal import write_json
from sapo_lite.errors import BackboneError, ParaphraseError, SapoLiteError
from sapo_lite.prompts.sources.answer_cache import _Memory
from sapo_lite.support.disk import free_bytes, in_words, writing_to
from sapo_lite.types import Task
from small import SETTINGS, command, small_command
from small_disk import enlarge, small_disk

pytestmark = pytest.mark.slow

VARYING = {
    *("usage.json", "history.jsonl", "report.html", "environment.json", "log.txt"),
    *(".lock", "shown.txt", "copied.json", "workers.log"),
}
FULL = re.compile(
    r"error: (?P<where>/.+): No space left on device \([0-9.]+ (bytes|kB|MB) are free\)\. Make room on the "
    r"disk, and repeat the command\. What was finished is kept: the same command goes on\."
)


def contents(folder: Path) -> dict[str, bytes]:
    """Files of a run or comparison; commands in them name the folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(str(folder).encode(), b"")
        for path in folder.rglob("*")
        if path.is_file() and path.name not in VARYING
    }


LARGE = ("adapter.rank=64", "training.checkpoint_every=1")  # adapters of 60 kB


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with room."""
    out = tmp_path_factory.mktemp("whole") / "run"
    done = run_program(small_command(out, *LARGE))
    assert done.returncode == 0, done.stderr
    assert "this run will write about" not in done.stderr
    return out


@pytest.mark.parametrize("kilobytes", [8, 300], ids="{} kB".format)
def test_a_run_on_a_full_disk_goes_on_once_there_is_room(tmp_path: Path, whole: Path, kilobytes: int) -> None:
    """Full as it starts, and at the first checkpoint."""
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        again = small_command(disk / "run", *LARGE)
        done = run_program(again)
        *_, error = done.stderr.splitlines()
        assert done.returncode == 1
        assert (said := FULL.fullmatch(error)), done.stderr
        assert said["where"].startswith(str(disk / "run"))
        assert "Traceback" not in done.stderr
        assert ("this run will write about" in done.stderr) == (kilobytes == 300)  # once the model is loaded
        there = contents(disk / "run").items()
        before = {name: text for name, text in there if not re.search(r"checkpoints/|(^|/)\.", name)}
        before.pop("recipe.json", None)  # hashes of the first files are added to it
        assert before.items() <= contents(whole).items()  # what is there is whole
        enlarge(disk)
        done = run_program(again)
        assert done.returncode == 0, done.stderr
        assert contents(disk / "run") == contents(whole)


ONE_TASK = [*SETTINGS, "sequence.tasks=['oldest']", "training.epochs=1", "evaluation.prompts=chosen"]
GRID = ["--strategies", "fixed,sapo", "--seeds", "1", "--plain"]


def test_a_comparison_on_a_full_disk_goes_on_once_there_is_room(tmp_path: Path) -> None:
    flags = [flag for setting in ONE_TASK for flag in ("--set", setting)]
    with small_disk(tmp_path / "disk", 150) as disk:
        again = command("compare", "lab", *GRID, *flags, "--out", disk / "grid")
        done = run_program(again)
        assert done.returncode == 1
        assert FULL.fullmatch(done.stderr.splitlines()[-1]), done.stderr
        enlarge(disk)
        done = run_program(again)
        assert done.returncode == 0, done.stderr
        room = run_program(command("compare", "lab", *GRID, *flags, "--out", tmp_path / "grid"))
        assert room.returncode == 0, room.stderr
        whole, found = contents(tmp_path / "grid"), contents(disk / "grid")
        assert {k: v for k, v in found.items() if "/" in k} == {k: v for k, v in whole.items() if "/" in k}
        assert found.keys() == whole.keys()  # the comparison's own files hold times
        assert tables(disk / "grid") == tables(tmp_path / "grid")


def tables(grid: Path) -> object:
    """Groups and differences of a comparison."""
    return {k: v["findings"] for k, v in json.loads((grid / "comparison.json").read_text())["kinds"].items()}


def test_json_on_a_full_disk_leaves_the_older_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16) as disk:
        (disk / "scores.json").write_text("old")
        with pytest.raises(SapoLiteError, match=r"cannot be written \(No space left on device\)"):
            write_json(disk / "scores.json", "x" * 20_000)
        assert [(p.name, p.read_text()) for p in disk.iterdir()] == [("scores.json", "old")]


def test_paraphrases_on_a_full_disk_are_kept_as_far_as_they_came(tmp_path: Path) -> None:
    task = Task("mood", "", "Name the mood.", "", (), "en", (), ())
    with small_disk(tmp_path / "disk", 12) as disk:
        memory = _Memory(disk / "paraphrases/mood.json", {"source": "test"}, task)
        kept = fill(memory)
        assert 0 < kept < 100
        again = _Memory(memory.path, {"source": "test"}, task)
        again.load()
        assert len(again.answers) == kept
        enlarge(disk)
        memory.keep("last", "text")
        again.load()
        assert "last" in again.answers


def fill(memory: _Memory) -> int:
    """Keep answers until the disk is full; their number."""
    for number in range(100):
        try:
            memory.keep(str(number), "x" * 500)
        except ParaphraseError as error:
            assert "the file cannot be written (No space left on device)" in str(error)  # noqa: PT017
            return number
    return 100


def test_errors_of_libraries_about_a_full_disk_are_those_of_the_system(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {"a": torch.zeros(20_000)}
    with small_disk(tmp_path / "disk", 16) as disk:
        for save in (save_file, torch.save):
            with pytest.raises(OSError, match="No space left") as full, writing_to(disk):
                save(tensors, str(disk / "weights"))
            assert full.value.filename == str(disk)
            (disk / "weights").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "error", [BackboneError("No space left"), ValueError("x"), FileNotFoundError(2, "x")]
)
def test_other_errors_are_left_as_they_are(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as raised, writing_to(tmp_path):
        raise error
    assert raised.value is error


def test_room_is_that_of_the_disk_below_a_folder_to_come(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        assert free_bytes(disk / "a/b/c") == free_bytes(disk) == 64 * 1024
    assert [in_words(n) for n in (999, 1500, 2_500_000, 12 * 10**9)] == [
        "999 bytes",
        "1.5 kB",
        "2.5 MB",
        "12.0 GB",
    ]
