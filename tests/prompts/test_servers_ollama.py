"""The fake Ollama server (ollama_server.py), through the real client; common to all: test_servers.py."""

import asyncio
import json
import time
from typing import Any

import httpx
import ollama
import pytest

from ollama_server import FakeOllama
from replies import Answer, Drip, Fail, Json, MidStreamError, Reply, Slow, Trouble

CHAT = "POST /api/chat"
HTTP = httpx.Client(verify=False, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


@pytest.fixture(autouse=True)
def _straight_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def sync(server: FakeOllama) -> ollama.Client:
    return ollama.Client(server.url, verify=False, timeout=5)


def client(server: FakeOllama, timeout: float = 5.0) -> ollama.AsyncClient:
    return ollama.AsyncClient(server.url, verify=False, timeout=timeout)


async def one(client: ollama.AsyncClient, word: str, parts: list[Any], **more: Any) -> str:
    """What is said to one streamed chat; its parts are put into `parts` as they come."""
    async for part in await client.chat("tiny", [{"role": "user", "content": word}], stream=True, **more):
        parts.append(part)
    return "".join(part.message.content for part in parts)


async def _chat(parts: list[Any], stream: bool, server: FakeOllama, timeout: float, **more: Any) -> None:
    async with client(server, timeout) as asker:
        if stream:
            await one(asker, "hello", parts, **more)
        else:
            parts.append(await asker.chat("tiny", [{"role": "user", "content": "hello"}], **more))


def chat(server: FakeOllama, stream: bool = True, timeout: float = 5.0, **more: Any) -> list[Any]:
    """All parts of one chat: a single one if it is not streamed."""
    parts: list[Any] = []
    asyncio.run(_chat(parts, stream, server, timeout, **more))
    return parts


# --- talking


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_in_pieces_or_whole(stream: bool) -> None:
    reply = Answer("Ja, 可以吗?", thinking="Let me see.", reason="length")
    with FakeOllama([reply, ""], capabilities=["completion", "thinking"]) as server:
        parts = chat(server, stream, think=True)
        empty = chat(server, stream)
        usual = chat(server, stream)
        assert server.loaded
    assert "".join(part.message.content for part in parts) == reply.text
    assert "".join(part.message.thinking or "" for part in parts) == "Let me see."
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert len(parts) > 6 if stream else len(parts) == 1
    end = parts[-1]
    assert (end.done_reason, end.model, end.message.role) == ("length", "tiny", "assistant")
    assert end.total_duration > end.load_duration > 0
    assert [(part.message.content, part.done) for part in empty] == [("", True)]
    assert "".join(part.message.content for part in usual) == "Wording 3: say yes or no."
    assert (server.routes, server.bodies(CHAT)[0]["stream"]) == ([CHAT] * 3, stream)


def test_a_think_setting_is_refused_as_by_ollama() -> None:
    with FakeOllama() as simple, FakeOllama(refuses_think=True) as old:
        for server, think in ((simple, True), (old, False)):
            with pytest.raises(ollama.ResponseError) as caught:
                chat(server, think=think)
            assert (caught.value.status_code, caught.value.error) == (400, '"tiny" does not support thinking')
        assert chat(simple, think=False)


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
def test_the_client_sees_every_trouble_of_a_chat(stream: bool) -> None:
    expected: list[tuple[Reply, Any, str]] = [
        (Fail(503, "server busy"), ollama.ResponseError, "server busy (status code: 503)"),
        (Trouble.DROP, httpx.RemoteProtocolError, "without sending a response"),
        (Trouble.CUT, httpx.RemoteProtocolError, "without sending complete message body"),
        (Trouble.GARBAGE, json.JSONDecodeError, ""),
        (Json([1]), (AttributeError, TypeError), ""),
        (
            Slow(MidStreamError("lost"), 0.01),
            ollama.ResponseError,
            f"lost (status code: {-1 if stream else 500})",
        ),
        (Trouble.HANG, httpx.ReadTimeout, ""),
        (Trouble.STALL, httpx.ReadTimeout, ""),
        (Slow("late", 9), httpx.ReadTimeout, ""),
    ]
    with FakeOllama([reply for reply, _, _ in expected]) as server:
        for _, kind, shown in expected:
            with pytest.raises(kind) as caught:
                chat(server, stream, timeout=0.3 if kind is httpx.ReadTimeout else 60.0)
            assert shown in str(caught.value)
        assert chat(server, stream)  # the next call is none the worse
        assert server.in_flight_most == 1  # and a call that was given up is not in flight


def test_what_a_broken_stream_had_said_is_the_first_half() -> None:
    with FakeOllama([Trouble.CUT, Trouble.STALL, MidStreamError("lost")]) as server:
        for number in (1, 2, 3):
            parts: list[Any] = []
            with pytest.raises((httpx.TransportError, ollama.ResponseError)):
                asyncio.run(_chat(parts, True, server, 0.05))
            said = "".join(part.message.content for part in parts)
            assert 5 < len(said) < 30
            assert f"Wording {number}: say yes or no.".startswith(said)


def test_a_drip_comes_whole_and_outlasts_any_pause_between_bytes() -> None:
    with FakeOllama([Drip("", 0.0005), Drip("Yes.", 0.02)]) as server:
        assert [part.done for part in chat(server, timeout=60.0)] == [True]
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(_chat([], True, server, 0.5), 0.1))


# --- models


def test_what_is_told_of_the_server_and_its_models() -> None:
    with FakeOllama(model="tiny", capabilities=["completion", "tools"]) as server, sync(server) as asker:
        [model] = asker.list().models
        server.digest = "f" * 64
        assert (len(model.digest), asker.list().models[0].digest) == (64, "f" * 64)
        assert (model.model, model.details.format, bool(model.modified_at)) == ("tiny:latest", "gguf", True)
        assert asker.show("TINY:latest").capabilities == ["completion", "tools"]
        assert HTTP.get(f"{server.url}/api/version").json() == {"version": server.version}
        assert HTTP.get(f"{server.url}/api/nothing").status_code == 404
        server.models.clear()
        for ask in (asker.show, asker.chat, asker.generate):
            with pytest.raises(ollama.ResponseError) as caught:
                ask("tiny")
            assert (caught.value.status_code, caught.value.error) == (404, "model 'tiny' not found")


@pytest.mark.parametrize("polls", [0, 2])
def test_a_model_is_in_memory_from_a_chat_until_some_looks_after_its_unloading(polls: int) -> None:
    with FakeOllama(polls_until_gone=polls) as server, sync(server) as asker:
        assert asker.ps().models == []
        chat(server)
        [running] = asker.ps().models
        assert (running.model, running.name, running.digest) == ("tiny:latest", "tiny:latest", server.digest)
        assert running.size == running.size_vram > 0
        assert running.expires_at.timestamp() > time.time() + 100
        server.troubles = {"/api/generate": Trouble.DROP}  # and then nothing is done
        with pytest.raises(httpx.RemoteProtocolError):
            asker.generate("tiny", keep_alive=0)
        server.troubles.clear()
        assert server.loaded
        assert asker.generate("tiny", keep_alive=0).done_reason == "unload"
        assert [len(asker.ps().models) for _ in range(polls + 1)] == [1] * polls + [0]
        assert not server.loaded
        assert asker.generate("tiny").done_reason == "load"
        chat(server, keep_alive=0)
        assert server.loaded == (polls > 0)


def test_a_pull_tells_its_progress_and_brings_the_model_unless_it_fails() -> None:
    troubles = {"/api/pull": MidStreamError("disk full")}
    with FakeOllama(models=(), troubles=troubles) as server, sync(server) as asker:
        with pytest.raises(ollama.ResponseError, match="disk full"):
            list(asker.pull("tiny", stream=True))
        for streams, status in ((True, -1), (False, 500)):
            server.troubles.clear()
            with pytest.raises(ollama.ResponseError, match="manifest: file does not exist") as caught:
                list(asker.pull("nope", stream=streams))
            assert caught.value.status_code == status
        assert server.models == []
        steps = list(asker.pull("tiny", stream=True))
        assert (server.models, asker.pull("tiny").status) == (["tiny:latest"], "success")
    layers = [step for step in steps if step.digest]
    assert steps[0].status == "pulling manifest"
    assert [step.status for step in steps[-3:]] == ["verifying sha256 digest", "writing manifest", "success"]
    assert len({layer.digest for layer in layers}) == 2
    assert all(layer.status == f"pulling {layer.digest[7:19]}" for layer in layers)
    assert (layers[0].completed, layers[-1].completed) == (None, layers[-1].total)
