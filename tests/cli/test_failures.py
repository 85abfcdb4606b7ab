"""Failures are one line that says what to do; a fault of the program is a block to report."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sapo_lite.cli.terminal import write_json
from sapo_lite.errors import DataError, GuardError, RecipeError, RunFolderError, SapoLiteError

Done = subprocess.CompletedProcess[str]
Typed = Callable[..., Done]
COMMAND = [sys.executable, "-m", "sapo_lite", "recipes", "show", "lab"]
GOES_ON = "What was finished is kept: the same command goes on."


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, typed: Typed) -> Callable[[BaseException], Done]:
    """`failing(error)`: the command whose work raises that error."""

    def run(error: BaseException) -> Done:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("sapo_lite.recipe.load_recipe", fail)
        return typed("run", "lab", "--set", "seed=1")

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [(RecipeError("r"), 2), (DataError("d"), 2), (RunFolderError("f"), 1), (GuardError("g"), 3)],
)
def test_the_exit_code_says_whose_fault_it_is(
    failing: Callable[[BaseException], Done], error: Exception, code: int
) -> None:
    done = failing(error)
    assert (done.returncode, done.stderr, done.stdout) == (code, f"error: {error}\n", "")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), f"Memory did not suffice. {GOES_ON}"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            f"No space left on device. Make room on the disk, and repeat the command. {GOES_ON}",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            "/x: Permission denied. Choose a path that you may read and write.",
        ),
        (OSError("no number and no path"), "no number and no path. Check the path."),
    ],
)
def test_an_error_of_the_system_is_one_line(
    failing: Callable[[BaseException], Done], error: BaseException, line: str
) -> None:
    done = failing(error)
    assert (done.returncode, done.stderr) == (1, f"error: {line}\n")


def test_a_failed_allocation_is_one_line(failing: Callable[[BaseException], Done]) -> None:
    """At a place that cannot work in smaller parts, such as the first step of an optimiser."""
    done = failing(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nAnd more."))
    assert (done.returncode, done.stderr) == (
        1,
        "error: Memory did not suffice (CUDA out of memory. Tried to allocate 2 GiB). Free memory that other "
        "programs hold, lower training.micro_batch_size or model.max_source_tokens, or use a smaller model. "
        f"{GOES_ON}\n",
    )


def test_a_fault_is_a_block_to_report_without_keys_and_home(
    failing: Callable[[BaseException], Done], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SOME_API_KEY", "sk-0123456789")
    done = failing(KeyError(f"sk-0123456789 in {tmp_path}/data"))
    first, error, *frames, versions, command, last = done.stderr.splitlines()
    assert done.returncode == 1
    assert first == (
        f"error: sapo-lite failed in a way that was not foreseen. {GOES_ON} To report it, copy these lines:"
    )
    assert error == "  KeyError: '*** in ~/data'"
    assert frames[-1].startswith("  at cli/run_command.py:")
    assert versions.startswith("  sapo-lite ")
    assert ", torch " in versions
    assert command == "  sapo-lite run lab --set seed=1"
    assert last == "The whole traceback is shown with SAPO_LITE_DEBUG=1 in the environment."


def test_the_traceback_is_shown_on_request(
    failing: Callable[[BaseException], Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAPO_LITE_DEBUG", "1")
    done = failing(KeyError("x"))
    assert "Traceback (most recent call last):" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_a_full_disk_behind_stdout_is_said() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(COMMAND, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "error: No space left on device. Make room on the disk, and repeat the command. "
        "What was finished is kept: the same command goes on.\n"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_the_exit_code_stays_where_the_error_cannot_be_written() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND[:-1], "nosuch"], stdout=full, stderr=full, check=False)
    assert done.returncode == 2


@pytest.mark.slow
def test_stdout_may_be_closed() -> None:
    done = subprocess.run(
        COMMAND, stderr=subprocess.PIPE, text=True, check=False, preexec_fn=lambda: os.close(1)
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_characters_that_stdout_does_not_know_are_replaced() -> None:
    instruction = "Classify the café review as good or bad."
    options = ["--labels", "good,bad", "--backend", "builtin", "-n", "2"]
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [sys.executable, "-m", "sapo_lite", "paraphrase", instruction, *options]
    done = subprocess.run(command, capture_output=True, check=False, env=ascii_only)
    assert done.returncode == 0, done.stderr
    assert instruction.encode() in done.stdout  # texts for other programs are UTF-8
    assert b"Classify the caf? review as good or bad." in done.stderr
    assert b"Traceback" not in done.stderr


def test_json_that_cannot_be_written_leaves_the_older_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    older = tmp_path / "scores.json"
    older.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(SapoLiteError, match="No space left"):
        write_json(older, "x" * 100)
    assert [p.name for p in tmp_path.iterdir()] == ["scores.json"]
    assert older.read_text() == "old"
