"""Commands in this process: as a user types them, without the seconds that a new program takes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sapo_lite.cli import main

Done = subprocess.CompletedProcess[str]


@pytest.fixture(autouse=True)
def as_wide_as_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are 110 characters wide, however wide the terminal is in which the tests run."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`typed("recipes", "show", "lab")` runs the command; exit status and output as of a program."""

    def run(*arguments: str | Path) -> Done:
        words = ["sapo-lite", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(words, int(ended.value.code or 0), *capfd.readouterr())

    return run
