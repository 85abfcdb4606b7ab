"""Servers that drip, pour, nest, compress or send calls elsewhere: no hang, no memory, no word to others."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat_sources import GOOD, OLLAMA, OPENAI, OTHER, ChatProtocol, RecordingDisplay, saved
from loopback import LoopbackServer
from ollama_server import FakeOllama
from openai_server import FakeOpenAI
from replies import Drip, Raw, Reply
from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.sources import ollama_server, openai
from sapo_lite.support import bounded_http

KEY = "sk-0123456789abcdef"
DRIP = Drip("", 0.05)  # an answer of a hundred bytes takes longer than every limit below
REDIRECT = 307


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ollama_server, "UNLOAD_LIMIT", 0.4)
    monkeypatch.setattr(openai, "CONNECT_TIMEOUT", 0.4)


@pytest.fixture(params=[OLLAMA, OPENAI], ids=["ollama", "openai"])
def chat(request: pytest.FixtureRequest, cache: Path) -> ChatProtocol:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def elsewhere() -> Iterator[LoopbackServer]:
    with FakeOllama() as server:
        yield server


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/api/version", "has not answered one to /api/version within 0.5 s"),
        ("/api/show", "does not say whether it has tiny (no answer within 0.5 s)"),
    ],
)
def test_a_check_of_ollama_that_drips_ends_in_time(path: str, message: str, cache: Path) -> None:
    with FakeOllama(troubles={path: DRIP}) as server:
        assert message in OLLAMA.failure(server, timeout=0.3)


def test_a_check_of_an_endpoint_that_drips_ends_in_time(cache: Path) -> None:
    with FakeOpenAI(troubles={"/v1/models": DRIP}) as server:
        assert "has not answered one to /models within 0.4 s" in OPENAI.failure(server, timeout=0.3)


@pytest.mark.parametrize("path", ["/api/tags", "/api/generate", "/api/ps"])
def test_what_surrounds_the_calls_to_ollama_ends_in_time(path: str, cache: Path) -> None:
    with FakeOllama([GOOD, OTHER], troubles={path: DRIP}) as server:
        [pool], notices = OLLAMA.make(server)
    assert sorted(pool.texts) == sorted([GOOD, OTHER])
    assert len(notices) == (path != "/api/tags")
    assert all("was asked to unload tiny and does not answer" in notice for notice in notices)


def test_answers_beyond_the_limit_are_not_read_to_the_end(
    chat: ChatProtocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "ANSWER_LIMIT", 20_000)
    with chat.server(["x" * 30_000, GOOD, OTHER]) as server:
        [pool], _ = chat.make(server)
    assert sorted(pool.texts) == sorted([GOOD, OTHER])
    assert [found.reason for found in pool.rejected] == ["unreadable answer"]


@pytest.mark.parametrize(
    "answer",
    [
        Raw(gzip.compress(b" " * 10**7), headers=(("Content-Encoding", "gzip"),)),
        Raw(b"[" * 200_000 + b"]" * 200_000),
    ],
    ids=["compressed", "nested"],
)
def test_a_compressed_or_deeply_nested_answer_is_a_rejection(answer: Reply, chat: ChatProtocol) -> None:
    with chat.server([answer, GOOD, OTHER]) as server:
        [pool], _ = chat.make(server)
        assert all(call.headers["accept-encoding"] == "identity" for call in server.calls)
    assert sorted(pool.texts) == sorted([GOOD, OTHER])
    assert [found.reason for found in pool.rejected] == ["unreadable answer"]


@pytest.mark.parametrize("nested", [Raw(b"[" * 200_000), Raw(b" " * 2_000_000)], ids=["nested", "long"])
def test_a_check_with_such_an_answer_is_a_sentence(nested: Reply, cache: Path) -> None:
    with FakeOllama(troubles={"/api/version": nested}) as server:
        assert "answers, but not as an Ollama server" in OLLAMA.failure(server)
    with FakeOpenAI([GOOD, OTHER], troubles={"/v1/models": nested}) as server:
        [pool], _ = OPENAI.make(server)
    assert sorted(pool.texts) == sorted([GOOD, OTHER])  # calls arrive in any order


def test_no_call_is_sent_on_to_another_host(
    chat: ChatProtocol, elsewhere: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(openai.KEY, KEY)
    away = Raw(b"", REDIRECT, (("Location", f"{elsewhere.url}/api/chat"),))
    with chat.server([away] * 9) as server:
        message = chat.failure(server)
    assert f"HTTP {REDIRECT}" in message
    assert elsewhere.calls == []


def test_a_key_that_would_be_sent_in_clear_to_another_host_is_said(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(openai.KEY, KEY)
    progress, nobody = RecordingDisplay(), "http://192.0.2.1/v1"  # an address of documentation
    with FakeOpenAI() as server:
        OPENAI.make(server, progress=progress)
        assert progress.notices == []
        with pytest.raises(ParaphraseError, match="No server answers"):
            OPENAI.make(server, progress=progress, base_url=nobody)
    assert progress.notices == [
        f"{nobody}: the key in OPENAI_API_KEY is sent there in clear, since the address is not https"
    ]


def test_a_key_that_an_answer_repeats_is_kept_nowhere(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(openai.KEY, KEY)
    with FakeOpenAI([f"Your key is {KEY}: say yes or no.", GOOD, OTHER]) as server:
        [pool], _ = OPENAI.make(server)
    assert not any(KEY in answer for answer in saved(cache))
    assert KEY not in json.dumps([*pool.texts, *(found.text for found in pool.rejected)])
