"""Tasks of one's own, from the tables [[sequence.task]] of a recipe."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.data.chat_rows import from_messages
from sapo_lite.data.collecting import collecting
from sapo_lite.data.drawing import drawn, split
from sapo_lite.data.hub_rows import PREFIX, hub_rows
from sapo_lite.data.labels import default_metric
from sapo_lite.data.language import language_of
from sapo_lite.data.readers import Row, is_table, read_rows
from sapo_lite.data.row_instructions import settle_instructions
from sapo_lite.data.rows import empty_answers_notice, examples_from_rows, find_columns
from sapo_lite.data.template import Template
from sapo_lite.data.text_files import Notify
from sapo_lite.data.watch_sets import HARNESS, is_set, watch_sets
from sapo_lite.errors import DataError
from sapo_lite.support.messages import many, nearest, quoted
from sapo_lite.types import Example, Task

if TYPE_CHECKING:
    from sapo_lite.recipe import SequenceConfig, TaskConfig

TEST_SHARE = 0.2
MOST_LABELS = 50


def own_tasks(sequence: "SequenceConfig", notify: Notify) -> list[Task]:
    """The tasks of the recipe's tables, in the order of `sequence.tasks`, watched ones last; without keys.

    `notify` is called with a sentence about the examples of each task.

    Raises:
        DataError: tasks have faults; the message lists all of them, one a line.
    """
    by_name = {config.name: config for config in sequence.task}
    problems: list[str] = []
    tasks = []
    for name in sequence.tasks:
        with collecting(problems, f"task {name}: "):
            if name not in by_name:
                raise DataError(f"no [[sequence.task]] has this name; there are {', '.join(by_name)}")
            tasks.append(_load(by_name[name], sequence, notify))
    if others := [name for name in sequence.watch if not is_set(name)]:
        problems.append(
            f"sequence.watch: expected shipped sets ({', '.join(watch_sets())}) and {HARNESS}NAME, found "
            f"{', '.join(others)}. A task of the recipe is watched with watch = true in its table."
        )
    if problems:
        raise DataError("\n".join(problems))
    return sorted(tasks, key=lambda task: task.watched)


def _load(config: "TaskConfig", sequence: "SequenceConfig", notify: Notify) -> Task:
    """One task. Raises DataError with the first fault of its files."""
    seed = f"{sequence.draw or 0}/{config.name}"
    train, test = _sides(config, seed, notify)
    labels = _labels(config, test if config.watch else train)
    closed = bool(labels)
    used = drawn(train, 0 if config.watch else sequence.train_examples, f"{seed}/train")
    tested = drawn(test, sequence.test_examples, f"{seed}/test")
    counts = [_count(used, train, "training")] * (not config.watch) + [_count(tested, test, "test")]
    by_label = " and by label" if closed else ""
    notify(f"{config.name}: {' and '.join(counts)}, drawn by seed {sequence.draw or 0}{by_label}")
    return Task(
        id=config.name,
        suite=sequence.suite,
        instruction=config.instruction,
        suffix=config.suffix,
        labels=labels,
        language=config.language or language_of(config.instruction + config.suffix),
        train=used,
        test=tested,
        metric=config.metric or default_metric(labels, [example.answer for example in train or test]),
        watched=config.watch,
    )


def _count(used: Sequence[Example], there: Sequence[Example], kind: str) -> str:
    of = f" of {len(there):,}" if len(used) < len(there) else ""
    return f"{len(used):,}{of} {kind} example{'s' * (len(there) != 1)}"


def _sides(config: "TaskConfig", seed: str, notify: Notify) -> tuple[list[Example], list[Example]]:
    """All examples to train with and to test with; a watched task has only the latter."""
    file = config.file or config.train
    if isinstance(config.test, str):
        if config.watch or file is None:
            return [], _examples(config, [(config.test, "test")], notify)[0]
        train, test = _examples(config, [(file, "train"), (config.test, "test")], notify)
        return train, test
    if file is None:
        raise DataError("expected a file of examples (file), found nothing")
    (examples,) = _examples(config, [(file, "train")], notify)
    if config.watch and config.test is None:
        return [], examples
    share = TEST_SHARE if config.test is None else config.test
    try:
        train, test = split(examples, share, f"{seed}/split", by_answer=config.labels is not None)
    except DataError as error:
        raise DataError(f"{file} cannot be split for a test of {share}: {error}") from None
    return ([] if config.watch else train), test


def _labels(config: "TaskConfig", examples: Sequence[Example]) -> tuple[str, ...]:
    """The labels; "auto" means all different answers of the examples, in their order; not an empty one.

    Raises:
        DataError: there are so many different answers that they are no labels.
    """
    if config.labels != "auto":
        return config.labels or ()
    labels = tuple(dict.fromkeys(filter(None, (example.answer.strip() for example in examples))))
    most = min(MOST_LABELS, max(2, len(examples) // 2))
    if len(labels) > most:
        raise DataError(
            f'labels = "auto": expected at most {most} different answers in {many(len(examples), "row")}, '
            f"found {len(labels)}. Leave labels out for free text, or list them."
        )
    return labels


def _examples(config: "TaskConfig", files: Sequence[tuple[str, str]], notify: Notify) -> list[list[Example]]:
    """All examples of each of the task's files or data sets, which have the same columns.

    files: the files, each with the split to read if it is a data set of several
    """
    read = [_rows(config, *file, notify) for file in files]
    if config.input is None:
        read, _ = settle_instructions(read, config.name, notify)
    return [_of_rows(config, rows, file, notify) for rows, (file, _) in zip(read, files, strict=True)]


def _rows(config: "TaskConfig", file: str, part: str, notify: Notify) -> list[Row]:
    if file.startswith(PREFIX):
        return from_messages(hub_rows(file, part), Path(file), notify)
    return read_rows(config.path(file), notify)


def _of_rows(config: "TaskConfig", rows: list[Row], file: str, notify: Notify) -> list[Example]:
    """Examples by the columns that the recipe names, or by known ones."""
    path = Path(file) if file.startswith(PREFIX) else config.path(file)
    template = None if config.input is None else Template(config.input)
    wanted = [*(template.columns if template else ()), *([config.answer] if config.answer else [])]
    _require_columns(rows, str(path), wanted)
    alone = template.columns[0] if template else None
    how = "Name them as input and answer of the task."
    column, answer = find_columns(rows, str(path), wanted=(alone, config.answer), how=how)
    guessed = [f"inputs from column {column}"] * (template is None)
    guessed += [f"answers from column {answer}"] * (config.answer is None)
    if guessed:
        notify(f"{path}: {', '.join(guessed)}")
    by_column = {
        name: examples_from_rows(_only(rows, name, answer), name, answer, empty_answers=not is_table(path))
        for name in (template.columns if template else (column,))
    }
    first = by_column[column]
    if said := empty_answers_notice(path, first):
        notify(said)
    if template is None or template.is_column:
        return first
    return [
        Example(template.fill({name: read[number].input for name, read in by_column.items()}), example.answer)
        for number, example in enumerate(first)
    ]


def _only(rows: Sequence[Row], *columns: str) -> list[Row]:
    """The rows with these columns only: what is beside them does not matter."""
    return [
        (place, {name: row[name] for name in columns if name in row} if isinstance(row, Mapping) else row)
        for place, row in rows
    ]


def _require_columns(rows: Sequence[Row], where: str, wanted: Sequence[str]) -> None:
    there = list(dict.fromkeys(str(name) for _, row in rows if isinstance(row, Mapping) for name in row))
    for name in wanted:
        if there and name not in there:
            close = nearest(name, there)
            hint = f"; did you mean {quoted(close[0])}?" if close else ""
            raise DataError(
                f"{where}: no column {quoted(name)} (it has {', '.join(map(quoted, there))}){hint}"
            )
