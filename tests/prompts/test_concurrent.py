"""Several calls to a chat server at once: order, limits, and clean-up at the end."""

import asyncio
import gc
import signal
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import anyio
import pytest

from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.pool import LastRejection, Rejection
from sapo_lite.prompts.sources import concurrent as in_flight
from sapo_lite.prompts.sources.answer_cache import Call
from sapo_lite.prompts.sources.concurrent import BusyError, InFlight, UnreadableError

LATE = LastRejection("", "paraphrase.deadline of 0.5 s reached")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "BACKOFF", (0.01, 0.01))


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> Iterator[None]:
    """What other test modules have left in memory is not looked through at every collection."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()
    assert set(threading.enumerate()) == before


def calls(*requests: str) -> list[Call]:
    return [Call(request, seed) for seed, request in enumerate(requests)]


def ignore(call: Call, answer: str) -> None:
    """For tests that look at the answers given alone."""


def make(ask: Callable[[Call], Awaitable[str]], **changes: Any) -> InFlight:
    settings = {"check": lambda: None, "parallel": 4, "timeout": 5.0, "deadline": 60.0}
    return InFlight(ask, "The server", **(settings | changes))


def answers(
    ask: Callable[[Call], Awaitable[str]], *requests: str, **changes: Any
) -> Sequence[str | Rejection]:
    return list(make(ask, **changes).answers(calls(*requests), ignore))


def failing(*troubles: Exception, then: str = "well") -> Callable[[Call], Awaitable[str]]:
    """Raises these in turn, then answers."""
    left = iter(troubles)

    async def ask(call: Call) -> str:
        for trouble in left:
            raise trouble
        return then

    return ask


async def wait_for_the_number(call: Call) -> str:
    """Seconds to wait are the request; "inf" for ever."""
    await anyio.sleep(float(call.request))
    return f"after {call.request}"


def test_answers_come_in_the_order_of_the_calls() -> None:
    done = []

    async def first_last(call: Call) -> str:
        while call.request == "a" and len(done) < 2:
            await anyio.sleep(0.001)
        done.append(call.request)
        return call.request.upper()

    assert answers(first_last, "a", "b", "c") == ["A", "B", "C"]
    assert done[-1] == "a"


def test_an_answer_is_given_while_later_ones_are_still_out() -> None:
    given = make(wait_for_the_number).answers(calls("0", "inf"), ignore)
    assert next(given) == "after 0"
    given.close()


def test_the_server_is_checked_once_before_the_first_call() -> None:
    done = []

    async def ask(call: Call) -> str:
        done.append(call.request)
        return call.request

    in_flight = make(ask, check=lambda: done.append("check"), parallel=1)
    assert list(in_flight.answers([], ignore)) == []
    assert (done, in_flight.started) == ([], False)
    for request in "ab":
        assert list(in_flight.answers(calls(request), ignore)) == [request]
    assert (done, in_flight.started) == (["check", "a", "b"], True)


def test_a_server_that_cannot_be_used_gets_no_call() -> None:
    def refuse() -> None:
        raise ParaphraseError("nobody there")

    in_flight = make(failing(), check=refuse)
    with pytest.raises(ParaphraseError, match="nobody there"):
        list(in_flight.answers(calls("a"), ignore))
    assert not in_flight.started


def test_no_more_calls_at_once_than_allowed_and_as_many() -> None:
    now = most = 0

    async def count(call: Call) -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await anyio.sleep(0.02)
        now -= 1
        return ""

    assert len(answers(count, *"abcdefghi", parallel=3)) == 9
    assert most == 3


def test_no_calls_no_answers() -> None:
    assert answers(failing()) == []


def test_a_busy_server_is_asked_again_with_the_same_call() -> None:
    seen = []

    async def busy_at_first(call: Call) -> str:
        seen.append(call)
        if len(seen) < 3:
            raise BusyError("was busy")
        return "well"

    assert answers(busy_at_first, "a") == ["well"]
    assert seen == calls("a") * 3


def test_a_server_that_stays_busy_is_given_up() -> None:
    with pytest.raises(ParaphraseError) as caught:
        answers(failing(*[BusyError("was busy (HTTP 503)")] * 9), "a")
    assert str(caught.value) == (
        "The server was busy (HTTP 503) 3 times in a row. "
        "See that it runs, then start the same command again: what it has said is kept."
    )


def test_a_pause_that_the_server_asks_for_is_kept() -> None:
    started = time.monotonic()
    assert answers(failing(BusyError("was busy", pause=0.3)), "a") == ["well"]
    assert time.monotonic() - started >= 0.3


def test_a_pause_does_not_count_as_waiting_for_an_answer() -> None:
    assert answers(failing(BusyError("was busy", pause=1.1)), "a", timeout=1.0) == ["well"]


def test_what_cannot_be_read_is_a_rejection_and_the_others_go_on() -> None:
    assert answers(failing(UnreadableError()), "a", "b", parallel=1) == [
        Rejection("", "unreadable answer"),
        "well",
    ]


def test_a_call_without_an_answer_is_a_rejection_and_the_others_go_on() -> None:
    assert answers(wait_for_the_number, "inf", "0", timeout=0.5) == [
        Rejection("", "no answer within 0.5 s"),
        "after 0",
    ]


def test_one_refusal_ends_all_calls() -> None:
    begun, ended = [], []

    async def refuse_the_first(call: Call) -> str:
        begun.append(call.request)
        while call.request == "a":
            if len(begun) == 3:
                raise ParaphraseError("no such model")
            await anyio.sleep(0.001)
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(call.request)
        return ""

    with pytest.raises(ParaphraseError, match="no such model"):
        answers(refuse_the_first, *"abc")
    assert sorted(ended) == ["b", "c"]


# --- the deadline


def test_the_deadline_is_kept_when_nothing_is_answered() -> None:
    assert answers(wait_for_the_number, *["inf"] * 8, deadline=0.5) == [LATE]


def test_the_deadline_is_kept_while_waiting_to_try_again() -> None:
    assert answers(failing(BusyError("was busy", pause=3600.0)), "a", deadline=0.5) == [LATE]


def test_what_is_there_at_the_deadline_is_given_in_its_place() -> None:
    requests = ["0", "inf", "0.01", "inf", "0", "inf", "inf"]
    assert answers(wait_for_the_number, *requests, parallel=7, deadline=0.5) == [
        "after 0",
        LATE,
        "after 0.01",
        LATE,
        "after 0",
    ]


def test_the_deadline_is_one_for_all_calls_and_none_is_made_after_it() -> None:
    asked = []

    async def note(call: Call) -> str:
        asked.append(call.request)
        return await wait_for_the_number(call)

    talk = make(note, deadline=0.5, parallel=1)
    assert list(talk.answers(calls("0"), ignore)) == ["after 0"]
    assert list(talk.answers(calls("inf", "0"), ignore)) == [LATE]
    assert list(talk.answers(calls("0", "0"), ignore)) == [LATE]
    assert asked in (["0", "inf"], ["0"])  # a busy machine may not come to the second


def test_the_deadline_counts_from_the_first_call() -> None:
    talk = make(wait_for_the_number, deadline=0.5)
    time.sleep(0.6)
    assert list(talk.answers(calls("0"), ignore)) == ["after 0"]


# --- around it


def test_a_reader_who_stops_ends_all_calls() -> None:
    begun, ended = [], []

    async def tell_the_end(call: Call) -> str:
        begun.append(call.request)
        try:
            while call.request != "a" or len(begun) < 3:
                await anyio.sleep(0.001)
        finally:
            ended.append(call.request)
        return call.request

    for answer in make(tell_the_end).answers(calls(*"abc"), ignore):
        assert answer == "a"
        break
    gc.collect()
    assert sorted(ended) == ["a", "b", "c"]


def test_ctrl_c_ends_all_calls_at_once() -> None:
    ended = []

    async def interrupt(call: Call) -> str:
        try:
            if call.request == "c":  # the last to begin
                await anyio.sleep(0.05)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            await anyio.sleep_forever()
        finally:
            ended.append(call.request)
        return ""

    with pytest.raises(KeyboardInterrupt):
        answers(interrupt, *"abc")
    assert sorted(ended) == ["a", "b", "c"]


def test_it_works_inside_a_running_event_loop() -> None:
    async def notebook() -> Sequence[str | Rejection]:
        return answers(wait_for_the_number, "0.01", "0")

    assert asyncio.run(notebook()) == ["after 0.01", "after 0"]
