"""Faults of several tasks or files, reported at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from sapo_lite.errors import DataError


@contextmanager
def collecting(problems: list[str], before: str = "") -> Iterator[None]:
    """Context that records a DataError, with `before` in front, and continues."""
    try:
        yield
    except DataError as error:
        problems.append(f"{before}{error}")
