"""The `ollama` source through the real client, against a real server on loopback (ollama_server.py)."""

import asyncio
import gc
import json
import os
import signal
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ollama_server import Answer, Drip, Fail, FakeOllama, Json, MidStreamError, Reply, Slow, Trouble
from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.make import make_pools
from sapo_lite.prompts.pool import Pool, Rejection
from sapo_lite.prompts.sources import concurrent as in_flight
from sapo_lite.prompts.sources import ollama_server
from sapo_lite.prompts.sources.ollama_server import resolve_host
from sapo_lite.prompts.sources.openers import SourceContext
from sapo_lite.recipe import ParaphraseConfig
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.types import Candidate, Task

CHAT, UNLOAD, PS, PULL = "POST /api/chat", "POST /api/generate", "GET /api/ps", "POST /api/pull"
VERSION, SHOW, TAGS = "GET /api/version", "POST /api/show", "GET /api/tags"
TASK = Task("task273_europarl", "SUPERNI", 'Is it right? Say "yes" or "no".', "", ("yes", "no"), "en", (), ())
GOOD = "<START>If right, say yes, else no.</START>"
OTHER = "<START>Reply with yes for a correct text and with no for a wrong one.</START>"
GOOD_TEXT = "If right, say yes, else no."
CONTEXT = ssl.create_default_context()
HEALTH_TIMEOUT = ollama_server.HEALTH_TIMEOUT  # that of users


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Answers are kept here; waits are short."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("OLLAMA_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    # Loading certificates for every client takes longer than anything else here.
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: CONTEXT)
    monkeypatch.setattr(in_flight, "BACKOFF", (0.01, 0.01))
    monkeypatch.setattr(ollama_server, "HEALTH_TIMEOUT", 0.5)
    monkeypatch.setattr(ollama_server, "UNLOAD_LIMIT", 0.2)
    monkeypatch.setattr(ollama_server, "UNLOAD_POLL", 0.01)
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def _nothing_left_behind(cache: Path) -> Iterator[None]:
    """No thread; those of the servers end when their clients have hung up."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(2)
    assert set(threading.enumerate()) <= before


class Heard(PlainDisplay):
    """Keeps what it is told. `on_answer` is called with the candidates after every answer."""

    def __init__(self, on_answer: Callable[[int], None] = lambda candidates: None) -> None:
        self.notices: list[str] = []
        self.meters: list[tuple[str, int, str, list[int]]] = []
        self._on_answer = on_answer

    def stage(self, title: str) -> None: ...

    @contextmanager
    def work(self, label: str, total: int, unit: str) -> Iterator[Any]:
        steps: list[int] = []
        self.meters.append((label, total, unit, steps))

        class Steps:
            def advance(self, amount: int = 1, note: str = "") -> None:
                steps.append(amount)

        yield Steps()

    def pool(self, task: str, candidates: Sequence[Candidate], rejected: Sequence[Rejection]) -> None:
        self._on_answer(len(candidates))

    def notice(self, text: str) -> None:
        self.notices.append(text)


def config(server: FakeOllama, **changes: Any) -> ParaphraseConfig:
    settings: dict[str, Any] = {"backend": "ollama", "model": "tiny", "host": server.url}
    settings |= {"count": 2, "attempts": 2, "timeout": 5.0}
    return ParaphraseConfig(**(settings | changes))


def make(
    server: FakeOllama,
    *tasks: Task,
    progress: Heard | None = None,
    seed: int = 0,
    fresh: bool = False,
    pull: bool = False,
    **changes: Any,
) -> tuple[list[Pool], list[str]]:
    """Pools of the tasks (of TASK if none is named), and all notices."""
    progress = progress or Heard()
    around = SourceContext(progress, seed=seed, fresh=fresh, pull=pull)
    return make_pools(tasks or (TASK,), config(server, **changes), around), progress.notices


def failure(server: FakeOllama, **changes: Any) -> str:
    with pytest.raises(ParaphraseError) as caught:
        make(server, **changes)
    return str(caught.value)


def elsewhere(instruction: str, name: str = "task141") -> Task:
    return Task(name, "SUPERNI", instruction, "", (), "en", (), ())


def saved(cache: Path) -> list[str]:
    """The answers in all files of the cache."""
    files = [json.loads(path.read_text(encoding="utf-8")) for path in cache.rglob("*.json")]
    return [answer for file in files for answer in file["answers"].values()]


def first_style(body: dict[str, Any]) -> bool:
    """Whether a call is that of candidate 0."""
    return "plain everyday words" in body["messages"][0]["content"]


# --- what is asked, and in which order


def test_check_then_one_call_a_paraphrase_then_unload_and_look_until_it_is_gone() -> None:
    with FakeOllama([GOOD], polls_until_gone=2) as server:
        pools, notices = make(server, TASK, elsewhere("Find the odd word."), parallel=1)
    assert [r for r in server.routes if r != TAGS] == [VERSION, SHOW, *[CHAT] * 4, UNLOAD, PS, PS, PS]
    assert server.routes.count(TAGS) == 1  # for the digest beside the saved answers
    assert server.bodies(UNLOAD) == [{"model": "tiny", "keep_alive": 0, "stream": False}]
    assert not server.loaded
    assert notices == []
    assert [(c.index, c.text, c.origin) for c in pools[0].candidates] == [
        (0, TASK.instruction, "original"),
        (1, GOOD_TEXT, "ollama"),
        (2, "Wording 2: say yes or no.", "ollama"),
    ]


def test_a_call_carries_the_request_the_temperature_and_its_own_seed() -> None:
    with FakeOllama() as server:
        for seed in (11, 11, 12):
            make(server, temperature=0.7, seed=seed, fresh=True, parallel=1)
    bodies = server.bodies(CHAT)
    assert TASK.instruction in bodies[0]["messages"][0]["content"]
    assert bodies[0]["messages"] != bodies[1]["messages"]  # another style
    assert {key: bodies[0]["options"][key] for key in ("temperature", "num_ctx", "num_predict")} == {
        "temperature": 0.7,
        "num_ctx": 8192,
        "num_predict": 2048,
    }
    assert (bodies[0]["think"], bodies[0]["stream"]) == (False, True)
    assert bodies[:2] == bodies[2:4]
    assert [body["messages"] for body in bodies[4:]] == [body["messages"] for body in bodies[:2]]
    seeds = [body["options"]["seed"] for body in bodies]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_run_with_nothing_to_paraphrase_needs_no_server() -> None:
    with FakeOllama() as server:
        make(server, elsewhere(""))
        make(server, count=0, minimum=0)
    assert server.calls == []


def test_as_many_calls_at_once_as_allowed() -> None:
    together = threading.Barrier(3, timeout=5)

    def wait_for_three(body: dict[str, Any]) -> None:
        together.wait()  # breaks, and the test with it, if only two come

    with FakeOllama(wait_for_three) as server:
        [pool], _ = make(server, count=9, parallel=3)
    assert len(pool.texts) == 9
    assert server.in_flight_most == 3


def test_no_more_calls_than_paraphrases_are_missing() -> None:
    with FakeOllama([GOOD, "", "", Slow(OTHER, 0.05)]) as server:
        make(server, count=3, parallel=8, attempts=3)
    assert len(server.bodies(CHAT)) == 3 + 2
    assert server.in_flight_most <= 3


def test_answers_are_judged_in_the_order_of_requests() -> None:
    answered = []

    def first_last(body: dict[str, Any]) -> Reply:
        while first_style(body) and len(answered) < 2:
            time.sleep(0.001)
        answered.append(first_style(body))
        return GOOD if first_style(body) else OTHER if len(answered) == 1 else ""

    with FakeOllama(first_last) as server:
        [pool], _ = make(server, count=3, attempts=1)
    assert answered == [False, False, True]
    assert pool.texts == [GOOD_TEXT, OTHER.removeprefix("<START>").removesuffix("</START>")]


def test_the_first_of_two_equal_answers_by_request_is_the_one_accepted() -> None:
    def shout_when_first(body: dict[str, Any]) -> Reply:
        return Slow(GOOD, 0.1) if first_style(body) else GOOD.replace("If right", "If Right")

    with FakeOllama(shout_when_first) as server:
        [pool], _ = make(server, attempts=1)
    assert pool.texts == [GOOD_TEXT]
    assert pool.rejected == (Rejection("If Right, say yes, else no.", "equal to another candidate"),)


# --- what comes back


def test_bad_answers_are_asked_for_again_and_kept_with_their_reasons() -> None:
    replies = ["", "Sure! yes or no.", "<START>Decide.</START>", GOOD, GOOD.upper().replace("YES", "yes")]
    with FakeOllama(replies) as server:
        [pool], _ = make(server, attempts=3, parallel=1)
    assert pool.texts == [GOOD_TEXT, "Wording 6: say yes or no."]
    assert pool.rejected == (
        Rejection("", "empty"),
        Rejection("Sure! yes or no.", "no text between <START> and </START>"),
        Rejection("Decide.", 'label "yes" missing'),
        Rejection("IF RIGHT, SAY yes, ELSE NO.", 'label "no" altered'),
    )


@pytest.mark.parametrize(
    "reply",
    [
        f"<think>\n<START>hm, yes or no</START>\n</think>\n{GOOD}",
        f"so <START>hm, yes or no</START>\n</think>\n{GOOD}",  # opened in the template
        Answer(GOOD, thinking="<START>hm, yes or no</START>"),
    ],
)
def test_thinking_is_left_aside(reply: Reply, cache: Path) -> None:
    with FakeOllama([reply]) as server:
        [pool], _ = make(server, count=1)
    assert pool.texts == [GOOD_TEXT]
    assert pool.rejected == ()
    assert saved(cache) == [reply.text if isinstance(reply, Answer) else reply]


@pytest.mark.parametrize("cut", [Answer("", thinking="hm", reason="length"), "<think>\n<START>yes or no"])
def test_thoughts_alone_are_no_paraphrase(cut: Reply) -> None:
    with FakeOllama([cut, GOOD]) as server:
        [pool], _ = make(server, count=1)
    assert pool.texts == [GOOD_TEXT]
    assert pool.rejected[0].reason in ("empty", "no text between <START> and </START>")


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


def test_a_model_that_only_says_the_same_leaves_a_smaller_pool_with_a_notice() -> None:
    with FakeOllama([GOOD] * 4) as server:
        [pool], notices = make(server)
    assert pool.notice == (
        "task273: 1 of the 2 paraphrases asked for; not accepted: 3 x equal to another candidate."
    )
    assert notices == [pool.notice]


def test_a_model_that_never_says_anything_useful_is_an_error_and_unloaded() -> None:
    with FakeOllama([""] * 4) as server:
        message = failure(server)
    assert message.startswith(
        "task273: 0 of the 2 paraphrases asked for; not accepted: 4 x empty. "
        "That is fewer than paraphrase.minimum = 1."
    )
    assert server.routes[-1] == UNLOAD


# --- a server in trouble

BROKEN = [Fail(503, "server busy"), Trouble.DROP, Trouble.CUT, MidStreamError("runner has stopped")]


@pytest.mark.parametrize("trouble", BROKEN)
def test_a_busy_server_and_a_broken_answer_are_tried_again(trouble: Reply) -> None:
    with FakeOllama([trouble, trouble, GOOD]) as server:
        [pool], _ = make(server, count=1)
    assert pool.texts == [GOOD_TEXT]
    assert pool.rejected == ()
    first, second, third = server.bodies(CHAT)
    assert first == second == third  # the same request, not the next one


@pytest.mark.parametrize(
    ("trouble", "what"),
    [
        *zip(
            BROKEN,
            ["was busy (HTTP 503)", *["broke the connection"] * 2, 'broke off ("runner has stopped")'],
            strict=True,
        ),
        (Json({"message": {"role": "assistant", "content": GOOD}, "done": False}), "broke the connection"),
    ],
)
def test_tries_are_bounded(trouble: Reply, what: str) -> None:
    with FakeOllama([trouble] * 9) as server:
        message = failure(server, count=1)
    assert message == (
        f"Ollama at {server.url} {what} 3 times in a row. "
        "See that it runs, then start the same command again: what it has said is kept."
    )
    assert len(server.bodies(CHAT)) == 3


def test_a_stream_that_ends_before_the_answer_is_done_is_tried_again() -> None:
    unfinished = Json({"message": {"role": "assistant", "content": GOOD}, "done": False})
    with FakeOllama([unfinished, OTHER]) as server:
        [pool], _ = make(server, count=1)
    assert pool.texts == ["Reply with yes for a correct text and with no for a wrong one."]


@pytest.mark.parametrize(
    "garbage", [Trouble.GARBAGE, Json([]), Json("hello"), Json(None), Json(3), Json({"hello": "world"})]
)
def test_an_unreadable_answer_counts_as_a_rejection(garbage: Reply) -> None:
    with FakeOllama([garbage, GOOD]) as server:
        [pool], _ = make(server, count=1)
    assert pool.rejected == (Rejection("", "unreadable answer"),)
    assert pool.texts == [GOOD_TEXT]


@pytest.mark.parametrize("silent", [Trouble.HANG, Trouble.STALL, Drip(OTHER, 0.05)])
def test_a_call_without_an_answer_in_time_ends_and_the_next_is_made(silent: Reply) -> None:
    started = time.monotonic()
    with FakeOllama([silent, GOOD]) as server:
        [pool], _ = make(server, count=1, timeout=0.3)
    assert time.monotonic() - started < 10  # though bytes went on coming
    assert pool.rejected == (Rejection("", "no answer within 0.3 s"),)
    assert pool.texts == [GOOD_TEXT]


def test_the_deadline_is_kept_when_the_server_never_answers() -> None:
    started = time.monotonic()
    with FakeOllama([Trouble.HANG] * 99) as server:
        message = failure(server, timeout=0.2, deadline=0.7, count=20, attempts=6)
        assert time.monotonic() - started < 10
        assert server.routes[-1] == UNLOAD
    assert "1 x paraphrase.deadline of 0.7 s reached" in message
    assert "x no answer within 0.2 s" in message
    assert server.in_flight_most <= 4


def test_the_deadline_cuts_a_call_short_and_keeps_what_is_there(cache: Path) -> None:
    started = time.monotonic()
    with FakeOllama([GOOD, Trouble.HANG, *[OTHER] * 9]) as server:
        [pool], _ = make(server, timeout=60.0, deadline=1.0, parallel=1, count=3)
    assert time.monotonic() - started < 10
    assert pool.texts == [GOOD_TEXT]
    assert pool.rejected == (Rejection("", "paraphrase.deadline of 1 s reached"),)
    assert len(server.bodies(CHAT)) == 2
    assert saved(cache) == [GOOD]


def test_the_deadline_is_told_once() -> None:
    with FakeOllama([GOOD, *[Trouble.HANG] * 9]) as server:
        [pool], _ = make(server, timeout=60.0, deadline=1.0)
    assert pool.rejected == (Rejection("", "paraphrase.deadline of 1 s reached"),)


def test_answers_that_overtook_a_silent_call_are_kept_at_the_deadline(cache: Path) -> None:
    def first_never(body: dict[str, Any]) -> Reply:
        return Trouble.HANG if first_style(body) else GOOD

    with FakeOllama(first_never) as server:
        [pool], _ = make(server, timeout=60.0, deadline=1.0)
    assert pool.texts == [GOOD_TEXT]
    assert saved(cache) == [GOOD]


def test_after_the_deadline_no_task_makes_a_call() -> None:
    tasks = [elsewhere(f"Find the odd word among the {n}.", f"task{n}") for n in range(3)]
    with FakeOllama([Trouble.HANG] * 99) as server:
        pools, notices = make(server, *tasks, timeout=60.0, deadline=0.5, minimum=0)
    assert len(server.bodies(CHAT)) == 2
    assert [pool.texts for pool in pools] == [[], [], []]
    assert notices == [
        f"task{n}: 0 of the 2 paraphrases asked for; not accepted: 1 x paraphrase.deadline of 0.5 s reached."
        for n in range(3)
    ]


def test_the_deadline_is_kept_while_waiting_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "BACKOFF", (60.0,))
    started = time.monotonic()
    with FakeOllama([GOOD, Fail(503, "server busy")]) as server:
        [pool], _ = make(server, deadline=1.0, parallel=1)
    assert time.monotonic() - started < 10
    assert pool.texts == [GOOD_TEXT]


def test_what_was_not_answered_is_asked_again_in_the_next_run() -> None:
    with FakeOllama([GOOD, Trouble.HANG, *[Trouble.GARBAGE] * 2]) as server:
        make(server, timeout=0.2, parallel=1, minimum=0)
        before = server.bodies(CHAT)
        [pool], _ = make(server, parallel=1)
    assert pool.texts == [GOOD_TEXT, "Wording 5: say yes or no."]
    assert server.bodies(CHAT)[4:] == [before[1]]


# --- errors in plain words


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as listener:  # bound and not listening: nobody else can take it meanwhile
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


@pytest.mark.parametrize("installed", [True, False])
def test_no_server_is_said_with_the_command_that_starts_one(
    closed_port: int, installed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if installed:
        (tmp_path / "ollama").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = ParaphraseConfig(backend="ollama", model="tiny", host=f"127.0.0.1:{closed_port}")
    started = time.monotonic()
    with pytest.raises(ParaphraseError) as caught:
        make_pools([TASK], settings, SourceContext(Heard()))
    assert time.monotonic() - started < 5
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


def test_a_silent_server_is_said_at_once() -> None:
    with FakeOllama(troubles={"/api/version": Trouble.HANG}) as server:
        assert failure(server).startswith("No Ollama server answers at")
        assert server.routes == [VERSION]


@pytest.mark.slow
def test_a_silent_server_is_said_within_seconds_where_answers_were_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ollama_server, "HEALTH_TIMEOUT", HEALTH_TIMEOUT)
    with FakeOllama([GOOD]) as server:
        make(server, count=1)
        server.troubles |= {"/api/version": Trouble.HANG, "/api/tags": Trouble.HANG}
        started = time.monotonic()
        assert failure(server).startswith("No Ollama server answers at")
        assert time.monotonic() - started < 5


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
        assert failure(server) == (
            f"The Ollama server at {server.url} does not say whether it has tiny (ReadTimeout). "
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


def test_a_model_that_cannot_be_run_is_said_in_the_servers_words_and_not_tried_again() -> None:
    with FakeOllama([Fail(500, "model requires more system memory (9 GiB)")] * 9) as server:
        message = failure(server, count=1)
    assert message == (
        f'Ollama at {server.url} cannot run "tiny" (HTTP 500): model requires more system memory (9 GiB)'
    )
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


def test_a_model_must_be_named() -> None:
    with FakeOllama() as server:
        assert failure(server, model=None) == (
            'paraphrase.backend "ollama" needs the name of a model in paraphrase.model.'
        )


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
    progress = Heard()
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
        progress = Heard(lambda candidates: server.close() if candidates == 3 else None)
        [pool], [notice] = make(server, progress=progress, parallel=1)
    assert len(pool.texts) == 2
    assert "does not answer" in notice


def test_an_interrupted_run_unloads_without_waiting_and_keeps_what_was_said(cache: Path) -> None:
    def interrupt(candidates: int) -> None:
        if candidates == 3:
            raise KeyboardInterrupt

    with FakeOllama(polls_until_gone=10**6) as server:
        with pytest.raises(KeyboardInterrupt):
            make(server, progress=Heard(interrupt), count=5, parallel=1)
        assert server.routes[-1] == UNLOAD
        said = saved(cache)
        calls = len(server.bodies(CHAT))
        [pool], _ = make(server, count=5, parallel=1)
        assert len(server.bodies(CHAT)) == calls + 3
    assert len(said) == 2
    assert [f"<START>{text}</START>" for text in pool.texts[:2]] == said


def test_ctrl_c_while_a_call_is_out_closes_it_and_then_unloads(cache: Path) -> None:
    def interrupt(body: dict[str, Any]) -> Reply:
        if first_style(body):
            return GOOD
        if "formal" in body["messages"][0]["content"]:
            threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
        return Trouble.HANG

    started = time.monotonic()
    with FakeOllama(interrupt) as server:
        with pytest.raises(KeyboardInterrupt):
            make(server, count=5, parallel=2, timeout=60.0)
        assert server.routes[-1] == UNLOAD
        assert not server.loaded
    assert time.monotonic() - started < 10
    assert saved(cache) == [GOOD]


def test_a_cache_that_cannot_be_written_ends_all_calls_before_the_unload(cache: Path) -> None:
    cache.write_text("a file in the place of the folder")
    with FakeOllama(lambda body: GOOD if first_style(body) else Slow(OTHER, 0.5)) as server:
        with pytest.raises(ParaphraseError, match="SAPO_LITE_CACHE") as caught:
            make(server)
        assert caught.value is not None  # and with it the frames that it came through
        assert not [thread for thread in threading.enumerate() if "portal" in thread.name]
        assert server.routes[-1] == UNLOAD


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


def test_no_server_is_needed_when_everything_was_said_before() -> None:
    with FakeOllama() as server:
        [pool], _ = make(server)
    assert make(server)[0] == [pool]


# --- the surroundings


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_in_the_environment_is_not_asked_for_this_machine(
    name: str, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    scheme = "socks5" if name == "ALL_PROXY" else "http"
    monkeypatch.setenv(name, f"{scheme}://127.0.0.1:{closed_port}")
    with FakeOllama() as server:
        [pool], notices = make(server)
    assert len(pool.texts) == 2
    assert notices == []
    assert not server.loaded


@pytest.mark.parametrize(
    ("proxy", "said"), [("socks5://127.0.0.1:9", "'socksio'"), ("gopher://127.0.0.1:9", "Unknown scheme")]
)
def test_a_proxy_that_cannot_be_used_is_said(proxy: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeOllama() as server:
        make(server, count=1)  # with answers saved, their digest is what is asked for first
        monkeypatch.setenv("ALL_PROXY", proxy)
        message = failure(server, host="http://gpu-box")
    assert message.startswith("The proxy in your environment cannot be used to reach http://gpu-box:11434: ")
    assert said in message


def test_it_works_in_a_notebook() -> None:
    async def cell(server: FakeOllama) -> list[Pool]:
        return make(server)[0]

    with FakeOllama() as server:
        [pool] = asyncio.run(cell(server))
    assert len(pool.texts) == 2


def test_no_socket_is_left_open() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with FakeOllama([Trouble.HANG, Trouble.CUT, Fail(503, "busy"), Trouble.GARBAGE]) as server:
            make(server, timeout=0.3, count=4)
        gc.collect()
    assert [warning for warning in caught if issubclass(warning.category, ResourceWarning)] == []


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
