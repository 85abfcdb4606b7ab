"""The `ollama` source alone: finding, pulling and unloading models, and turning thinking off.

Through the real client, against a real server on loopback. Shared with `openai`: test_chat_servers.py.
"""

import threading
from pathlib import Path
from typing import Any

import pytest

from chat_sources import GOOD, OLLAMA, OTHER, TASK, RecordingDisplay, elsewhere, saved
from ollama_server import FakeOllama
from replies import Fail, Json, MidStreamError, Reply, Slow, Trouble
from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.make import make_pools
from sapo_lite.prompts.sources import ollama_server
from sapo_lite.prompts.sources.ollama_server import resolve_host
from sapo_lite.prompts.sources.openers import SourceContext
from sapo_lite.recipe import ParaphraseConfig

pytestmark = pytest.mark.usefixtures("nothing_left_behind")
make, failure = OLLAMA.make, OLLAMA.failure

CHAT, UNLOAD, PS, PULL = "POST /api/chat", "POST /api/generate", "GET /api/ps", "POST /api/pull"
VERSION, SHOW, TAGS = "GET /api/version", "POST /api/show", "GET /api/tags"


# --- what is asked, and in which order


def test_check_then_one_call_a_paraphrase_then_unload_and_look_until_it_is_gone() -> None:
    with FakeOllama([GOOD], polls_until_gone=2) as server:
        _, notices = make(server, TASK, elsewhere("Find the odd word."), parallel=1)
    assert [r for r in server.routes if r != TAGS] == [VERSION, SHOW, *[CHAT] * 4, UNLOAD, PS, PS, PS]
    assert server.routes.count(TAGS) == 1  # for the digest beside the saved answers
    assert server.bodies(UNLOAD) == [{"model": "tiny", "keep_alive": 0, "stream": False}]
    assert not server.loaded
    assert notices == []


def test_a_call_is_streamed_without_thoughts_in_a_context_that_is_named() -> None:
    with FakeOllama() as server:
        make(server, temperature=0.7, count=1)
    [body] = server.bodies(CHAT)
    assert body["options"].pop("seed") is not None
    assert body["options"] == {"temperature": 0.7, "num_ctx": 8192, "num_predict": 2048}
    assert (body["think"], body["stream"]) == (False, True)


# --- what comes back


def test_a_model_that_refuses_the_think_setting_is_asked_without_it_from_then_on() -> None:
    with FakeOllama(refuses_think=True) as server:
        [pool], _ = make(server, parallel=1)
    assert len(pool.texts) == 2
    assert ["think" in body for body in server.bodies(CHAT)] == [True, False, False]


def test_all_calls_in_flight_are_asked_again_without_the_think_setting() -> None:
    together = threading.Barrier(3, timeout=5)

    def refuse(body: dict[str, Any]) -> Reply | None:
        together.wait()
        return Fail(400, '"tiny" does not support thinking') if "think" in body else None

    with FakeOllama(refuse) as server:
        [pool], _ = make(server, count=3)
        calls = len(server.bodies(CHAT))
        make(server, elsewhere("Find the odd word."), count=3)
    assert len(pool.texts) == 3
    assert pool.rejected == ()
    assert calls == 6
    assert ["think" in body for body in server.bodies(CHAT)[:6]] == [True] * 3 + [False] * 3


# --- a server in trouble

UNFINISHED = Json({"message": {"role": "assistant", "content": GOOD}, "done": False})


def test_a_stream_that_ends_in_an_error_is_tried_again() -> None:
    with FakeOllama([MidStreamError("runner has stopped")] * 2 + [GOOD]) as server:
        [pool], _ = make(server, count=1)
    assert pool.texts == [GOOD]
    assert pool.rejected == ()
    first, second, third = server.bodies(CHAT)
    assert first == second == third  # the same request, not the next one


@pytest.mark.parametrize(
    ("trouble", "what"),
    [
        (MidStreamError("runner has stopped"), 'broke off ("runner has stopped")'),
        (UNFINISHED, "broke the connection"),
    ],
)
def test_tries_of_a_broken_stream_are_bounded(trouble: Reply, what: str) -> None:
    with FakeOllama([trouble] * 9) as server:
        message = failure(server, count=1)
    assert message == (
        f"Ollama at {server.url} {what} 3 times in a row. "
        "See that it runs, then start the same command again: what it has said is kept."
    )
    assert len(server.bodies(CHAT)) == 3


def test_a_stream_that_ends_before_the_answer_is_done_is_tried_again() -> None:
    with FakeOllama([UNFINISHED, OTHER]) as server:
        [pool], _ = make(server, count=1)
    assert pool.texts == [OTHER]


# --- errors in plain words


@pytest.mark.parametrize("installed", [True, False])
def test_no_server_is_said_with_the_command_that_starts_one(
    closed_port: int, installed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if installed:
        (tmp_path / "ollama").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = ParaphraseConfig(backend="ollama", model="tiny", host=f"127.0.0.1:{closed_port}")
    with pytest.raises(ParaphraseError) as caught:
        make_pools([TASK], settings, SourceContext(RecordingDisplay()))
    how = "Start it" if installed else "Install Ollama from https://ollama.com/download, then start it"
    assert str(caught.value) == (
        f"No Ollama server answers at http://127.0.0.1:{closed_port}. {how} with: ollama serve "
        "(or name another server in paraphrase.host or OLLAMA_HOST; "
        'paraphrase.backend = "builtin" does without one).'
    )


@pytest.mark.parametrize("host", ["a b", "127..0.1"])
def test_a_host_that_cannot_be_one_gets_the_same_sentence(host: str) -> None:
    with FakeOllama() as server:
        assert failure(server, host=host) == (
            f"No Ollama server answers at http://{host}:11434. Start it with: ollama serve "
            "(or name another server in paraphrase.host or OLLAMA_HOST; "
            'paraphrase.backend = "builtin" does without one).'
        )


@pytest.mark.parametrize("saved_before", [False, True])
def test_a_server_that_stays_silent_is_said_after_the_timeout(saved_before: bool) -> None:
    with FakeOllama([GOOD]) as server:
        if saved_before:
            make(server, count=1)
        server.calls.clear()
        server.troubles |= {"/api/version": Trouble.HANG, "/api/tags": Trouble.HANG}
        assert failure(server, timeout=0.5) == (
            f"The server at {server.url} takes calls, and has not answered one to /api/version within 0.5 s "
            "(paraphrase.timeout). If it is Ollama, restart it with: ollama serve"
        )
        assert server.routes == ([TAGS, VERSION] if saved_before else [VERSION])


def test_a_server_that_is_slow_to_say_what_it_is_and_has_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ollama_server, "HEALTH_TIMEOUT", 0.2)
    with FakeOllama(troubles={"/api/version": Slow("", 0.3), "/api/show": Slow("", 0.3)}) as server:
        [pool], _ = make(server)
    assert len(pool.texts) == 2


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Trouble.GARBAGE, 200),
        (Fail(404, "not here"), 404),
        (Fail(500, "oh no"), 500),
        (Json([]), 200),
        (Json({"status": "ok"}), 200),
    ],
)
def test_another_server_is_not_taken_for_ollama(reply: Reply, status: int) -> None:
    with FakeOllama(troubles={"/api/version": reply}) as server:
        message = failure(server)
    assert message == (
        f"{server.url} answers, but not as an Ollama server (HTTP {status} for /api/version). "
        "Correct paraphrase.host or OLLAMA_HOST."
    )
    assert server.routes == [VERSION]


def test_a_missing_model_is_said_with_the_command_that_fetches_it() -> None:
    with FakeOllama() as server:
        message = failure(server, model="qwen3:8b")
    assert message == (
        f'The Ollama server at {server.url} does not have the model "qwen3:8b". '
        "Fetch it there with: ollama pull qwen3:8b (or add --pull to this command)"
    )
    assert server.routes == [VERSION, SHOW]


def test_a_server_that_stalls_after_its_version_is_said() -> None:
    with FakeOllama(troubles={"/api/show": Trouble.HANG}) as server:
        assert failure(server, timeout=0.5) == (
            f"The Ollama server at {server.url} does not say whether it has tiny (no answer within 0.5 s). "
            "Restart it with: ollama serve"
        )


def test_a_description_the_client_cannot_read_is_no_obstacle() -> None:
    with FakeOllama(troubles={"/api/show": Trouble.GARBAGE}) as server:
        [pool], _ = make(server)
    assert len(pool.texts) == 2


@pytest.mark.parametrize("trouble", [Trouble.GARBAGE, Trouble.HANG, Fail(500, "oh no"), Json([])])
def test_a_digest_that_cannot_be_found_out_is_no_obstacle(trouble: Reply) -> None:
    with FakeOllama(troubles={"/api/tags": trouble}) as server:
        [pool], notices = make(server)
    assert len(pool.texts) == 2
    assert notices == []
    assert server.routes.count(TAGS) == 1


def test_a_model_lost_between_calls_is_not_asked_for_again() -> None:
    with FakeOllama([GOOD, Fail(404, "model 'tiny' not found")]) as server:
        message = failure(server, parallel=1)
    assert message.endswith("Fetch it there with: ollama pull tiny (or add --pull to this command)")
    assert len(server.bodies(CHAT)) == 2


def test_a_model_that_cannot_be_run_is_said_in_the_servers_words() -> None:
    with FakeOllama([Fail(403, "this model needs a subscription")] * 9) as server:
        message = failure(server, count=1)
    assert message == f'Ollama at {server.url} cannot run "tiny" (HTTP 403): this model needs a subscription'
    assert len(server.bodies(CHAT)) == 1


@pytest.mark.parametrize("model", ["gpt-oss:120b-cloud", "kimi-k2:cloud", "me/x:1T-Cloud"])
def test_cloud_models_are_refused_before_any_call(model: str) -> None:
    with FakeOllama(model=model) as server:
        for named in ({"model": model}, {"backend": f"ollama/{model}"}):
            assert failure(server, **named) == (
                f'The model "{model}" runs in Ollama\'s cloud, which would be sent your instructions: '
                "choose a local model, or allow it with paraphrase.allow_cloud = true."
            )
        assert server.calls == []
        assert len(make(server, model=model, allow_cloud=True)[0][0].texts) == 2


def test_a_local_model_may_be_called_cloud() -> None:
    with FakeOllama(model="thunder-cloud:latest") as server:
        assert len(make(server, model="thunder-cloud")[0][0].texts) == 2


def test_two_models_of_one_server_take_turns_in_memory() -> None:
    with FakeOllama(models=["tiny", "other:1b"]) as server:
        [pool], _ = make(server, backend=("ollama", "ollama/other:1b"))
    assert [candidate.origin for candidate in pool.candidates] == ["original", "ollama", "ollama/other:1b"]
    assert [call.body["model"] for call in server.calls if call.route in (CHAT, UNLOAD)] == [
        *["tiny"] * 2,
        *["other:1b"] * 2,
    ]


# --- pulling


def test_a_missing_model_is_pulled_where_that_is_allowed_and_shown_while_it_comes() -> None:
    progress = RecordingDisplay()
    with FakeOllama(models=[]) as server:
        [pool], _ = make(server, progress=progress, pull=True)
    assert len(pool.texts) == 2
    assert server.routes[:3] == [VERSION, SHOW, PULL]
    pulls = [meter for meter in progress.meters if meter[0] != "paraphrases"]
    assert [(label, total, unit) for label, total, unit, _ in pulls] == [
        ("pulling tiny", 523, "MB"),
        ("pulling tiny", 1, "MB"),
    ]
    assert [sum(steps) for *_, steps in pulls] == [523, 1]


def test_a_model_that_is_there_is_not_pulled() -> None:
    with FakeOllama() as server:
        make(server, pull=True)
    assert PULL not in server.routes


def test_a_model_that_nobody_has_is_said_in_the_servers_words() -> None:
    with FakeOllama(models=[], library=[]) as server:
        assert failure(server, pull=True) == (
            f'Ollama at {server.url} cannot fetch "tiny": pull model manifest: file does not exist'
        )


@pytest.mark.parametrize(
    ("trouble", "named"),
    [
        (Trouble.CUT, "RemoteProtocolError"),
        (Trouble.DROP, "RemoteProtocolError"),
        (Trouble.STALL, "ReadTimeout"),
        (Trouble.GARBAGE, "JSONDecodeError"),
        (Json({"status": "pulling manifest"}), "ConnectionError"),  # an end that is none
    ],
)
def test_a_pull_that_breaks_off_is_said(trouble: Reply, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ollama_server, "PULL_SILENCE", 0.3)
    with FakeOllama(models=[], troubles={"/api/pull": trouble}) as server:
        assert failure(server, pull=True) == (
            f'Ollama at {server.url} stopped fetching "tiny" ({named}). Start the same '
            "command again: what is there is kept."
        )
    assert server.routes == [VERSION, SHOW, PULL]


def test_an_error_in_the_middle_of_a_pull_is_said_in_the_servers_words() -> None:
    with FakeOllama(models=[], troubles={"/api/pull": MidStreamError("no space left on device")}) as server:
        assert failure(server, pull=True) == (
            f'Ollama at {server.url} cannot fetch "tiny": no space left on device'
        )


# --- unloading


def test_a_model_that_stays_is_a_notice() -> None:
    with FakeOllama(polls_until_gone=10**6) as server:
        [pool], notices = make(server)
    assert len(pool.texts) == 2
    assert notices == [
        f"Ollama at {server.url} was asked to unload tiny and still lists it 0.2 s later. "
        "If memory is short, free it with: ollama stop tiny"
    ]


@pytest.mark.parametrize("model", ["tiny", "Tiny", "tiny:latest", "hf.co/me/Tiny-GGUF:Q4_K_M"])
def test_a_model_is_waited_for_by_whatever_name_it_is_called(model: str) -> None:
    with FakeOllama(model=model, polls_until_gone=2) as server:
        make(server, model=model)
    assert server.routes[-3:] == [PS] * 3


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (Trouble.HANG, "does not answer"),
        (Trouble.DROP, "does not answer"),
        (Fail(500, "oh no"), "answered: oh no (status code: 500)"),
    ],
)
@pytest.mark.parametrize("path", ["/api/generate", "/api/ps"])
def test_a_failed_unload_is_a_notice(path: str, trouble: Fail | Trouble, said: str) -> None:
    with FakeOllama(troubles={path: trouble}) as server:
        [pool], notices = make(server)
    assert len(pool.texts) == 2
    assert notices == [
        f"Ollama at {server.url} was asked to unload tiny and {said}. "
        "If memory is short, free it with: ollama stop tiny"
    ]


@pytest.mark.parametrize("garbage", [Trouble.GARBAGE, Json([]), Json({"models": [{"model": 3}]})])
def test_a_list_of_models_that_cannot_be_read_is_a_notice(garbage: Reply) -> None:
    with FakeOllama(troubles={"/api/ps": garbage}) as server:
        _, [notice] = make(server)
    assert notice.startswith(f"Ollama at {server.url} was asked to unload tiny and answered: ")


def test_a_server_that_has_died_is_a_notice() -> None:
    with FakeOllama() as server:
        progress = RecordingDisplay(lambda candidates: server.close() if candidates == 3 else None)
        [pool], [notice] = make(server, progress=progress, parallel=1)
    assert len(pool.texts) == 2
    assert "does not answer" in notice


def test_an_interrupted_run_unloads_without_waiting_and_keeps_what_was_said(cache: Path) -> None:
    def interrupt(candidates: int) -> None:
        if candidates == 3:
            raise KeyboardInterrupt

    with FakeOllama(polls_until_gone=10**6) as server:
        with pytest.raises(KeyboardInterrupt):
            make(server, progress=RecordingDisplay(interrupt), count=5, parallel=1)
        assert server.routes[-1] == UNLOAD
        said = saved(cache)
        calls = len(server.bodies(CHAT))
        [pool], _ = make(server, count=5, parallel=1)
        assert len(server.bodies(CHAT)) == calls + 3
    assert len(said) == 2
    assert [f"{text}" for text in pool.texts[:2]] == said


def test_nothing_is_called_or_unloaded_when_everything_was_said_before() -> None:
    with FakeOllama(polls_until_gone=10**6) as server:
        [pool], _ = make(server)
        server.calls.clear()
        [again], notices = make(server)
        assert server.routes == [TAGS]  # is it still the same model?
    assert again == pool
    assert [notice.split(" (")[0] for notice in notices] == [
        "task273: paraphrases of an earlier run are used again"
    ]


# --- addresses


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (None, "http://127.0.0.1:11434"),
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("gpu-box", "http://gpu-box:11434"),
        ("http://gpu-box", "http://gpu-box:11434"),
        ("HTTP://gpu-box/", "http://gpu-box:11434"),
        ("http://gpu-box:80", "http://gpu-box:80"),
        ("https://gpu-box", "https://gpu-box:443"),
        ("gpu-box:8080/ollama/", "http://gpu-box:8080/ollama"),
        ("[::]:8080", "http://[::1]:8080"),
        ("[::1]", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("::", "http://[::1]:11434"),
        ("fe80::12", "http://[fe80::12]:11434"),
        (' "gpu-box" ', "http://gpu-box:11434"),
    ],
)
def test_a_host_in_any_spelling(host: str | None, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_host(host) == url
    monkeypatch.setenv("OLLAMA_HOST", host or "")
    assert resolve_host(None) == url
    assert resolve_host("elsewhere:1") == "http://elsewhere:1"


@pytest.mark.parametrize("host", ["ftp://gpu-box", "gpu-box:eleven", "http://[::1"])
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(ParaphraseError) as caught:
        resolve_host(host)
    assert str(caught.value) == (
        f'"{host}" is no address of an Ollama server: expected something like 127.0.0.1:11434 '
        "in paraphrase.host or OLLAMA_HOST."
    )
