"""Processes of runs that start in a moment: forked from a server that has imported the libraries once."""

import multiprocessing
import os
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from small import small_run

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["torch", "transformers", "peft", "trl", "sapo_lite.run.pipeline"])


def start_small_run(out: Path, *settings: str) -> ForkServerProcess:
    """A small run in a process of its own, which says nothing unless it fails."""
    process = _CONTEXT.Process(target=_run, args=(out, settings), daemon=True)
    process.start()
    return process


def _run(out: Path, settings: tuple[str, ...]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    small_run(out, *settings)
