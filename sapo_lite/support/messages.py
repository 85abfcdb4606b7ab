"""Words of error messages: quoted values, lists of choices, suggestions, counts."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from sapo_lite.support.foreign_text import visible

_LONGEST = 60  # characters of a quoted value; more would push the rest of the line out of sight


def quoted(value: object) -> str:
    """`as_toml`, cut if it is long."""
    text = as_toml(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def as_toml(value: object) -> str:
    """A value as a recipe would write it: `"text"`, `true`, `[1, 2]`; `nothing` for None."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_toml(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{...}"
    return str(value)


def one_of(choices: Iterable[str]) -> str:
    """`a, b or c`."""
    *first, last = choices
    return f"{', '.join(first)} or {last}" if first else last


def nearest(word: str, choices: Iterable[str], at_most: int = 1) -> list[str]:
    """The choices most similar to `word`, in any case; empty if none is similar."""
    by_lower_case = {choice.lower(): choice for choice in choices}
    return [by_lower_case[close] for close in difflib.get_close_matches(word.lower(), by_lower_case, at_most)]


def number(value: float | None, places: int = 2, *, sign: bool = False) -> str:
    return "–" if value is None else f"{value:{'+' if sign else ''}.{places}f}"


def p_value(p: float | None) -> str:
    if p is None:
        return "–"
    return f"{p:.4f}" if p >= 0.0001 else "< 0.0001"


def many(count: int, noun: str) -> str:
    """ "1 run", "2 runs"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A table whose columns after the first `texts` are numbers. No text ends its cell or opens a tag."""
    rule = ["---"] * texts + ["---:"] * (len(headings) - texts)
    lines = [rule if line is rule else [*map(_cell, line)] for line in [headings, rule, *rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    escaped = re.sub(r"(?<!\\)\|", r"\|", " ".join(visible(text).split("\n")))
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", escaped)
