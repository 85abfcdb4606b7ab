"""Shipped watch sets: questions with choices, which show what a model could do before it was trained.

A set is a file such as `data/watch/general.jsonl` with an item a line: category, question, choices, and the
index of the right choice. All items are of our own writing.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.support.shipped import shipped, typed_path

HARNESS = "harness:"  # of names of tasks of lm-evaluation-harness


@dataclass(frozen=True)
class ChoiceItem:
    """A question, and the index of the right one among its choices."""

    category: str
    question: str
    choices: tuple[str, ...]
    answer: int


def watch_sets() -> list[str]:
    """Names of the shipped sets."""
    return sorted(path.stem for path in (shipped("data") / "watch").glob("*.jsonl"))


def read_watch_set(name: str) -> tuple[ChoiceItem, ...]:
    """The items of a shipped set."""
    found = [json.loads(line) for line in _shipped(name).read_text(encoding="utf-8").splitlines()]
    return tuple(ChoiceItem(**{**item, "choices": tuple(item["choices"])}) for item in found)


def is_set(name: str) -> bool:
    """Whether a name of `sequence.watch` is a shipped set or a task of the harness, not one of the suite."""
    return name.startswith(HARNESS) or name in watch_sets()


def set_file(name: str, folder: Path) -> Path | None:
    """The file of a set or of a task of the harness; None for a task by name, or if there is none.

    folder: of the recipe, where files of the harness are looked for first
    """
    if not name.startswith(HARNESS):
        return _shipped(name)
    path = typed_path(name.removeprefix(HARNESS))
    if path.suffix not in (".yaml", ".yml"):
        return None
    return next((file.absolute() for file in (folder / path, path) if file.is_file()), None)


def _shipped(name: str) -> Path:
    return shipped("data") / "watch" / f"{name}.jsonl"
