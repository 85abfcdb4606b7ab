"""The parts of a language's rules of rewording."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """A pattern of a whole instruction, and templates for other instructions with the same meaning.

    `plain` templates can follow any opening, `framed` ones already address the reader, `last` ones name the
    input after the thing to do.
    """

    pattern: re.Pattern[str]
    plain: Sequence[str]
    framed: Sequence[str] = ()
    last: Sequence[str] = ()


@dataclass(frozen=True)
class Rules:
    """All rules of one language. The first form that matches is used."""

    forms: Sequence[Form]
    phrases: Sequence[tuple[re.Pattern[str], Sequence[str]]]
    openings: Sequence[str]
    closings: Sequence[str]
    space: str


def form(pattern: str, plain: str, framed: str = "", last: str = "") -> Form:
    return Form(re.compile(pattern, re.DOTALL), items(plain), items(framed), items(last))


def items(table: str) -> tuple[str, ...]:
    return tuple(re.split(r" \| |\n", table)) if table else ()
