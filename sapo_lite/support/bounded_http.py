"""HTTP calls to servers that may be slow, broken or hostile: bounded in time and in size, never sent on.

httpx's own time-outs are per read: a server that sends a byte now and then holds a call for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sapo_lite.errors import ParaphraseError
from sapo_lite.support.http import is_here
from sapo_lite.support.offline import ASKED, is_forbidden

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

# Bytes of one answer: a paraphrase has some hundreds, a list of models some ten thousand.
ANSWER_LIMIT = 1_000_000

# Errors of a body that is not what was expected: bad JSON and failed validation (ValueError), JSON that is
# not an object (TypeError, AttributeError), JSON that is nested too deeply (RecursionError).
GARBAGE = (ValueError, TypeError, AttributeError, RecursionError)


def client_options(url: str) -> dict[str, Any]:
    """Arguments of an `httpx.AsyncClient` for calls to a server.

    Answers longer than ANSWER_LIMIT, and compressed ones, which may be of any size, raise
    httpx.DecodingError. A redirect is an answer like any other: another host would read the call.

    Raises:
        ParaphraseError: the server is on another machine, and work is offline.
    """
    if is_forbidden(url):
        raise ParaphraseError(
            f"{url} is on another machine, and {ASKED} forbids to connect there. Leave that out, name a "
            'server on this machine, or use paraphrase.backend = "builtin".'
        )
    return {
        "trust_env": not is_here(url),
        "follow_redirects": False,
        "headers": {"accept-encoding": "identity"},
        "event_hooks": {"response": [_bound]},
    }


def within(seconds: float, call: Callable[[], Awaitable[T]]) -> T:
    """Make an asynchronous call and wait for its result, also where an event loop runs (notebooks).

    Raises:
        TimeoutError: it took longer than `seconds` in all.
    """
    import anyio
    from anyio.from_thread import start_blocking_portal

    async def limited() -> T:
        with anyio.fail_after(seconds):
            return await call()

    with start_blocking_portal() as portal:
        return portal.call(limited)


async def _bound(response: httpx.Response) -> None:
    import httpx

    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise httpx.DecodingError(f"an answer compressed by {encoding}", request=response.request)
    response.stream = _bounded(response)


def _bounded(response: httpx.Response) -> httpx.AsyncByteStream:
    import httpx

    source: Any = response.stream

    class Bounded(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for part in source:
                size += len(part)
                if size > ANSWER_LIMIT:
                    raise httpx.DecodingError(
                        f"an answer of more than {ANSWER_LIMIT} bytes", request=response.request
                    )
                yield part

        async def aclose(self) -> None:
            await source.aclose()

    return Bounded()
