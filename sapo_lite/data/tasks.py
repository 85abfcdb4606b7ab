"""Loads the tasks of a sequence: instruction, suffix and examples of each."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sapo_lite.data.language import language_of
from sapo_lite.data.suite import PUBLISHED, find_suite, match_task, read_index, read_json
from sapo_lite.data.task_keys import task_keys
from sapo_lite.errors import DataError
from sapo_lite.support.messages import quoted
from sapo_lite.types import Example, Task

if TYPE_CHECKING:
    from sapo_lite.recipe import SequenceConfig


def load_sequence(sequence: "SequenceConfig", data: Path | None = None) -> list[Task]:
    """The recipe's tasks in order, with keys; `data` (--data) is looked at before the other folders.

    Raises DataError listing, one a line, everything that is wrong with any of the tasks.
    """
    suite = find_suite(sequence, data)
    index = read_index(suite)
    problems: list[str] = []
    wanted_as: dict[str, str] = {}
    tasks = []
    for wanted in sequence.tasks:
        with _collecting(problems):
            name = match_task(wanted, suite, index)
            if name in wanted_as:
                raise DataError(f"{quoted(wanted_as[name])} and {quoted(wanted)} are the same task, {name}.")
            wanted_as[name] = wanted
            tasks.append(_load_task(suite, name, index[name], sequence))
    if problems:
        raise DataError("\n".join(problems))
    keys = task_keys([task.id for task in tasks])
    return [
        task if key == task.key else replace(task, own_key=key) for task, key in zip(tasks, keys, strict=True)
    ]


@contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    """Note a DataError and go on, so that one run tells of everything."""
    try:
        yield
    except DataError as error:
        problems.append(str(error))


def _load_task(suite: Path, name: str, entry: object, sequence: "SequenceConfig") -> Task:
    """Raises DataError with everything that is wrong with the task's entry and files."""
    folder = suite / name
    problems: list[str] = []
    with _collecting(problems):
        entry = _check_entry(entry, f"{suite / 'instructions.json'}, {name}")
    with _collecting(problems):
        split = _train_split(folder, sequence.missing_train)
        train = _read_examples(folder / f"{split}.json", sequence.train_examples, sequence.draw)
    with _collecting(problems):
        test = _read_examples(_present(folder / "test.json"), sequence.test_examples, sequence.draw)
    if problems:
        raise DataError("\n".join(problems))
    return Task(
        id=name,
        suite=sequence.suite,
        instruction=entry["instruction"],
        suffix=entry["suffix"],
        labels=tuple(entry["labels"]),
        language=language_of(entry["instruction"] + entry["suffix"]),
        train=train,
        test=test,
        train_split=split,
    )


def _check_entry(entry: object, where: str) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected an object, found {quoted(entry)}")
    for key in ("instruction", "suffix"):  # either may be empty, neither may be missing
        if not isinstance(entry.get(key), str):
            raise DataError(f'{where}: expected a text as "{key}", found {quoted(entry.get(key))}')
    labels = entry.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise DataError(f'{where}: expected a list of texts as "labels", found {quoted(labels)}')
    return entry


def _train_split(folder: Path, missing_train: str) -> Literal["train", "dev"]:
    """Which file to train on. Raises DataError naming the missing file and what can be done."""
    train, dev = folder / "train.json", folder / "dev.json"
    if train.is_file():
        return "train"
    if missing_train == "dev" and dev.is_file():
        return "dev"
    if missing_train == "dev":
        raise DataError(f"{train}: no such file, and no dev.json to stand in for it. {PUBLISHED}.")
    stand_in = "or let dev.json stand in for it: --set sequence.missing_train=dev"
    raise DataError(f"{train}: no such file. {PUBLISHED}; {stand_in}")


def _present(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path}: no such file. {PUBLISHED}.")
    return path


def _read_examples(path: Path, limit: int, draw: int | None) -> tuple[Example, ...]:
    """The first `limit` rows, or as many as there are; in a random order of the file if `draw` is a seed.

    Raises DataError naming the first bad row, by its place in the file.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise DataError(f"{path}: expected a list of rows, found {quoted(rows)}")
    if not rows:
        raise DataError(f"{path}: expected at least one row, found an empty list")
    order = list(range(len(rows)))
    if draw is not None:
        # Named after task and file, so that files of one length are not put into one order.
        random.Random(f"{draw}/{path.parent.name}/{path.name}").shuffle(order)
    order = order[:limit]
    faults = [(place + 1, fault) for place in sorted(order) if (fault := _row_fault(rows[place]))]
    if faults:
        number, fault = faults[0]
        more = f" (and {len(faults) - 1} more bad rows)" if len(faults) > 1 else ""
        raise DataError(f"{path}, row {number}: {fault}{more}")
    return tuple(Example(input=rows[place]["sentence"], answer=rows[place]["label"]) for place in order)


def _row_fault(row: object) -> str | None:
    if not isinstance(row, dict):
        return f'expected {{"sentence": text, "label": text}}, found {quoted(row)}'
    for key in ("sentence", "label"):
        if not isinstance(row.get(key), str):
            return f'expected a text as "{key}", found {quoted(row.get(key))}'
    return None if row["label"].strip() else f'expected an answer as "label", found {quoted(row["label"])}'
