"""The `file` source: paraphrases from a file.

The file has one list of texts for each task, under the task's full or short id,

    task195 = ["Is this tweet positive or negative?", "..."]

or it is a candidates file, written by a run (one task) or by `sapo-lite paraphrase`. Texts that may belong to
two tasks, or twice to one, are refused. The file may also be a prompts file of `sapo-lite score`: a text file
with one a line, under a heading (`# task195`) for each task, or, if a single task is paraphrased, without
headings; or then a JSON list of texts.
"""

import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sapo_lite.data.files import prompts_in_text
from sapo_lite.errors import ParaphraseError
from sapo_lite.support.messages import one_of, quoted
from sapo_lite.support.strict_json import loads, within_limits
from sapo_lite.types import Task

# File types that hold texts in another form than one a line.
NO_PROMPTS = frozenset((".jsonl", ".ndjson", ".csv", ".tsv", ".yaml", ".yml"))


class FromFile:
    """Paraphrases that the user wrote, or that another run saved.

    A file without texts for a task is an error, unless there are other sources: then `notify` is called with
    a message. A list without a task's name is for the `only` task.
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
                    f'one list. Write {{"{task.key}": ["...", "..."], ...}} into a .json file.'
                )
            parsed = {task.id: [text for text in parsed if text != task.instruction]}
        listed = _by_name(self._path, parsed, task)
        match [name for name in dict.fromkeys((task.key, task.id)) if name in listed]:
            case [name]:
                yield from _texts(self._path, name, listed[name])[numbers.start : numbers.stop]
                return
            case [first, second]:
                raise ParaphraseError(
                    f'{self._path}: expected one entry for {task.id}; found "{first}" and "{second}". '
                    "Leave one of them."
                )
        names = map(quoted, (task.key, task.id))
        message = (
            f"{self._path}: expected paraphrases for {one_of(dict.fromkeys(names))}; "
            f"found {', '.join(listed) or 'no task'}."
        )
        if self._notify is None:
            raise ParaphraseError(message)
        self._notify(message)


def _texts(path: Path, name: str, texts: Any) -> list[str]:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ParaphraseError(
            f'{path}: expected a list of texts for "{name}", as in ["...", "..."]; found {quoted(texts)}.'
        )
    return texts


def _parse(path: Path) -> dict[str, Any] | list[Any]:
    """The file's top-level table, or its list of texts."""
    kind = path.suffix.lower()
    if kind in NO_PROMPTS:
        raise ParaphraseError(
            f"{path}: expected paraphrases in a .toml or .json file, or in a text file, one a line; found "
            f"{quoted(kind)}."
        )
    try:
        content = path.read_text(encoding="utf-8-sig")
        if kind not in (".toml", ".json"):
            return prompts_in_text(content, str(path))
        data = within_limits(lambda: tomllib.loads(content)) if kind == ".toml" else loads(content)
    except OSError as error:
        raise ParaphraseError(f"{path}: the file of paraphrases cannot be read: {error.strerror}.") from None
    except ValueError as error:  # not UTF-8, TOML, JSON: each decoder says where
        raise ParaphraseError(f"{path}: expected a file of paraphrases: {error}.") from None
    if not isinstance(data, dict | list):
        raise ParaphraseError(f"{path}: expected lists of texts by task, found {type(data).__name__}.")
    return data


def _by_name(path: Path, data: dict[str, Any], task: Task) -> dict[str, Any]:
    """Texts by the file's task names, without originals, for each layout of the file.

    If no name is the task's, the texts of the task with the same instruction are taken, under its id.

    Raises:
        ParaphraseError: a task is there twice, or several tasks have the instruction.
    """
    pools = _pools(data)
    if pools is None:
        return data
    found: dict[str, Any] = {}
    alike = []
    for pool in pools:
        name, entries = pool["task"], [c if isinstance(c, dict) else {"text": c} for c in pool["candidates"]]
        if name in found:
            raise ParaphraseError(f"{path}: {quoted(name)} is there twice; leave one of them.")
        originals = [entry.get("text") for entry in entries if entry.get("origin") == "original"]
        found[name] = [entry.get("text") for entry in entries if entry.get("origin") != "original"]
        if originals == [task.instruction]:
            alike.append(name)
    if task.id in found or task.key in found:
        return found
    if len(alike) > 1:
        raise ParaphraseError(
            f"{path}: {', '.join(alike)} have the instruction of {task.id}; call one of them "
            f"{quoted(task.id)}."
        )
    return {task.id: found[alike[0]]} if alike else found


def _pools(data: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The pools of a candidates file; None if it is a table of lists, even with confusing task names."""
    listed = data["pools"] if isinstance(data.get("pools"), list) else [data]
    pools = [pool for pool in listed if _is_pool(pool)]
    return pools if pools or not listed else None


def _is_pool(data: Any) -> bool:
    match data:
        case {"task": str(), "candidates": list()}:
            return True
    return False
