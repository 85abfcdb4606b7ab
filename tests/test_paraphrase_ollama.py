"""The `ollama` backend through the real client, against a real server on loopback (ollama_server.py)."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ollama_server import Fail, FakeOllama, Reply, Trouble
from sapo_lite.errors import ParaphraseError
from sapo_lite.paraphrase import Paraphraser, Pool
from sapo_lite.paraphrase import ollama as backend
from sapo_lite.paraphrase.address import resolve_host
from sapo_lite.paraphrase.pool import Rejection
from sapo_lite.recipe import ParaphraseConfig
from sapo_lite.types import Candidate, Task

CHAT, UNLOAD, PS = "POST /api/chat", "POST /api/generate", "GET /api/ps"
TASK = Task("task273_europarl", "SUPERNI", 'Is it right? Say "yes" or "no".', "", ("yes", "no"), "en", (), ())
GOOD = "<START>If right, say yes, else no.</START>"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(backend, "BACKOFF", (0.01, 0.01))
    monkeypatch.setattr(backend, "HEALTH_TIMEOUT", 0.5)
    monkeypatch.setattr(backend, "UNLOAD_LIMIT", 0.2)
    monkeypatch.setattr(backend, "UNLOAD_POLL", 0.01)


def config(server: FakeOllama, **changes: Any) -> ParaphraseConfig:
    settings: dict[str, Any] = {
        "model": "tiny",
        "host": server.url,
        "count": 2,
        "attempts": 2,
        "timeout": 5.0,
    }
    return ParaphraseConfig(backend="ollama", **(settings | changes))


def ignore(candidate: Candidate) -> None:
    """For tests that look at the pool alone."""


def make(server: FakeOllama, *tasks: Task, seed: int = 0, **changes: Any) -> tuple[list[Pool], list[str]]:
    """Pools of the tasks (of TASK if none is named), and the notices of the release."""
    notices: list[str] = []
    with Paraphraser(config(server, **changes), seed=seed, notify=notices.append) as paraphraser:
        pools = [paraphraser.candidates(task, ignore) for task in tasks or (TASK,)]
    return pools, notices


def failure(server: FakeOllama, **changes: Any) -> str:
    with pytest.raises(ParaphraseError) as caught:
        make(server, **changes)
    return str(caught.value)


def elsewhere(instruction: str) -> Task:
    return Task("task141", "SUPERNI", instruction, "", (), "en", (), ())


# --- what is asked, and in which order


def test_check_then_one_call_a_paraphrase_then_unload_and_look_until_it_is_gone() -> None:
    with FakeOllama(polls_until_gone=2) as server:
        pools, notices = make(server, TASK, elsewhere("Find the odd word."))
    assert server.routes == ["GET /api/version", "POST /api/show", *[CHAT] * 4, UNLOAD, PS, PS, PS]
    assert server.bodies(UNLOAD) == [{"model": "tiny", "keep_alive": 0, "stream": False}]
    assert not server.loaded
    assert notices == []
    assert [(c.index, c.text, c.origin) for c in pools[0].candidates] == [
        (0, TASK.instruction, "original"),
        (1, "Wording 1: say yes or no.", "ollama"),
        (2, "Wording 2: say yes or no.", "ollama"),
    ]


def test_a_call_carries_the_request_the_temperature_and_its_own_seed() -> None:
    with FakeOllama() as server:
        make(server, temperature=0.7, seed=11)
        make(server, temperature=0.7, seed=11)
        make(server, seed=12)
    bodies = server.bodies(CHAT)
    assert TASK.instruction in bodies[0]["messages"][0]["content"]
    assert bodies[0]["messages"] != bodies[1]["messages"]  # another style
    assert {key: bodies[0]["options"][key] for key in ("temperature", "num_ctx", "num_predict")} == {
        "temperature": 0.7,
        "num_ctx": 8192,
        "num_predict": 2048,
    }
    assert (bodies[0]["think"], bodies[0]["stream"]) == (False, False)
    seeds = [body["options"]["seed"] for body in bodies]
    assert seeds[:2] == seeds[2:4]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_run_with_nothing_to_paraphrase_needs_no_server() -> None:
    with FakeOllama() as server:
        make(server, elsewhere(""))
    assert server.calls == []


# --- what comes back


def test_bad_answers_are_asked_for_again_and_kept_with_their_reasons() -> None:
    replies = ["", "Sure! yes or no.", "<START>Decide.</START>", GOOD, GOOD.upper().replace("YES", "yes")]
    with FakeOllama(replies) as server:
        [pool], _ = make(server, attempts=3)
    assert [candidate.text for candidate in pool.candidates[1:]] == [
        "If right, say yes, else no.",
        "Wording 6: say yes or no.",
    ]
    assert pool.rejected == (
        Rejection("", "empty"),
        Rejection("Sure! yes or no.", "no text between <START> and </START>"),
        Rejection("Decide.", 'label "yes" missing'),
        Rejection("IF RIGHT, SAY yes, ELSE NO.", 'label "no" altered'),
    )


def test_thinking_is_left_aside() -> None:
    with FakeOllama([f"<think>\n<START>hm, yes or no</START>\n</think>\n{GOOD}"]) as server:
        [pool], _ = make(server, count=1)
    assert pool.candidates[1].text == "If right, say yes, else no."


def test_a_model_that_refuses_the_think_setting_is_asked_without_it_from_then_on() -> None:
    with FakeOllama(refuses_think=True) as server:
        [pool], _ = make(server)
    assert len(pool.candidates) == 3
    assert ["think" in body for body in server.bodies(CHAT)] == [True, False, False]


def test_a_model_that_only_says_the_same_leaves_a_smaller_pool_with_a_notice() -> None:
    with FakeOllama([GOOD] * 4) as server:
        [pool], _ = make(server)
    assert pool.notice == (
        "task273: 1 of the 2 paraphrases asked for; not accepted: 3 x equal to another candidate."
    )


def test_a_model_that_never_says_anything_useful_is_an_error() -> None:
    with FakeOllama([""] * 4) as server:
        message = failure(server)
    assert "none of the 2 paraphrases asked for was accepted; not accepted: 4 x empty." in message


# --- a server in trouble


@pytest.mark.parametrize("trouble", [Fail(503, "server busy"), Trouble.DROP])
def test_a_busy_server_and_a_broken_connection_are_tried_again(trouble: Reply) -> None:
    with FakeOllama([trouble, trouble, GOOD]) as server:
        [pool], _ = make(server, count=1)
    assert pool.candidates[1].text == "If right, say yes, else no."
    assert pool.rejected == ()
    first, second, third = server.bodies(CHAT)
    assert first == second == third  # the same request, not the next one


@pytest.mark.parametrize(
    ("trouble", "what"),
    [(Fail(503, "server busy"), "was busy (HTTP 503)"), (Trouble.DROP, "broke the connection")],
)
def test_tries_are_bounded(trouble: Reply, what: str) -> None:
    with FakeOllama([trouble] * 9) as server:
        message = failure(server)
    assert message == (
        f"Ollama at {server.url} {what} 3 times in a row. "
        "See that it runs (ollama ps), then start the run again."
    )
    assert len(server.bodies(CHAT)) == 3


def test_an_unreadable_answer_counts_as_a_rejection() -> None:
    with FakeOllama([Trouble.GARBAGE, GOOD]) as server:
        [pool], _ = make(server, count=1)
    assert pool.rejected == (Rejection("", "unreadable answer"),)


def test_a_call_without_an_answer_ends_and_the_next_is_made() -> None:
    with FakeOllama([Trouble.HANG, GOOD]) as server:
        [pool], _ = make(server, count=1, timeout=0.2)
    assert pool.rejected == (Rejection("", "no answer within 0.2 s"),)
    assert len(pool.candidates) == 2


def test_the_deadline_is_kept_when_the_server_never_answers() -> None:
    started = time.monotonic()
    with FakeOllama([Trouble.HANG] * 99) as server:
        message = failure(server, timeout=0.2, deadline=0.7, count=20, attempts=6)
    assert time.monotonic() - started < 10
    assert "1 x paraphrase.deadline of 0.7 s reached" in message
    assert "x no answer within 0.2 s" in message


def test_the_deadline_cuts_a_call_short_and_keeps_what_is_there() -> None:
    started = time.monotonic()
    with FakeOllama([GOOD, Trouble.HANG]) as server:
        [pool], _ = make(server, timeout=60.0, deadline=0.7)
    assert time.monotonic() - started < 10
    assert len(pool.candidates) == 2
    assert pool.rejected == (Rejection("", "paraphrase.deadline of 0.7 s reached"),)


def test_the_deadline_is_kept_while_waiting_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "BACKOFF", (60.0,))
    started = time.monotonic()
    with FakeOllama([GOOD, Fail(503, "server busy")]) as server:
        [pool], _ = make(server, deadline=0.7)
    assert time.monotonic() - started < 10
    assert len(pool.candidates) == 2


# --- errors in plain words


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as listener:  # bound and not listening: nobody else can take it meanwhile
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


def test_no_server_is_said_with_the_command_that_starts_one(closed_port: int) -> None:
    settings = ParaphraseConfig(backend="ollama", model="tiny", host=f"127.0.0.1:{closed_port}")
    with pytest.raises(ParaphraseError) as caught, Paraphraser(settings, seed=0) as paraphraser:
        paraphraser.candidates(TASK, ignore)
    assert str(caught.value) == (
        f"No Ollama server answers at http://127.0.0.1:{closed_port}. Start it with: ollama serve "
        "(or name another server in paraphrase.host or OLLAMA_HOST)."
    )


@pytest.mark.parametrize("host", ["a b", "127..0.1"])
def test_a_host_that_cannot_be_one_gets_the_same_sentence(host: str) -> None:
    with FakeOllama() as server:
        assert failure(server, host=host).startswith(f"No Ollama server answers at http://{host}:11434.")


def test_a_silent_server_is_said_at_once() -> None:
    with FakeOllama(troubles={"/api/version": Trouble.HANG}) as server:
        assert failure(server).startswith("No Ollama server answers at")


@pytest.mark.parametrize(("reply", "status"), [(Trouble.GARBAGE, 200), (Fail(404, "not here"), 404)])
def test_another_server_is_not_taken_for_ollama(reply: Fail | Trouble, status: int) -> None:
    with FakeOllama(troubles={"/api/version": reply}) as server:
        message = failure(server)
    assert message == (
        f"{server.url} answers, but not as an Ollama server (HTTP {status} for /api/version). "
        "Correct paraphrase.host or OLLAMA_HOST."
    )
    assert server.routes == ["GET /api/version"]


def test_a_missing_model_is_said_with_the_command_that_fetches_it() -> None:
    with FakeOllama() as server:
        message = failure(server, model="qwen3:8b")
    assert message == (
        f'The Ollama server at {server.url} does not have the model "qwen3:8b". '
        "Fetch it there with: ollama pull qwen3:8b"
    )
    assert server.routes == ["GET /api/version", "POST /api/show"]


def test_a_server_that_stalls_after_its_version_is_said() -> None:
    with FakeOllama(troubles={"/api/show": Trouble.HANG}) as server:
        assert failure(server) == (
            f"The Ollama server at {server.url} does not say whether it has tiny (ReadTimeout). "
            "Restart it with: ollama serve"
        )


def test_a_description_the_client_cannot_read_is_no_obstacle() -> None:
    with FakeOllama(troubles={"/api/show": Trouble.GARBAGE}) as server:
        [pool], _ = make(server)
    assert len(pool.candidates) == 3


def test_a_model_lost_between_calls_is_not_asked_for_again() -> None:
    with FakeOllama([GOOD, Fail(404, "model 'tiny' not found")]) as server:
        message = failure(server)
    assert message.endswith("Fetch it there with: ollama pull tiny")
    assert len(server.bodies(CHAT)) == 2


def test_a_model_that_cannot_be_run_is_said_in_the_servers_words_and_not_tried_again() -> None:
    with FakeOllama([Fail(500, "model requires more system memory (9 GiB)")]) as server:
        message = failure(server)
    assert message == (
        f'Ollama at {server.url} cannot run "tiny" (HTTP 500): model requires more system memory (9 GiB)'
    )
    assert len(server.bodies(CHAT)) == 1


@pytest.mark.parametrize("model", ["gpt-oss:120b-cloud", "kimi-k2:cloud", "me/x:1T-Cloud"])
def test_cloud_models_are_refused_before_any_call(model: str) -> None:
    with FakeOllama() as server:
        assert failure(server, model=model) == (
            f'The model "{model}" runs in Ollama\'s cloud, and sapo-lite sends no data away: '
            "choose a local model as paraphrase.model."
        )
    assert server.calls == []


def test_a_local_model_may_be_called_cloud() -> None:
    with FakeOllama(model="thunder-cloud:latest") as server:
        assert len(make(server, model="thunder-cloud")[0][0].candidates) == 3


def test_a_model_must_be_named() -> None:
    with FakeOllama() as server:
        assert failure(server, model=None) == 'paraphrase.backend = "ollama" needs a paraphrase.model.'


# --- unloading


def test_a_model_that_stays_is_a_notice() -> None:
    with FakeOllama(polls_until_gone=10**6) as server:
        [pool], notices = make(server)
    assert len(pool.candidates) == 3
    assert notices == [
        f"Ollama at {server.url} was asked to unload tiny and still lists it 0.2 s later. "
        "If memory is short, free it with: ollama stop tiny"
    ]


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (Trouble.HANG, "does not answer"),
        (Trouble.DROP, "does not answer"),
        (Fail(500, "oh no"), "answered: oh no (status code: 500)"),
    ],
)
def test_a_failed_unload_is_a_notice(trouble: Fail | Trouble, said: str) -> None:
    with FakeOllama(troubles={"/api/generate": trouble}) as server:
        _, notices = make(server)
    assert notices[0].startswith(f"Ollama at {server.url} was asked to unload tiny and {said}. If memory")


def test_a_server_that_has_died_is_a_notice() -> None:
    notices: list[str] = []
    with FakeOllama() as server:
        with Paraphraser(config(server), seed=0, notify=notices.append) as paraphraser:
            paraphraser.candidates(TASK, ignore)
            server.close()
        assert "does not answer" in notices[0]


def test_an_interrupted_run_unloads_without_waiting() -> None:
    def interrupt(candidate: Candidate) -> None:
        if candidate.index == 1:
            raise KeyboardInterrupt

    with FakeOllama(polls_until_gone=10**6) as server:
        with pytest.raises(KeyboardInterrupt), Paraphraser(config(server), seed=0) as paraphraser:
            paraphraser.candidates(TASK, interrupt)
        assert server.routes[-1] == UNLOAD


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
