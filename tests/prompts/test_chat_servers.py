"""Behaviour that the sources `ollama` and `openai` share, each against a real server on loopback.

What is of one protocol alone: test_paraphrase_ollama.py, test_paraphrase_openai.py.
"""

import asyncio
import gc
import json
import signal
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from chat_sources import (
    GOOD,
    OPENAI,
    OTHER,
    PROTOCOLS,
    TASK,
    ChatProtocol,
    elsewhere,
    first_style,
    saved,
    second_style,
)
from loopback import LoopbackServer
from replies import Answer, Drip, Fail, Json, Reply, Slow, Trouble
from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.pool import Pool, Rejection
from sapo_lite.prompts.sources import concurrent as in_flight

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


@pytest.fixture(params=PROTOCOLS, ids=lambda protocol: protocol.backend)
def chat(request: pytest.FixtureRequest) -> ChatProtocol:
    return request.param


# --- what is asked, and in which order


def test_candidates_are_numbered_and_name_their_source(chat: ChatProtocol) -> None:
    with chat.server([GOOD]) as server:
        [pool], notices = chat.make(server, parallel=1)
    assert notices == []
    assert [(c.index, c.text, c.origin) for c in pool.candidates] == [
        (0, TASK.instruction, "original"),
        (1, GOOD, chat.backend),
        (2, "Wording 2: say yes or no.", chat.backend),
    ]


def test_the_same_seed_makes_the_same_requests_and_another_changes_the_seeds_alone(
    chat: ChatProtocol,
) -> None:
    def unseeded(body: dict[str, Any]) -> dict[str, Any]:
        options = {key: value for key, value in body.get("options", {}).items() if key != "seed"}
        return {key: value for key, value in body.items() if key not in ("options", "seed")} | options

    def seed(body: dict[str, Any]) -> int:
        return (body.get("options") or body)["seed"]

    with chat.server() as server:
        for number in (11, 11, 12):
            chat.make(server, seed=number, fresh=True, parallel=1)
    bodies = server.bodies(chat.chat)
    assert bodies[:2] == bodies[2:4]
    assert TASK.instruction in bodies[0]["messages"][0]["content"]
    assert bodies[0]["messages"] != bodies[1]["messages"]  # another style
    assert [unseeded(body) for body in bodies[4:]] == [unseeded(body) for body in bodies[:2]]
    seeds = {seed(body) for body in bodies}
    assert len(seeds) == 4
    assert all(0 <= each < 2**31 for each in seeds)


def test_a_run_with_nothing_to_paraphrase_needs_no_server(chat: ChatProtocol) -> None:
    with chat.server() as server:
        chat.make(server, elsewhere(""))
        chat.make(server, count=0, minimum=0)
    assert server.calls == []


def test_as_many_calls_at_once_as_allowed(chat: ChatProtocol) -> None:
    together = threading.Barrier(3, timeout=5)

    def wait_for_three(body: dict[str, Any]) -> None:
        together.wait()  # breaks, and the test with it, if only two come

    with chat.server(wait_for_three) as server:
        [pool], _ = chat.make(server, count=9, parallel=3)
    assert len(pool.texts) == 9
    assert server.in_flight_most == 3


def test_no_more_calls_than_paraphrases_are_missing(chat: ChatProtocol) -> None:
    with chat.server([GOOD, "", "", Slow(OTHER, 0.05)]) as server:
        chat.make(server, count=3, parallel=8, attempts=3)
    assert len(server.bodies(chat.chat)) == 3 + 2
    assert server.in_flight_most <= 3


def test_answers_are_judged_in_the_order_of_requests(chat: ChatProtocol) -> None:
    answered = []

    def first_last(body: dict[str, Any]) -> Reply:
        while first_style(body) and len(answered) < 2:
            time.sleep(0.001)
        answered.append(first_style(body))
        return GOOD if first_style(body) else OTHER if len(answered) == 1 else ""

    with chat.server(first_last) as server:
        [pool], _ = chat.make(server, count=3, attempts=1)
    assert answered == [False, False, True]
    assert pool.texts == [GOOD, OTHER]


def test_the_first_of_two_equal_answers_by_request_is_the_one_accepted(chat: ChatProtocol) -> None:
    def shout_when_first(body: dict[str, Any]) -> Reply:
        return Slow(GOOD, 0.1) if first_style(body) else GOOD.replace("If right", "If Right")

    with chat.server(shout_when_first) as server:
        [pool], _ = chat.make(server, attempts=1)
    assert pool.texts == [GOOD]
    assert pool.rejected == (Rejection("If Right, say yes, else no.", "equal to another candidate"),)


def test_no_server_is_needed_when_everything_was_said_before(chat: ChatProtocol) -> None:
    with chat.server() as server:
        pools, _ = chat.make(server)
    assert chat.make(server)[0] == pools


def test_a_model_must_be_named(chat: ChatProtocol) -> None:
    with chat.server() as server:
        assert chat.failure(server, model=None) == (
            f'paraphrase.backend "{chat.backend}" needs the name of a model in paraphrase.model.'
        )


# --- what comes back


def test_bad_answers_are_asked_for_again_and_kept_with_their_reasons(chat: ChatProtocol) -> None:
    replies = ["", "Sure! yes or no.", "Decide.", GOOD, GOOD.upper().replace("YES", "yes")]
    with chat.server(replies) as server:
        [pool], _ = chat.make(server, attempts=3, parallel=1)
    assert pool.texts == [GOOD, "Wording 6: say yes or no."]
    assert pool.rejected == (
        Rejection("", "empty"),
        Rejection("Sure! yes or no.", "talks about the paraphrase"),
        Rejection("Decide.", 'label "yes" missing'),
        Rejection("IF RIGHT, SAY yes, ELSE NO.", 'label "no" altered'),
    )


@pytest.mark.parametrize(
    "reply",
    [
        f"<think>\nhm, yes or no\n</think>\n{GOOD}",
        f"so hm, yes or no\n</think>\n{GOOD}",  # opened in the template
        Answer(GOOD, thinking="hm, yes or no"),
    ],
)
def test_thinking_is_left_aside(reply: Reply, chat: ChatProtocol, cache: Path) -> None:
    with chat.server([reply]) as server:
        [pool], _ = chat.make(server, count=1)
    assert pool.texts == [GOOD]
    assert pool.rejected == ()
    assert saved(cache) == [reply.text if isinstance(reply, Answer) else reply]


@pytest.mark.parametrize("cut", [Answer("", thinking="hm", reason="length"), "<think>\nyes or no"])
def test_thoughts_alone_are_no_paraphrase(cut: Reply, chat: ChatProtocol) -> None:
    with chat.server([cut, GOOD]) as server:
        [pool], _ = chat.make(server, count=1)
    assert pool.texts == [GOOD]
    assert pool.rejected == (Rejection("", "empty"),)


def test_a_model_that_only_says_the_same_leaves_a_smaller_pool_with_a_notice(chat: ChatProtocol) -> None:
    with chat.server([GOOD] * 4) as server:
        [pool], notices = chat.make(server)
    assert pool.notice == (
        "task273: 1 of the 2 paraphrases asked for; not accepted: 3 x equal to another candidate."
    )
    assert notices == [pool.notice]


def test_a_model_that_never_says_anything_useful_is_an_error(chat: ChatProtocol) -> None:
    with chat.server([""] * 4) as server:
        message = chat.failure(server)
    assert message.startswith(
        "task273: 0 of the 2 paraphrases asked for; not accepted: 4 x empty. "
        "That is fewer than paraphrase.minimum = 1."
    )
    assert chat.ended(server)


@pytest.mark.parametrize(
    "garbage", [Trouble.GARBAGE, Json([]), Json("hello"), Json(None), Json(3), Json({"hello": "world"})]
)
def test_an_unreadable_answer_counts_as_a_rejection(garbage: Reply, chat: ChatProtocol) -> None:
    with chat.server([garbage, GOOD]) as server:
        [pool], _ = chat.make(server, count=1)
    assert pool.rejected == (Rejection("", "unreadable answer"),)
    assert pool.texts == [GOOD]


def test_an_answer_cut_off_at_the_limit_of_length_is_a_rejection_and_is_not_saved(
    chat: ChatProtocol, cache: Path
) -> None:
    cut = Answer("If right, say yes, else no, and then", reason="length")
    with chat.server([cut, GOOD]) as server:
        [pool], _ = chat.make(server, count=1)
    assert pool.rejected == (
        Rejection("If right, say yes, else no, and then", "cut off at the limit of length"),
    )
    assert pool.texts == [GOOD]
    assert saved(cache) == [GOOD]


# --- answers in other forms


def test_a_text_in_json_or_with_an_introduction_is_taken_out(chat: ChatProtocol, cache: Path) -> None:
    replies = [f"```json\n{json.dumps({'instruction': GOOD})}\n```", f"Here is a paraphrase:\n\n{OTHER}"]
    with chat.server(replies) as server:
        [pool], _ = chat.make(server, parallel=1)
    assert pool.texts == [GOOD, OTHER]
    assert pool.rejected == ()
    assert saved(cache) == replies


# --- a server in trouble

BROKEN: list[tuple[Reply, str]] = [
    (Fail(503, "server busy"), "was busy (HTTP 503)"),
    *((Fail(n, "out of\n memory"), f'failed (HTTP {n}: "out of memory")') for n in (409, 500, 502, 520, 529)),
    (Trouble.DROP, "broke the connection"),
    (Trouble.CUT, "broke the connection"),
]


@pytest.mark.parametrize("trouble", [trouble for trouble, _ in BROKEN])
def test_a_busy_server_and_a_broken_answer_are_tried_again(trouble: Reply, chat: ChatProtocol) -> None:
    with chat.server([trouble, trouble, GOOD]) as server:
        [pool], _ = chat.make(server, count=1)
    assert pool.texts == [GOOD]
    assert pool.rejected == ()
    first, second, third = server.bodies(chat.chat)
    assert first == second == third  # the same request, not the next one


@pytest.mark.parametrize(("trouble", "what"), BROKEN)
def test_tries_are_bounded(trouble: Reply, what: str, chat: ChatProtocol) -> None:
    with chat.server([trouble] * 9) as server:
        message = chat.failure(server, count=1)
    assert message == (
        f"{chat.name(server)} {what} 3 times in a row. "
        "See that it runs, then start the same command again: what it has said is kept."
    )
    assert len(server.bodies(chat.chat)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("silent", [Trouble.HANG, Trouble.STALL, Drip(OTHER, 0.05)])
def test_a_call_without_an_answer_in_time_ends_and_the_next_is_made(
    silent: Reply, chat: ChatProtocol
) -> None:
    with chat.server([silent, GOOD]) as server:
        [pool], _ = chat.make(server, count=1, timeout=1.5)
    # Though bytes went on coming, of which the last would come after seconds more.
    assert pool.rejected == (Rejection("", "no answer within 1.5 s"),)
    assert pool.texts == [GOOD]


@pytest.mark.slow
def test_what_was_not_answered_is_asked_again_in_the_next_run(chat: ChatProtocol) -> None:
    with chat.server([GOOD, Trouble.HANG, *[Trouble.GARBAGE] * 2]) as server:
        chat.make(server, timeout=1.5, parallel=1, minimum=0)
        before = server.bodies(chat.chat)
        [pool], _ = chat.make(server, parallel=1)
    assert pool.texts == [GOOD, "Wording 5: say yes or no."]
    assert server.bodies(chat.chat)[4:] == [before[1]]


# --- the deadline


@pytest.mark.slow
def test_the_deadline_is_kept_while_calls_are_given_up_one_by_one(chat: ChatProtocol) -> None:
    with chat.server([Trouble.HANG] * 99) as server:
        message = chat.failure(server, timeout=0.2, deadline=1.5, count=20, attempts=6)
        assert chat.ended(server)
    assert "1 x paraphrase.deadline of 1.5 s reached" in message
    assert "x no answer within 0.2 s" in message
    assert server.in_flight_most <= 4


def test_the_deadline_is_kept_when_the_server_never_answers(chat: ChatProtocol) -> None:
    with chat.server([Trouble.HANG] * 99) as server:
        message = chat.failure(server, timeout=60.0, deadline=0.6, count=20)
    assert "not accepted: 1 x paraphrase.deadline of 0.6 s reached." in message
    assert len(server.bodies(chat.chat)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [1, 2])
def test_the_deadline_cuts_calls_short_and_keeps_what_is_there(
    parallel: int, chat: ChatProtocol, cache: Path
) -> None:
    with chat.server([GOOD, *[Trouble.HANG] * 9]) as server:
        [pool], _ = chat.make(server, timeout=60.0, deadline=2.0, parallel=parallel, count=3)
    assert pool.texts == [GOOD]
    assert pool.rejected == (Rejection("", "paraphrase.deadline of 2 s reached"),)  # once
    assert len(server.bodies(chat.chat)) == 1 + parallel
    assert saved(cache) == [GOOD]


@pytest.mark.slow
def test_answers_that_overtook_a_silent_call_are_kept_at_the_deadline(
    chat: ChatProtocol, cache: Path
) -> None:
    def first_never(body: dict[str, Any]) -> Reply:
        return Trouble.HANG if first_style(body) else GOOD

    with chat.server(first_never) as server:
        [pool], _ = chat.make(server, timeout=60.0, deadline=2.0)
    assert pool.texts == [GOOD]
    assert saved(cache) == [GOOD]


def test_after_the_deadline_no_task_makes_a_call(chat: ChatProtocol) -> None:
    tasks = [elsewhere(f"Find the odd word among the {n}.", f"task{n}") for n in range(3)]
    with chat.server([Trouble.HANG] * 99) as server:
        pools, notices = chat.make(server, *tasks, timeout=60.0, deadline=0.5, minimum=0)
    assert len(server.bodies(chat.chat)) == 2
    assert [pool.texts for pool in pools] == [[], [], []]
    assert notices == [
        f"task{n}: 0 of the 2 paraphrases asked for; not accepted: 1 x paraphrase.deadline of 0.5 s reached."
        for n in range(3)
    ]


@pytest.mark.slow
def test_the_deadline_is_kept_while_waiting_to_try_again(
    chat: ChatProtocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "BACKOFF", (3600.0,))
    with chat.server([GOOD, Fail(503, "server busy")]) as server:
        [pool], _ = chat.make(server, deadline=1.0, parallel=1)
    assert pool.texts == [GOOD]
    assert pool.rejected == (Rejection("", "paraphrase.deadline of 1 s reached"),)


# --- interruptions


def test_ctrl_c_while_a_call_is_out_closes_it_and_keeps_what_was_said(
    chat: ChatProtocol, cache: Path
) -> None:
    def interrupt(body: dict[str, Any]) -> Reply:
        if first_style(body):
            return GOOD
        if second_style(body):
            threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
        return Trouble.HANG

    with chat.server(interrupt) as server:
        with pytest.raises(KeyboardInterrupt):
            chat.make(server, count=5, parallel=2, timeout=3600.0)
        assert chat.ended(server)
    assert saved(cache) == [GOOD]


def test_a_cache_that_cannot_be_written_ends_all_calls(chat: ChatProtocol, cache: Path) -> None:
    cache.write_text("a file in the place of the folder")
    with chat.server(lambda body: GOOD if first_style(body) else Slow(OTHER, 0.5)) as server:
        with pytest.raises(ParaphraseError, match="SAPO_LITE_CACHE") as caught:
            chat.make(server)
        assert caught.value is not None  # and with it the frames that it came through
        assert not [thread for thread in threading.enumerate() if "portal" in thread.name]
        assert chat.ended(server)


# --- the surroundings


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_in_the_environment_is_not_asked_for_this_machine(
    name: str, chat: ChatProtocol, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    scheme = "socks5" if name == "ALL_PROXY" else "http"
    monkeypatch.setenv(name, f"{scheme}://127.0.0.1:{closed_port}")
    with chat.server() as server:
        [pool], notices = chat.make(server)
    assert len(pool.texts) == 2
    assert notices == []


@pytest.mark.parametrize(
    ("proxy", "said"), [("socks5://127.0.0.1:9", "'socksio'"), ("gopher://127.0.0.1:9", "Unknown scheme")]
)
def test_a_proxy_that_cannot_be_used_is_said(
    proxy: str, said: str, chat: ChatProtocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://gpu-box/v1" if chat is OPENAI else "http://gpu-box:11434"
    with chat.server() as server:
        chat.make(server, count=1)  # with answers saved, their digest is what is asked for first
        monkeypatch.setenv("ALL_PROXY", proxy)
        message = chat.failure(server, **{chat.address: url})
    assert message.startswith(f"The proxy in your environment cannot be used to reach {url}: ")
    assert said in message


def test_it_works_in_a_notebook(chat: ChatProtocol) -> None:
    async def cell(server: LoopbackServer) -> list[Pool]:
        return chat.make(server)[0]

    with chat.server() as server:
        [pool] = asyncio.run(cell(server))
    assert len(pool.texts) == 2


@pytest.mark.slow
def test_no_socket_is_left_open(chat: ChatProtocol) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with chat.server([Trouble.HANG, Trouble.CUT, Fail(503, "busy"), Trouble.GARBAGE]) as server:
            chat.make(server, timeout=1.0, count=4)
        gc.collect()
    assert [warning for warning in caught if issubclass(warning.category, ResourceWarning)] == []
