"""Strict JSON for users' files: a one-sentence error for data that `json` silently changes or crashes on."""

import json
import sys
from typing import Any

from sapo_lite.support.messages import quoted

# Deepest nesting of brackets: far more than a table of examples needs, far less than Python's limit.
_DEEPEST = 50


class DuplicateKeyError(ValueError):
    """An object of a JSON file has a key twice; the message names it."""


def loads(text: str) -> Any:
    """The value of a JSON text, with all strings made `writable`.

    Raises:
        DuplicateKeyError: an object has a key twice; `json` would silently use the last value.
        json.JSONDecodeError: it is not valid JSON.
        ValueError: a number is too long, or the nesting too deep.
    """
    try:
        return _writable(json.loads(text, object_pairs_hook=_object), _DEEPEST)
    except (DuplicateKeyError, json.JSONDecodeError):
        raise
    except RecursionError:
        raise ValueError(f"expected at most {_DEEPEST} brackets in one another, found more") from None
    except ValueError:  # Python's own limit on the digits of an integer
        longest = sys.get_int_max_str_digits()
        raise ValueError(
            f"expected numbers of at most {longest} digits, found a longer one; put it in double quotes"
        ) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DuplicateKeyError(f"the key {quoted(key)} is there twice in one object; leave one of them")
        found[key] = value
    return found


def _writable(value: Any, deepest: int) -> Any:
    """The value with writable strings. Raises RecursionError if it is nested deeper than `deepest`."""
    if isinstance(value, str):
        return writable(value)
    if not isinstance(value, list | dict):
        return value
    if not deepest:
        raise RecursionError
    if isinstance(value, list):
        return [_writable(item, deepest - 1) for item in value]
    return {writable(key): _writable(item, deepest - 1) for key, item in value.items()}


def writable(text: str) -> str:
    """The text with U+FFFD for each half surrogate pair, which JSON can hold and a UTF-8 file cannot."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
