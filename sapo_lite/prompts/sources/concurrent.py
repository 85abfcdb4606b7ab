"""Calls to a chat server: several at once, each within a time limit, all before a deadline."""

import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from ipaddress import ip_address
from urllib.parse import urlsplit

import anyio
from anyio.from_thread import start_blocking_portal

from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.pool import LastRejection, Rejection
from sapo_lite.prompts.sources.answer_cache import Answers, Call, Keep

BACKOFF = (0.5, 1.0, 2.0, 4.0)  # s, pauses before the second try and the following ones


class BusyError(Exception):
    """The call may succeed if it is made again; the text says in a few words what was wrong.

    `pause` is how many seconds the server asks to wait.
    """

    def __init__(self, trouble: str, pause: float = 0.0) -> None:
        super().__init__(trouble)
        self.pause = pause


class UnreadableError(Exception):
    """There is an answer, and it is none that the protocol knows."""


class InFlight:
    """Makes calls with `ask`, which raises BusyError, UnreadableError, TimeoutError or ParaphraseError.

    `check` runs once, before the first call, and raises ParaphraseError unless the server can be used.
    `timeout` is that of a call, `deadline` that of all calls from the first one on, in seconds.
    `server` is what messages call it.
    """

    def __init__(
        self,
        ask: Callable[[Call], Awaitable[str]],
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
        """The answers in the order of the calls; `keep` gets each as soon as it is there.

        A call without an answer gives a Rejection; so does the deadline, and ends the whole with what is
        there by then. Raises ParaphraseError, with which all other calls end, if the server is lost or
        refuses.
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
        # The event loop runs in a thread of its own: a notebook has one already in this thread.
        with start_blocking_portal() as portal:
            places = portal.call(anyio.CapacityLimiter, self._parallel)
            futures = [portal.start_task_soon(self._answer, call, keep, places) for call in calls]
            try:
                for number, future in enumerate(futures):
                    try:
                        answer = future.result(timeout=max(0.0, self._ends - time.monotonic()))
                    except TimeoutError:  # of the wait: no call raises it
                        yield from _there(futures[number:], late)
                        return
                    yield answer
            finally:
                for future in futures:
                    future.cancel()

    async def _answer(self, call: Call, keep: Keep, places: anyio.CapacityLimiter) -> str | Rejection:
        """One call, made again while the server is busy or breaks the connection."""
        async with places:
            for pause in (*BACKOFF, None):
                try:
                    with anyio.fail_after(self._timeout):
                        answer = await self._ask(call)
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


def is_here(url: str) -> bool:
    """Whether a server is on this machine: a proxy in the environment is not meant for it."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


def _there(futures: "Sequence[Future[str | Rejection]]", late: Rejection) -> list[str | Rejection]:
    """The answers that are there, with `late` in the gaps before them, and at least once."""
    answers = [future.result() if future.done() else late for future in futures]
    while len(answers) > 1 and answers[-1] is late:
        answers.pop()
    return answers
