"""Strict JSON for users' files: a one-sentence error for data that `json` silently changes or crashes on."""

import json
import re
import sys
from collections.abc import Callable
from typing import Any

from sapo_lite.support.messages import quoted

# Deepest nesting of brackets: far more than a table of examples needs, far less than Python's limit.
_DEEPEST = 50
# Half a surrogate pair; and what may be one in JSON, as an escape or as it is.
HALF = re.compile(r"[\ud800-\udfff]")
_MAY_BE_HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class DuplicateKeyError(ValueError):
    """An object of a JSON file has a key twice; the message names it."""


class HalfCharacterError(ValueError):
    """A text has one half of a surrogate pair, which no UTF-8 file and no tokenizer takes."""


def loads(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        DuplicateKeyError: an object has a key twice; `json` would silently use the last value.
        json.JSONDecodeError: it is not valid JSON.
        HalfCharacterError: a text has half a surrogate pair.
        ValueError: a number is too long, or the nesting too deep.
    """
    value = within_limits(lambda: json.loads(text, object_pairs_hook=_object))
    if _MAY_BE_HALF.search(text):
        require_whole(value)
    return value


def within_limits(parse: Callable[[], Any]) -> Any:
    """The value that a parser of JSON or TOML returns.

    Raises:
        ValueError: a number is too long, or the nesting too deep; or what the parser raises.
    """
    try:
        value = parse()
        _check_depth(value, _DEEPEST)
    except RecursionError:
        raise ValueError(f"expected at most {_DEEPEST} brackets in one another, found more") from None
    except ValueError as error:
        if type(error) is not ValueError:  # a parser's own, with the place in the text
            raise
        longest = sys.get_int_max_str_digits()  # Python's own limit on the digits of an integer
        raise ValueError(
            f"expected numbers of at most {longest} digits, found a longer one; put it in double quotes"
        ) from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DuplicateKeyError(f"the key {quoted(key)} is there twice in one object; leave one of them")
        found[key] = value
    return found


def _check_depth(value: Any, deepest: int) -> None:
    """Raises RecursionError if the value is nested deeper than `deepest`."""
    if isinstance(value, list | dict):
        if not deepest:
            raise RecursionError
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, deepest - 1)


def require_whole(value: Any, *place: str) -> None:
    """Check the texts of a JSON value, at a place in words.

    Raises:
        HalfCharacterError: one has half a surrogate pair; the message has the place.
    """
    if isinstance(value, str):
        if half := HALF.search(value):
            found = f"\\u{ord(half[0]):04x}"
            where = ", ".join(place) or "the text"
            raise HalfCharacterError(f"{where}: expected whole characters, found half of one, {found}")
    elif isinstance(value, dict):
        for key, item in value.items():
            require_whole(key, *place, "a key")
            require_whole(item, *place, quoted(key))
    elif isinstance(value, list):
        kind = "item" if place else "row"
        for number, item in enumerate(value, start=1):
            require_whole(item, *place, f"{kind} {number}")


def writable(text: str) -> str:
    """The text with U+FFFD for each half surrogate pair, which JSON can hold and a UTF-8 file cannot."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
