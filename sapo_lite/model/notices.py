"""Lines for the user about what happens in the middle of work, such as that it goes on more slowly."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_notice: ContextVar[Callable[[str], None]] = ContextVar("notice", default=lambda _: None)


@contextlib.contextmanager
def noticed(notice: Callable[[str], None]) -> Iterator[None]:
    """Context manager: `notice` gets the lines of `notice_once`, each of them once."""
    given: set[str] = set()

    def once(line: str) -> None:
        if line not in given:
            given.add(line)
            notice(line)

    before = _notice.set(once)
    try:
        yield
    finally:
        _notice.reset(before)


def notice_once(line: str) -> None:
    """Give the user a line, unless it was given before or nobody listens."""
    _notice.get()(line)
