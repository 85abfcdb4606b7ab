"""One check: what was looked at, what was found, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """Result of a check.

    state: "warn" for what only some runs need, "fail" for what every run needs
    fix: what to do, a sentence; empty if nothing is wrong
    """

    name: str
    state: State
    found: str
    fix: str = ""


def ok(name: str, found: str) -> Check:
    return Check(name, "ok", found)


def failed(name: str, error: Exception, fix: str) -> Check:
    """The check of something that raised an error."""
    return Check(name, "fail", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", fix)
