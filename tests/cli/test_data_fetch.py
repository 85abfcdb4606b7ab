"""`sapo-lite data fetch` as it is typed; what it fetches: tests/data/test_fetch.py."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from file_server import FileServer
from sapo_lite.data import published
from sapo_lite.data.published import PublishedFile

EMPTY_TABLE = "9e26dfeeb6e641a33dae4961196235bdb965b21b"  # printf '{}' | git hash-object --stdin
Typed = Callable[..., CompletedProcess[str]]


def test_the_command_says_what_is_there_and_that_no_option_is_needed(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    facts = (PublishedFile("TRACE/instructions.json", EMPTY_TABLE),)
    monkeypatch.setattr(published, "all_files", lambda: facts)
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path))
    with FileServer({"TRACE/instructions.json": b"{}"}) as server:
        for new in (1, 0):
            done = typed("data", "fetch", "trace", "--base-url", server.url)
            assert (done.returncode, done.stdout) == (
                0,
                f"{tmp_path}/data/TRACE: 1 file as published, {new} of them new. "
                "Recipes find them without --data.\n",
            )
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["glue"], 'data fetch: expected superni or trace, found "glue".'),
        (["trace", "--base-url", "mirror"], "--base-url mirror: expected the address of a folder"),
    ],
)
def test_what_it_cannot_do_is_an_error(
    words: list[str], said: str, typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path))
    done = typed("data", "fetch", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {said}")
