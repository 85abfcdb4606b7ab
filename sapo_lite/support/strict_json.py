"""JSON of users' files: what `json` would change in silence, or fail on, is an error of one sentence."""

import json
import sys
from typing import Any

from sapo_lite.support.messages import quoted

# Brackets in one another. Far above what a table of examples needs, far below where Python gives up.
_DEEPEST = 50


class DuplicateKeyError(ValueError):
    """An object of a JSON file has a key twice; the message names it."""


def loads(text: str) -> Any:
    """What a JSON text holds, its texts made `writable`.

    Raises:
        DuplicateKeyError: an object has a key twice, of which `json` would take the last value.
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
    """Raises RecursionError where more than `deepest` lists and objects are in one another."""
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
    """The text as files can hold it: JSON can carry half a surrogate pair, and U+FFFD stands in for it."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
