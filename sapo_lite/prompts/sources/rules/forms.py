"""What rules of rewording consist of."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """A shape that a whole instruction may have, and templates for other shapes that say the same.

    `plain` ones can follow any opening, `framed` ones address the reader already, `last` ones name
    what is given after what is to be done.
    """

    pattern: re.Pattern[str]
    plain: Sequence[str]
    framed: Sequence[str] = ()
    last: Sequence[str] = ()


@dataclass(frozen=True)
class Rules:
    """All there is to say in one language. Of the forms, the first that matches is taken."""

    forms: Sequence[Form]
    phrases: Sequence[tuple[re.Pattern[str], Sequence[str]]]
    openings: Sequence[str]
    closings: Sequence[str]
    space: str


def form(pattern: str, plain: str, framed: str = "", last: str = "") -> Form:
    return Form(re.compile(pattern, re.DOTALL), items(plain), items(framed), items(last))


def items(table: str) -> tuple[str, ...]:
    return tuple(re.split(r" \| |\n", table)) if table else ()
