"""Protocols for reporting progress, without a display and without a domain."""

from contextlib import AbstractContextManager
from typing import Protocol


class Meter(Protocol):
    """Progress of one piece of work of known length."""

    def advance(self, amount: int = 1, note: str = "") -> None: ...


class Progress(Protocol):
    """Stages of the work, pieces of known length within them, and notices.

    Rooms that show things of their own extend it: `prompts/progress.py`, `run/progress.py`.
    """

    def stage(self, title: str) -> None: ...

    def work(self, label: str, total: int, unit: str) -> AbstractContextManager[Meter]: ...

    def notice(self, text: str) -> None: ...
