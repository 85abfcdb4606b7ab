"""Calls to a chat server: several at once, each within a time limit, all before a deadline."""

import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future

import anyio
from anyio.from_thread import start_blocking_portal

from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.pool import LastRejection, Rejection
from sapo_lite.prompts.sources.answer_cache import Answers, Call, Keep

BACKOFF = (0.5, 1.0, 2.0, 4.0)  # s, pauses before the second try and the following ones


class BusyError(Exception):
    """A call failed but may succeed if repeated; the text says in a few words why.

    `pause` is the number of seconds that the server asks to wait.
    """

    def __init__(self, trouble: str, pause: float = 0.0) -> None:
        super().__init__(trouble)
        self.pause = pause


_BUSY = {408, 429, 503, 504}


def passing_failure(status: int, said: str, pause: float = 0.0) -> BusyError:
    """The error of an answer with a status of `support.http.PASSING`, and with these words of the server."""
    if status in _BUSY or not said:
        return BusyError(f"was busy (HTTP {status})", pause)
    return BusyError(f'failed (HTTP {status}: "{said}")', pause)


class UnreadableError(Exception):
    """The server replied with an unexpected body."""


class InFlight:
    """Makes calls with `ask`, which raises BusyError, UnreadableError, TimeoutError or ParaphraseError.

    `check` runs once, before the first call, and raises ParaphraseError unless the server can be used.
    `timeout` limits one call and `deadline` all calls, from the start of the first one, in seconds. `server`
    is the server's name in messages.
    """

    def __init__(
        self,
        ask: Callable[[Call], Awaitable[str | Rejection]],
        server: str,
        *,
        check: Callable[[], None],
        parallel: int,
        timeout: float,
        deadline: float,
    ) -> None:
        self._ask = ask
        self._server = server
        self._check = check
        self._parallel = parallel
        self._timeout = timeout
        self._deadline = deadline
        self._ends: float | None = None

    @property
    def started(self) -> bool:
        """Whether the server was found usable, and calls were made."""
        return self._ends is not None

    def answers(self, calls: Sequence[Call], keep: Keep) -> Answers:
        """Yield the answers in the order of the calls; `keep` gets each as soon as it is there.

        A call without an answer gives a Rejection. At the deadline, the answers so far and a Rejection are
        given, and all calls end.

        Raises:
            ParaphraseError: the server is lost or refuses; all other calls end too.
        """
        if not calls:
            return
        if self._ends is None:
            self._check()
            self._ends = time.monotonic() + self._deadline
        late = LastRejection("", f"paraphrase.deadline of {self._deadline:g} s reached")
        if time.monotonic() >= self._ends:
            yield late  # not one more call
            return
        # The event loop runs in a thread of its own: in a notebook, this thread already has one.
        with start_blocking_portal() as portal:
            places = portal.call(anyio.CapacityLimiter, self._parallel)
            futures = [portal.start_task_soon(self._answer, call, keep, places) for call in calls]
            try:
                for number, future in enumerate(futures):
                    try:
                        answer = future.result(timeout=max(0.0, self._ends - time.monotonic()))
                    except TimeoutError:  # raised by the wait, never by a call
                        yield from _there(futures[number:], late)
                        return
                    yield answer
            finally:
                for future in reversed(futures):  # first those that wait: a call's end would let them begin
                    future.cancel()

    async def _answer(self, call: Call, keep: Keep, places: anyio.CapacityLimiter) -> str | Rejection:
        """Make one call; repeat it while the server is busy or breaks the connection."""
        async with places:
            for pause in (*BACKOFF, None):
                try:
                    with anyio.fail_after(self._timeout):
                        answer = await self._ask(call)
                    if isinstance(answer, str):
                        keep(call, answer)
                    return answer
                except TimeoutError:
                    return Rejection("", f"no answer within {self._timeout:g} s")
                except UnreadableError:
                    return Rejection("", "unreadable answer")
                except BusyError as error:
                    trouble = error
                if pause is not None:
                    await anyio.sleep(max(pause, trouble.pause))
        raise ParaphraseError(
            f"{self._server} {trouble} {len(BACKOFF) + 1} times in a row. "
            "See that it runs, then start the same command again: what it has said is kept."
        )


def _there(futures: "Sequence[Future[str | Rejection]]", late: Rejection) -> list[str | Rejection]:
    """The answers so far, with `late` in the gaps before them; at least one `late`."""
    answers = [future.result() if future.done() else late for future in futures]
    while len(answers) > 1 and answers[-1] is late:
        answers.pop()
    return answers
