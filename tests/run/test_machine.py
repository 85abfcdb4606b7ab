"""Faults of the machine: a disk that cannot be written, no home folder, memory that runs out."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer

from forked import run_program
from sapo_lite.recipe import load_recipe
from sapo_lite.run.progress import Silent
from sapo_lite.run.results import read_results
from sapo_lite.run.start import run_recipe
from small import LAB, SETTINGS, call, command, small_command, small_run
from small_disk import small_disk

pytestmark = pytest.mark.slow


def test_a_disk_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    cannot = "Read-only file system. Choose a path on a disk that can be written to."
    with small_disk(tmp_path / "disk", 1000) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = run_program(small_command(disk / "run"))
        assert (done.returncode, done.stderr) == (1, f"error: {disk / 'run'}: {cannot}\n")
        paraphrase = command("paraphrase", "Say yes.", "--backend", "builtin", "-n", "1", "--plain")
        done = run_program([*paraphrase, "--json", str(disk / "x.json")])
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            f"error: --json {disk / 'x.json'}: cannot be written (Read-only file system)"
        )


def test_without_home_and_temporary_folder_a_run_is_as_with_them(tmp_path: Path) -> None:
    bare = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME", "SAPO_LITE_CACHE")}
    settings = ("sequence.tasks=['oldest']", "training.epochs=1")
    done = call(
        small_command(tmp_path / "bare", *settings), env={**bare, "TMPDIR": str(tmp_path / "nowhere")}
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    done = run_program(small_command(tmp_path / "usual", *settings))
    assert done.returncode == 0, done.stderr
    for name in ("results.json", "01-oldest/losses.json", "01-oldest/adapter/adapter_model.safetensors"):
        assert (tmp_path / "bare" / name).read_bytes() == (tmp_path / "usual" / name).read_bytes()


def test_memory_that_runs_out_in_a_run_is_said_once_and_changes_nothing(tmp_path: Path) -> None:
    """The allocator is asked for more than any address space holds, in forward passes of many tokens."""
    settings = (LAB, "adapter.dropout=0.0")  # its masks depend on the rows of a pass
    said = "memory ran out: from here on, work is done in smaller batches where needed"
    _, whole = small_run(tmp_path / "whole", *settings)
    forward = Qwen3DecoderLayer.forward

    def failing(self: object, hidden: torch.Tensor, *rest: object, **more: object) -> object:
        if hidden.shape[0] * hidden.shape[1] > 230:
            torch.empty(2**60, dtype=torch.uint8)
        return forward(self, hidden, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Qwen3DecoderLayer, "forward", failing)
        results = run_recipe(
            load_recipe("lab", [*SETTINGS, *settings]), tmp_path / "short", progress=(shown := Notices())
        )
    assert said not in whole
    assert [line.startswith(said) for line in shown.lines].count(True) == 1
    assert results.matrices == read_results(tmp_path / "whole").matrices


class Notices(Silent):
    """Keeps what would be shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__(self.lines.append)
