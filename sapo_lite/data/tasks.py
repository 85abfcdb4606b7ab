"""Loading of a sequence's tasks: instruction, suffix and examples."""

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sapo_lite.data.collecting import collecting
from sapo_lite.data.drawing import stratified_order
from sapo_lite.data.labels import default_metric
from sapo_lite.data.language import language_of
from sapo_lite.data.own_tasks import own_tasks
from sapo_lite.data.readers import READERS, Row, is_table, read_rows
from sapo_lite.data.row_instructions import settle_instructions
from sapo_lite.data.rows import (
    columns_notice,
    empty_answers_notice,
    examples_from_rows,
    find_columns,
    unread_columns,
)
from sapo_lite.data.suite import (
    PUBLISHED,
    find_suite,
    match_task,
    read_index,
    require_inside,
    task_folder,
)
from sapo_lite.data.task_keys import task_keys
from sapo_lite.data.text_files import Notify, ignore
from sapo_lite.data.watch_sets import is_set
from sapo_lite.errors import DataError
from sapo_lite.support.messages import quoted
from sapo_lite.types import Example, Task

if TYPE_CHECKING:
    from sapo_lite.recipe import SequenceConfig

_PUBLISHED_COLUMNS = ("sentence", "label")
PUBLISHED_SUITES = ("SUPERNI", "TRACE")
# Their first rows are used (the lab's were made in random order), and they are scored as published.
IN_ORDER = (*PUBLISHED_SUITES, "lab")


def load_sequence(
    sequence: "SequenceConfig", data: Path | None = None, notify: Notify = ignore
) -> list[Task]:
    """The recipe's tasks in order, with keys; `data` (--data) is searched before the other folders.

    Tasks that are only watched come last. `notify` is called with a sentence for everything that is guessed
    in a file or left out of it, and for every draw of examples.

    Raises:
        DataError: tasks have faults; the message lists all of them, one a line.
    """
    return _with_keys(own_tasks(sequence, notify) if sequence.task else _of_suite(sequence, data, notify))


def _with_keys(tasks: Sequence[Task]) -> list[Task]:
    keys = task_keys([task.id for task in tasks])
    return [
        task if key == task.key else replace(task, own_key=key) for task, key in zip(tasks, keys, strict=True)
    ]


def _of_suite(sequence: "SequenceConfig", data: Path | None, notify: Notify) -> list[Task]:
    """The tasks of a suite. Raises DataError with all faults."""
    suite = find_suite(sequence, data)
    index = read_index(suite)
    if sequence.suite in PUBLISHED_SUITES and sequence.draw is None:
        notify(
            f"{sequence.suite}: the first rows of every file are used, as published; sequence.draw draws them"
        )
    problems: list[str] = []
    wanted_as: dict[str, str] = {}
    tasks = []
    watched = [name for name in sequence.watch if not is_set(name)]
    for wanted, only_watched in [*((name, False) for name in sequence.tasks), *((n, True) for n in watched)]:
        with collecting(problems):
            name = match_task(wanted, suite, index)
            if name in wanted_as:
                raise DataError(f"{quoted(wanted_as[name])} and {quoted(wanted)} are the same task, {name}.")
            wanted_as[name] = wanted
            tasks.append(_load_task(suite, name, index[name], sequence, notify, watched=only_watched))
    if problems:
        raise DataError("\n".join(problems))
    return tasks


def load_dev(
    sequence: "SequenceConfig", task: Task, data: Path | None = None, notify: Notify = ignore
) -> tuple[Example, ...]:
    """All rows of the dev file of a suite's task; none if it has no such file.

    Raises:
        DataError: a row is bad, or there are two files.
    """
    if sequence.task or task.suite != sequence.suite:  # tables of the recipe have no dev file
        return ()
    path = _file_of(task_folder(find_suite(sequence, data), task.id), "dev")
    if path is None:
        return ()
    return _examples(read_rows(path, notify), path, sys.maxsize, sequence, notify)


def _load_task(
    suite: Path, name: str, entry: object, sequence: "SequenceConfig", notify: Notify, *, watched: bool
) -> Task:
    """Load one task, a watched one without training examples.

    Raises:
        DataError: its entry and files have faults; the message lists all.
    """
    folder = task_folder(suite, name)
    problems: list[str] = []
    with collecting(problems):
        entry = _check_entry(entry, f"{suite / 'instructions.json'}, {name}")
    split: Literal["train", "dev"] = "train"
    files: list[tuple[Path, int, list[Row]]] = []
    if not watched:
        with collecting(problems):
            split, path = _train_file(folder, sequence.missing_train)
            files.append((path, sequence.train_examples, read_rows(path, notify)))
    with collecting(problems):
        path = _test_file(folder)
        files.append((path, sequence.test_examples, read_rows(path, notify)))
    settled, _ = settle_instructions([rows for _, _, rows in files], str(folder), notify)
    examples = []
    for (path, limit, _), rows in zip(files, settled, strict=True):
        with collecting(problems):
            examples.append(_examples(rows, path, limit, sequence, notify))
    if problems:
        raise DataError("\n".join(problems))
    *train, test = examples
    return Task(
        id=name,
        suite=sequence.suite,
        instruction=entry["instruction"],
        suffix=entry["suffix"],
        labels=tuple(entry["labels"]),
        metric=_metric(entry, sequence.suite, examples[0]),
        language=language_of(entry["instruction"] + entry["suffix"]),
        train=train[0] if train else (),
        test=test,
        train_split=split,
        watched=watched,
    )


def _check_entry(entry: object, where: str) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected an object, found {quoted(entry)}")
    for key in ("instruction", "suffix"):  # both are required, both may be empty
        if not isinstance(entry.get(key), str):
            raise DataError(f'{where}: expected a text as "{key}", found {quoted(entry.get(key))}')
    if not isinstance(entry.get("metric", ""), str):
        raise DataError(f'{where}: expected a text as "metric", found {quoted(entry["metric"])}')
    if ":" in entry.get("metric", ""):
        raise DataError(
            f'{where}: expected the name of a metric as "metric", found {quoted(entry["metric"])}. Data '
            "cannot name code: write the task as a table [[sequence.task]] of the recipe, which can."
        )
    labels = entry.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise DataError(f'{where}: expected a list of texts as "labels", found {quoted(labels)}')
    return entry


def _metric(entry: Mapping[str, Any], suite: str, examples: Sequence[Example]) -> str:
    """The entry's own metric; else the published one for suites that have scores to be compared with."""
    if "metric" in entry or suite in IN_ORDER:
        return str(entry.get("metric", "rougeL"))
    return default_metric(entry["labels"], [example.answer for example in examples])


def _train_file(folder: Path, missing_train: str) -> tuple[Literal["train", "dev"], Path]:
    """The training file. Raises DataError with the missing file and how to fix it."""
    if path := _file_of(folder, "train"):
        return "train", path
    train = folder / "train.json"
    if missing_train == "dev":
        if path := _file_of(folder, "dev"):
            return "dev", path
        raise DataError(f"{train}: no such file, and no dev.json to stand in for it. {PUBLISHED}.")
    stand_in = "or let dev.json stand in for it: --set sequence.missing_train=dev"
    raise DataError(f"{train}: no such file. {PUBLISHED}; {stand_in}")


def _test_file(folder: Path) -> Path:
    if test := _file_of(folder, "test"):
        return test
    raise DataError(f"{folder / 'test.json'}: no such file. {PUBLISHED}.")


def _file_of(folder: Path, split: str) -> Path | None:
    """The file of a split, in any format. Raises DataError if there are two."""
    found = sorted(
        path
        for path in folder.glob(f"{split}.*")
        if path.stem == split and path.suffix.lower() in READERS and path.is_file()
    )
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise DataError(f"{folder}: expected one file of {split} examples, found {names}. Keep one of them.")
    for path in found:
        require_inside(folder.parent, path)
    return found[0] if found else None


def _examples(
    rows: list[Row], path: Path, limit: int, sequence: "SequenceConfig", notify: Notify
) -> tuple[Example, ...]:
    """At most `limit` rows: the first ones of published suites without `draw`, else drawn ones.

    Raises:
        DataError: a row is bad; the message names the place of the first one.
    """
    columns = find_columns(rows, str(path), how="Rename or remove columns of the file.")
    unread = unread_columns(rows, columns)
    if columns != _PUBLISHED_COLUMNS or unread:
        notify(columns_notice(path, len(rows), *columns, unread))
    order = _order(path, rows, columns[1], sequence)
    if len(rows) > limit and sequence.suite not in IN_ORDER:
        notify(f"{path}: {limit:,} of {len(rows):,} rows, drawn by seed {sequence.draw or 0} and by answer")
    used = sorted(order[:limit])
    read = examples_from_rows([rows[place] for place in used], *columns, empty_answers=not is_table(path))
    if said := empty_answers_notice(path, read):
        notify(said)
    examples = dict(zip(used, read, strict=True))
    return tuple(examples[place] for place in order[:limit])


def _order(path: Path, rows: Sequence[Row], answer: str, sequence: "SequenceConfig") -> list[int]:
    """The order in which rows are used.

    Draws of published suites and of the lab stay as they always were: published results have them.
    """
    # The seed includes task and split, so that files of equal length get different orders.
    seed = f"{sequence.draw or 0}/{path.parent.name}/{path.stem}.json"
    if sequence.suite not in IN_ORDER:
        return stratified_order(
            [str(row.get(answer)) if isinstance(row, Mapping) else "" for _, row in rows], seed
        )
    order = list(range(len(rows)))
    if sequence.draw is not None:
        random.Random(seed).shuffle(order)
    return order
