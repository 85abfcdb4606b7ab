"""The `file` source: paraphrases from a TOML or JSON file.

Either one list of texts for each task, named by its full or short id,

    task195 = ["Is this tweet positive or negative?", "..."]

or a candidates file: of another run, which holds one task, or of `sapo-lite paraphrase`.
"""

import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sapo_lite.errors import ParaphraseError
from sapo_lite.support.messages import quoted
from sapo_lite.support.strict_json import loads
from sapo_lite.types import Task


class FromFile:
    """Texts that the user wrote, or that another run saved.

    A file that has none for a task is an error, unless other sources stand in for it: `notify` then
    hears of it.
    """

    generated = False

    def __init__(self, path: Path, notify: Callable[[str], None] | None = None) -> None:
        self._path = path
        self._notify = notify

    def answers(self, task: Task, numbers: range, taken: Sequence[str]) -> Iterator[str]:
        listed = _by_task(_parse(self._path), task)
        name = next((name for name in (task.id, task.short_id) if name in listed), None)
        if name is not None:
            yield from _texts(self._path, name, listed[name])[numbers.start : numbers.stop]
            return
        told = (
            f'{self._path}: expected paraphrases for "{task.short_id}" (or "{task.id}"); '
            f"found {', '.join(listed) or 'no task'}."
        )
        if self._notify is None:
            raise ParaphraseError(told)
        self._notify(told)


def _texts(path: Path, name: str, texts: Any) -> list[str]:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ParaphraseError(
            f'{path}: expected a list of texts for "{name}", as in ["...", "..."]; found {quoted(texts)}.'
        )
    return texts


def _parse(path: Path) -> dict[str, Any]:
    """The file's top-level table."""
    try:
        content = path.read_text(encoding="utf-8-sig")
        data = tomllib.loads(content) if path.suffix == ".toml" else loads(content)
    except OSError as error:
        raise ParaphraseError(f"{path}: the file of paraphrases cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, TOML, JSON: each decoder says where
        raise ParaphraseError(f"{path}: expected a .toml or .json file of paraphrases: {error}.") from None
    if not isinstance(data, dict):
        raise ParaphraseError(f"{path}: expected lists of texts by task, found {type(data).__name__}.")
    return data


def _by_task(data: dict[str, Any], task: Task) -> dict[str, Any]:
    """Texts by task, without originals, whichever of the layouts the file has.

    Candidates of the same instruction are the task's own, whatever it was called.
    """
    match data:
        case {"pools": list(pools)}:
            by_pool = [_by_task(pool, task) for pool in pools if isinstance(pool, dict)]
            return {name: texts for listed in by_pool for name, texts in listed.items()}
        case {"task": str(name), "candidates": list(candidates)}:
            entries = [c if isinstance(c, dict) else {"text": c} for c in candidates]
            originals = [entry.get("text") for entry in entries if entry.get("origin") == "original"]
            texts = [entry.get("text") for entry in entries if entry.get("origin") != "original"]
            return {task.id if originals == [task.instruction] else name: texts}
    return data
