"""The `file` source: paraphrases from a file.

Either one list of texts for each task, named by its full or short id,

    task195 = ["Is this tweet positive or negative?", "..."]

or a candidates file: of another run, which holds one task, or of `sapo-lite paraphrase`. Where a single task
is paraphrased, also what `sapo-lite score` reads: a JSON list of texts, or a text file with one a line.
"""

import json
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sapo_lite.errors import ParaphraseError
from sapo_lite.support.messages import one_of, quoted
from sapo_lite.types import Task

# Files that hold texts, but not one a line.
NO_PROMPTS = frozenset((".jsonl", ".ndjson", ".csv", ".tsv", ".yaml", ".yml"))


class FromFile:
    """Texts that the user wrote, or that another run saved.

    A file that has none for a task is an error, unless other sources stand in for it: `notify` is then
    called with what is missing. A list that names no task is taken for the `only` task.
    """

    generated = False

    def __init__(self, path: Path, notify: Callable[[str], None] | None = None, *, only: bool = True) -> None:
        self._path = path
        self._notify = notify
        self._only = only

    def answers(self, task: Task, numbers: range, taken: Sequence[str]) -> Iterator[str]:
        parsed = _parse(self._path)
        if isinstance(parsed, list):
            if not self._only:
                raise ParaphraseError(
                    f"{self._path}: expected lists of texts by task, since there are several tasks; found "
                    f'one list. Write {{"{task.short_id}": ["...", "..."], ...}} into a .json file.'
                )
            parsed = {task.id: [text for text in parsed if text != task.instruction]}
        listed = _by_task(parsed, task)
        name = next((name for name in (task.id, task.short_id) if name in listed), None)
        names = map(quoted, (task.short_id, task.id))
        if name is not None:
            yield from _texts(self._path, name, listed[name])[numbers.start : numbers.stop]
            return
        told = (
            f"{self._path}: expected paraphrases for {one_of(dict.fromkeys(names))}; "
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


def _parse(path: Path) -> dict[str, Any] | list[Any]:
    """The file's top-level table, or the texts that it lists."""
    kind = path.suffix.lower()
    if kind in NO_PROMPTS:
        raise ParaphraseError(
            f"{path}: expected paraphrases in a .toml or .json file, or in a text file, one a line; found "
            f"{quoted(kind)}."
        )
    try:
        content = path.read_text(encoding="utf-8-sig")
        if kind not in (".toml", ".json"):
            return [line.strip() for line in content.split("\n") if line.strip()]
        data = tomllib.loads(content) if kind == ".toml" else json.loads(content)
    except OSError as error:
        raise ParaphraseError(f"{path}: the file of paraphrases cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, TOML, JSON: each decoder says where
        raise ParaphraseError(f"{path}: expected a file of paraphrases: {error}.") from None
    if not isinstance(data, dict | list):
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
