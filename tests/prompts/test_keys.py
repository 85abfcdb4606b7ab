"""The key of a chat server is in no file of a run or of the cache, and in nothing that is printed."""

import itertools
from pathlib import Path
from typing import Any

import pytest

import sapo_lite.prompts.sources.concurrent as in_flight
from openai_server import FakeOpenAI
from replies import Fail
from sapo_lite.cli.failures import report
from sapo_lite.errors import ParaphraseError, SapoLiteError
from sapo_lite.lab.wordings import wordings
from sapo_lite.prompts.sources import openai
from small import small_run

KEY = "sk-a1b2c3d4e5f6g7h8i9"
SETTINGS = ("sequence.tasks=['oldest']", 'paraphrase.model="tiny"', "training.epochs=1")


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(openai.KEY, KEY)
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(in_flight, "BACKOFF", (0.01,))


def run_with(server: FakeOpenAI, out: Path) -> str:
    """What the run shows."""
    asked = f'paraphrase.base_url="{server.url}"'
    return small_run(out, *SETTINGS, 'paraphrase.backend="openai"', asked)[1]


def files_with_the_key(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 2
    return [path for path in files if KEY.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_run_with_a_server_that_repeats_the_key_keeps_it_nowhere(tmp_path: Path) -> None:
    texts = itertools.cycle(wordings("oldest", 40, 0))
    refusals = iter([Fail(503, f"Bearer {KEY}")])

    def reply(body: dict[str, Any]) -> Any:
        return next(refusals, None) or f"{next(texts)} {KEY}"

    with FakeOpenAI(reply, key=KEY) as server:
        shown = run_with(server, tmp_path / "run")
    assert (tmp_path / "run" / "results.json").exists()
    assert "***" in (tmp_path / "run" / "candidates" / "oldest.json").read_text(encoding="utf-8")
    assert files_with_the_key(tmp_path) == []
    assert KEY not in shown


@pytest.mark.parametrize("status", [400, 401, 500])
def test_an_error_that_repeats_the_key_is_printed_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAPO_LITE_DEBUG", "1")
    (tmp_path / "cache").mkdir()
    (tmp_path / "beside").write_text("")
    with FakeOpenAI(lambda body: Fail(status, f"no {KEY}"), key=KEY) as server:
        with pytest.raises(ParaphraseError) as caught:
            run_with(server, tmp_path / "run")
        assert report(caught.value) == 1
    assert KEY not in "".join(capsys.readouterr())
    assert [p for p in tmp_path.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()] == []


def test_no_error_at_all_prints_a_secret_of_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijkl")
    report(SapoLiteError(f"no access with hf_abcdefghijkl and {KEY}"))
    assert capsys.readouterr().err == "error: no access with *** and ***\n"
