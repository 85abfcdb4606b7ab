"""The `openai` source alone: its key, pauses that the server asks for, options that it refuses.

Against a real server on loopback. Shared with `ollama`: test_chat_servers.py.
"""

import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from chat_sources import GOOD, OPENAI, OTHER, TASK, saved
from openai_server import NO_CHOICES, FakeOpenAI
from replies import Answer, Fail, Json, Reply, Slow, Trouble
from sapo_lite.prompts.pool import Rejection
from sapo_lite.prompts.sources import openai

pytestmark = pytest.mark.usefixtures("nothing_left_behind")
make, error_of, failure = OPENAI.make, OPENAI.error, OPENAI.failure

CHAT, MODELS = "POST /v1/chat/completions", "GET /v1/models"
KEY = "sk-test-0123456789abcdefghijklmnop"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return KEY


def all_said(error: BaseException) -> str:
    """An exception and all behind it, as any handler may print them."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        if (one := waiting.pop()) is not None and one not in seen:
            seen.append(one)
            waiting += [one.__context__, one.__cause__]
    words = [f"{one} {one!r} {one.args} {getattr(one, '__notes__', '')}" for one in seen]
    return "\n".join([*words, *traceback.format_exception(error)])


def files(cache: Path) -> str:
    return "\n".join(f"{path} {path.read_text()}" for path in cache.rglob("*") if path.is_file())


# --- what is asked


def test_one_call_a_paraphrase_with_the_request_the_temperature_and_its_own_seed() -> None:
    with FakeOpenAI([GOOD]) as server:
        make(server, temperature=0.7, parallel=1)
    assert server.routes == [MODELS, CHAT, CHAT]
    first, second = server.bodies(CHAT)
    [message] = first.pop("messages")
    assert message["role"] == "user"
    assert TASK.instruction in message["content"]
    assert message != second["messages"][0]  # another style
    seeds = first.pop("seed"), second["seed"]
    assert first == {"model": "tiny", "temperature": 0.7, "max_tokens": 2048}
    assert seeds[0] != seeds[1]


@pytest.mark.parametrize("end", ["", "/", "//"])
def test_a_base_url_may_end_in_a_slash(end: str) -> None:
    with FakeOpenAI() as server:
        [pool], _ = make(server, base_url=server.url + end)
        _, notices = make(server)
    assert len(pool.texts) == 2
    assert server.routes == [MODELS, CHAT, CHAT]  # the same address to the cache, too
    assert "used again" in notices[0]


# --- the key


def test_the_key_of_the_environment_is_sent_with_every_call(key: str, cache: Path) -> None:
    with FakeOpenAI([GOOD], key=key) as server:
        [pool], notices = make(server)
    assert len(pool.texts) == 2
    assert {call.headers["authorization"] for call in server.calls} == {f"Bearer {key}"}
    assert GOOD in files(cache)
    assert key not in files(cache)
    assert key not in repr((pool, notices))


def test_blanks_around_a_key_are_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\r\n")
    with FakeOpenAI(key=KEY) as server:
        assert len(make(server)[0][0].texts) == 2


@pytest.mark.parametrize("value", ["", "  "])
def test_without_a_key_no_header_is_sent(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", value)
    with FakeOpenAI() as server:
        make(server)
    assert not any("authorization" in call.headers for call in server.calls)


@pytest.mark.parametrize("character", ["\n", " ", "é", "\x7f", "\N{ZERO WIDTH SPACE}"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(
    character: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"sk-first{character}second")
    with FakeOpenAI() as server:
        error = error_of(server)
    assert str(error) == (
        "The key in OPENAI_API_KEY has blanks or characters beyond ASCII in it: set it anew."
    )
    assert "first" not in all_said(error)
    assert server.calls == []


def test_a_key_that_is_refused_is_said_without_it(key: str, cache: Path) -> None:
    with FakeOpenAI(key="another") as server:
        error = error_of(server)
    assert str(error) == f"{server.url} refuses the key in OPENAI_API_KEY (HTTP 401)."
    assert key[:8] not in all_said(error)
    assert key[-4:] not in all_said(error)
    assert server.routes == [MODELS]
    assert not cache.exists()


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_later_is_said_without_its_ends(status: int, key: str) -> None:
    quoted = f"Incorrect API key provided: {key[:8]}***{key[-4:]}."
    with FakeOpenAI([Fail(status, quoted)]) as server:
        error = error_of(server, count=1)
    assert str(error) == f"{server.url} refuses the key in OPENAI_API_KEY (HTTP {status})."
    assert key[:8] not in all_said(error)
    assert len(server.bodies(CHAT)) == 1


def test_a_missing_key_is_asked_for() -> None:
    with FakeOpenAI(key="one") as server:
        assert failure(server) == f"{server.url} refuses calls without a key; set OPENAI_API_KEY (HTTP 401)."


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500])
@pytest.mark.parametrize("before", ["", "x" * 285])  # so that the end of what is shown cuts the key through
def test_a_server_that_repeats_the_key_does_not_make_us_show_it(
    status: int, before: str, key: str, cache: Path
) -> None:
    said = f"{before} no luck with {key} here"
    with FakeOpenAI([GOOD, *[Fail(status, said)] * 9]) as server:
        error = error_of(server, parallel=1)
    assert key[:8] not in all_said(error)
    assert key not in files(cache)
    assert GOOD in files(cache)


@pytest.mark.parametrize("trouble", [Trouble.DROP, Trouble.HANG, Trouble.GARBAGE, Fail(429, KEY)])
def test_trouble_does_not_show_the_key(trouble: Reply, key: str, cache: Path) -> None:
    with FakeOpenAI([trouble] * 99) as server:
        error = error_of(server, timeout=0.5, attempts=1)
    assert key not in all_said(error) + files(cache)


# --- what comes back


@pytest.mark.parametrize("nothing", [Answer(None), Answer(None, thinking=GOOD, reason="length")])
def test_no_content_is_an_empty_answer(nothing: Reply) -> None:
    with FakeOpenAI([nothing, GOOD]) as server:
        [pool], _ = make(server, count=1)
    assert pool.rejected == (Rejection("", "empty"),)
    assert pool.texts == [GOOD]


@pytest.mark.parametrize(
    "garbage",
    [
        NO_CHOICES,
        Json({"choices": [{"message": None}]}),
        Json({"choices": [{"text": GOOD}]}),
        Json({"choices": [{"message": {"content": 7}}]}),
        Json({"choices": [{"message": {"content": [7]}}]}),
        Json({"choices": [{"message": {"content": [{"type": "text"}]}}]}),
        Json({"choices": [{"message": {"content": [{"type": "text", "text": 7}]}}]}),
    ],
)
def test_a_completion_of_another_shape_counts_as_a_rejection(garbage: Reply) -> None:
    with FakeOpenAI([garbage, GOOD]) as server:
        [pool], _ = make(server, count=1)
    assert pool.rejected == (Rejection("", "unreadable answer"),)
    assert pool.texts == [GOOD]


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": GOOD}],
        [{"type": "text", "text": GOOD[:9]}, {"type": "text", "text": GOOD[9:]}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": OTHER}]}, {"type": "text", "text": GOOD}],
        [{"type": "output_text", "text": GOOD}, {"type": "image_url", "image_url": {}}],
        [GOOD],
    ],
)
def test_a_content_in_parts_is_the_text_of_its_parts(content: object, cache: Path) -> None:
    with FakeOpenAI([Json({"choices": [{"message": {"content": content}}]})]) as server:
        [pool], _ = make(server, count=1)
    assert pool.texts == [GOOD]
    assert pool.rejected == ()
    assert saved(cache) == [GOOD]


# --- a server in trouble


@pytest.mark.parametrize("error", [{"message": "upstream has failed", "code": 502}, "upstream has failed"])
def test_an_error_in_the_place_of_a_success_is_tried_again_and_quoted(error: object) -> None:
    trouble = Json({"error": error})
    with FakeOpenAI([trouble, trouble, GOOD]) as server:
        [pool], _ = make(server, count=1)
    assert pool.texts == [GOOD]
    assert pool.rejected == ()
    with FakeOpenAI([trouble] * 9) as server:
        message = failure(server, count=1, fresh=True)
    assert message.startswith(
        f'{server.url} answered with an error ("upstream has failed") 3 times in a row.'
    )


NO_CREDIT = "You exceeded your current quota, please check your plan and billing details"


@pytest.mark.parametrize(
    "reply",
    [
        Fail(429, NO_CREDIT, type="insufficient_quota", code="insufficient_quota"),
        Fail(429, NO_CREDIT, code="insufficient_quota"),
        Json({"error": {"message": NO_CREDIT, "type": "insufficient_quota"}}),
    ],
)
def test_an_account_without_credit_is_said_at_once_in_the_servers_words(reply: Reply) -> None:
    with FakeOpenAI([reply] * 9) as server:
        message = failure(server, count=1)
    assert message == f'{server.url} does not run "tiny": {NO_CREDIT}. Add credit, or use another server.'
    assert len(server.bodies(CHAT)) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 502, 504])
def test_each_status_of_a_busy_server_is_tried_again(status: int) -> None:
    with FakeOpenAI([Fail(status, "busy")] * 2 + [GOOD]) as server:
        [pool], _ = make(server, count=1)
    assert pool.texts == [GOOD]
    assert pool.rejected == ()
    first, second, third = server.bodies(CHAT)
    assert first == second == third  # the same request, not the next one


def test_tries_of_a_server_that_asks_for_patience_are_bounded() -> None:
    with FakeOpenAI([Fail(429, "slowly")] * 9) as server:
        message = failure(server, count=1)
    assert message == (
        f"{server.url} was busy (HTTP 429) 3 times in a row. "
        "See that it runs, then start the same command again: what it has said is kept."
    )
    assert len(server.bodies(CHAT)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, 503])
def test_a_server_is_left_alone_as_long_as_it_asks(status: int) -> None:
    started = time.monotonic()
    with FakeOpenAI([Fail(status, "slowly", retry_after="1.1"), GOOD]) as server:
        [pool], _ = make(server, count=1, timeout=1.0)  # which the pause does not count to
    assert time.monotonic() - started >= 1.1
    assert pool.texts == [GOOD]


@pytest.mark.parametrize("pause", ["Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-1", "nan", ""])
def test_a_pause_that_is_no_number_is_not_waited_for(pause: str) -> None:
    with FakeOpenAI([Fail(429, "slowly", retry_after=pause), GOOD]) as server:
        [pool], _ = make(server, count=1)
    assert pool.texts == [GOOD]


@pytest.mark.slow
@pytest.mark.parametrize("pause", ["3600", "inf", "Tue, 21 Oct 2200 07:28:00 GMT"])
def test_the_deadline_is_kept_however_long_the_server_asks_to_wait(pause: str) -> None:
    with FakeOpenAI([GOOD, *[Fail(429, "slowly", retry_after=pause)] * 9]) as server:
        [pool], _ = make(server, deadline=1.0, parallel=1, count=3)
    assert pool.texts == [GOOD]
    assert pool.rejected == (Rejection("", "paraphrase.deadline of 1 s reached"),)


# --- options that a model does not take


@pytest.mark.parametrize("status", [400, 422])
def test_options_that_a_model_refuses_are_left_out_from_then_on(status: int) -> None:
    def reasoning_model(body: dict[str, Any]) -> Reply | None:
        for option in ("temperature", "seed"):
            if option in body:
                return Fail(status, f"Unsupported value: '{option}' does not support 0.6.", param=option)
        return None

    with FakeOpenAI(reasoning_model) as server:
        [pool], _ = make(server, parallel=1)
    assert len(pool.texts) == 2
    assert pool.rejected == ()
    assert [{"temperature", "seed"} & body.keys() for body in server.bodies(CHAT)] == [
        {"temperature", "seed"},
        {"seed"},
        set(),
        set(),
    ]


def test_all_calls_in_flight_are_asked_again_without_the_option() -> None:
    together = threading.Barrier(3, timeout=5)

    def refuse(body: dict[str, Any]) -> Reply | None:
        together.wait()
        return Fail(400, "temperature is fixed", param="temperature") if "temperature" in body else None

    with FakeOpenAI(refuse) as server:
        [pool], _ = make(server, count=3)
    assert len(pool.texts) == 3
    assert ["temperature" in body for body in server.bodies(CHAT)] == [True] * 3 + [False] * 3


def test_a_refusal_that_goes_on_is_not_asked_for_ever() -> None:
    with FakeOpenAI([Fail(400, "temperature, seed and all else are wrong")] * 99) as server:
        message = failure(server, count=1)
    assert message == (
        f'{server.url} does not run "tiny" (HTTP 400): temperature, seed and all else are wrong. '
        "Correct paraphrase.model or paraphrase.base_url."
    )
    assert len(server.bodies(CHAT)) == 2


# --- errors in plain words


def test_no_server_is_said(closed_port: int) -> None:
    with FakeOpenAI() as server:
        message = failure(server, base_url=f"http://127.0.0.1:{closed_port}/v1")
    assert message == (
        f"No server answers at http://127.0.0.1:{closed_port}/v1. Start it, or correct paraphrase.base_url."
    )


@pytest.mark.parametrize("host", ["a b", "127..0.1"])
def test_a_host_that_cannot_be_one_gets_the_same_sentence(host: str) -> None:
    with FakeOpenAI() as server:
        assert failure(server, base_url=f"http://{host}/v1") == (
            f"No server answers at http://{host}/v1. Start it, or correct paraphrase.base_url."
        )


def test_a_server_that_stays_silent_is_said_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "CONNECT_TIMEOUT", 0.5)
    with FakeOpenAI(troubles={"/v1/models": Trouble.HANG}) as server:
        assert failure(server, timeout=0.5) == (
            f"{server.url} takes calls, and has not answered one to /models within 0.5 s "
            "(paraphrase.timeout). Try again when it has loaded its model, or start it anew."
        )
    assert server.routes == [MODELS]


def test_a_server_that_is_slow_to_list_its_models_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "CONNECT_TIMEOUT", 0.2)
    with FakeOpenAI(troubles={"/v1/models": Slow("", 0.5)}) as server:
        assert len(make(server)[0][0].texts) == 2


@pytest.mark.parametrize("reply", [Fail(404, "no such route"), Fail(500, "oh no"), Trouble.GARBAGE])
def test_a_server_without_a_list_of_models_is_used_all_the_same(reply: Reply) -> None:
    with FakeOpenAI(troubles={"/v1/models": reply}) as server:
        assert len(make(server)[0][0].texts) == 2


def test_an_unknown_model_is_said_in_the_servers_words_and_not_tried_again() -> None:
    with FakeOpenAI() as server:
        assert failure(server, model="qwen", parallel=1) == (
            f'{server.url} does not run "qwen" (HTTP 404): '
            "The model `qwen` does not exist or you do not have access to it. "
            "Correct paraphrase.model or paraphrase.base_url."
        )
    assert len(server.bodies(CHAT)) == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Fail(418, "out of\n memory."), "out of memory"),
        (Fail(418, ""), "I'm a Teapot"),
        (Fail(418, "long " * 99), ("long " * 60).strip()),
    ],
)
def test_an_error_is_said_in_the_servers_words_on_one_line(reply: Reply, said: str) -> None:
    with FakeOpenAI([reply]) as server:
        assert failure(server, count=1) == (
            f'{server.url} does not run "tiny" (HTTP 418): {said}. '
            "Correct paraphrase.model or paraphrase.base_url."
        )


def test_a_base_url_without_its_path_is_said() -> None:
    with FakeOpenAI() as server:
        root = server.url.removesuffix("/v1")
        assert failure(server, base_url=root) == (
            f'{root} does not run "tiny" (HTTP 404): Invalid URL (POST /chat/completions). '
            "Correct paraphrase.model or paraphrase.base_url."
        )


def test_an_endpoint_and_a_model_must_be_named() -> None:
    with FakeOpenAI() as server:
        assert failure(server, base_url=None) == (
            'paraphrase.backend "openai" needs the address of its endpoint in paraphrase.base_url, such '
            "as http://127.0.0.1:8000/v1"
        )
        assert failure(server, model=None) == (
            'paraphrase.backend "openai" needs the name of a model in paraphrase.model.'
        )


# --- the surroundings


@pytest.mark.parametrize(
    ("proxy", "said"), [("socks5://127.0.0.1:9", "'socksio'"), ("gopher://127.0.0.1:9", "Unknown scheme")]
)
def test_a_proxy_that_cannot_be_used_is_said_without_the_key(
    proxy: str, said: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with FakeOpenAI() as server:
        error = error_of(server, base_url="http://gpu-box/v1")
    assert str(error).startswith("The proxy in your environment cannot be used to reach http://gpu-box/v1: ")
    assert said in str(error)
    assert key not in all_said(error)
