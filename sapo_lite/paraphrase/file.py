"""The `file` source: paraphrases from a TOML or JSON file.

Either one list of texts for each task, named by its full or short id,

    task195 = ["Is this tweet positive or negative?", "..."]

or a candidates file: of another run, which holds one task, or of `sapo-lite paraphrase`.
"""

import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sapo_lite.errors import ParaphraseError
from sapo_lite.messages import quoted
from sapo_lite.types import Task


class FromFile:
    """Texts that the user wrote, or that another run saved."""

    generated = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def answers(self, task: Task, numbers: range, taken: Sequence[str]) -> Iterator[str]:
        yield from read_paraphrases(self._path, task)[numbers.start : numbers.stop]


def read_paraphrases(path: Path, task: Task) -> list[str]:
    """The texts that the file holds for the task, in its order, without the original of another run.

    Raises ParaphraseError naming the file, the task and what was expected.
    """
    data = _parse(path)
    listed = _by_task(data)
    name = next((name for name in (task.id, task.short_id) if name in listed), None)
    if name is None:
        raise ParaphraseError(
            f'{path}: expected paraphrases for "{task.short_id}" (or "{task.id}"); '
            f"found {', '.join(listed) or 'no task'}."
        )
    texts = listed[name]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ParaphraseError(
            f'{path}: expected a list of texts for "{name}", as in ["...", "..."]; found {quoted(texts)}.'
        )
    return texts


def _parse(path: Path) -> dict[str, Any]:
    """The file's top-level table."""
    try:
        content = path.read_text(encoding="utf-8-sig")
        data = tomllib.loads(content) if path.suffix == ".toml" else json.loads(content)
    except OSError as error:
        raise ParaphraseError(f"{path}: the file of paraphrases cannot be read: {error.strerror}.") from None
    except ValueError as error:  # not UTF-8, not TOML, not JSON: each decoder says where
        raise ParaphraseError(f"{path}: expected a .toml or .json file of paraphrases: {error}.") from None
    if not isinstance(data, dict):
        raise ParaphraseError(f"{path}: expected lists of texts by task, found {type(data).__name__}.")
    return data


def _by_task(data: dict[str, Any]) -> dict[str, Any]:
    """Texts by task, whichever of the layouts the file has."""
    match data:
        case {"pools": list(pools)}:
            return {
                name: texts
                for pool in pools
                if isinstance(pool, dict)
                for name, texts in _by_task(pool).items()
            }
        case {"task": str(name), "candidates": list(candidates)}:
            kept = [c for c in candidates if not (isinstance(c, dict) and c.get("origin") == "original")]
            return {name: [c.get("text") if isinstance(c, dict) else c for c in kept]}
    return data
