"""JSON in which no object has a key twice, of which `json` would take the last value in silence."""

import json
from typing import Any

from sapo_lite.support.messages import quoted


class DuplicateKeyError(ValueError):
    """An object of a JSON file has a key twice; the message names it."""


def loads(text: str) -> Any:
    """What a JSON text holds.

    Raises:
        DuplicateKeyError: an object has a key twice.
        json.JSONDecodeError: it is not valid JSON.
    """
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DuplicateKeyError(f"the key {quoted(key)} is there twice in one object; leave one of them")
        found[key] = value
    return found
