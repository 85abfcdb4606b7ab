"""The recipe's tables [[sequence.task]]: tasks of one's own, from files or data sets."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from sapo_lite.data.template import Template
from sapo_lite.errors import DataError
from sapo_lite.evaluation.metrics import METRICS
from sapo_lite.recipe.section import Section
from sapo_lite.recipe.source import Fault, RecipeSource
from sapo_lite.recipe.values import Labels, OptionalText, Switch, Text, one_line
from sapo_lite.support.messages import nearest, one_of, quoted
from sapo_lite.support.shipped import typed_path
from sapo_lite.types import Language

_OF_A_SUITE = ("suite", "data", "missing_train")


def _test(value: object) -> object:
    """A share, a number of rows, or a file."""
    share = isinstance(value, float) and 0 < value < 1
    number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not (share or number or (isinstance(value, str) and value)):
        raise ValueError(quoted(value))
    return one_line(value) if isinstance(value, str) else value


def _template(value: object) -> object:
    if not isinstance(value, str) or not value:
        raise ValueError(quoted(value))
    try:
        Template(value)
    except DataError as error:
        raise ValueError(str(error)) from None
    return value


def _metric(value: object) -> object:
    known = ["accuracy", *(name for name in METRICS if name != "accuracy")]
    if not isinstance(value, str) or not (value in known or re.fullmatch(r"[\w.]+:\w+", value)):
        close = nearest(value, known) if isinstance(value, str) else []
        raise ValueError(quoted(value) + (f'; did you mean "{close[0]}"?' if close else ""))
    return value


def _language(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch("[a-z]{2,3}", value):
        raise ValueError(quoted(value))
    return value


def _tables(value: object) -> object:
    if not isinstance(value, list | tuple) or value == []:
        raise ValueError("an empty list" if value == [] else quoted(value))
    return tuple(value)


class TaskConfig(Section):
    """One task. `file` is a .csv, .tsv, .json, .jsonl or .parquet file, or "hf:NAME", a data set of the hub.

    Paths are relative to the recipe. `file` is split, unless `test` is a file of its own; `train` is another
    name for `file` then. `test` is the share or the number of rows to test with (by default 0.2).

    `input` is a column, or a template over columns such as "{subject}\\n{body}" (`{{` for a brace); `answer`
    is a column. Without them, columns with known names are used. The instruction is paraphrased, the suffix
    never. With labels "auto", the different answers of the training rows are the labels; without `labels`,
    answers are free text. `metric` is "accuracy" by default where there are labels, else "rougeL". A task
    with `watch` is tested in every stage and never trained: all its rows are for tests, if `test` is not set.
    `language` is that of the instruction, if it should not be detected.
    """

    name: Text
    file: OptionalText = None
    train: OptionalText = None
    test: Annotated[
        float | int | str | None,
        BeforeValidator(_test),
        Field(description="a share such as 0.2, a number of rows, or a file"),
    ] = None
    input: Annotated[
        str | None,
        BeforeValidator(_template),
        Field(description='a column, or a template over columns such as "{subject}\\n{body}"'),
    ] = None
    answer: OptionalText = None
    instruction: Annotated[str, Field(description="a text in quotes")]
    suffix: Annotated[str, Field(description="a text in quotes")] = ""
    labels: Labels = None
    metric: Annotated[
        str | None,
        BeforeValidator(_metric),
        Field(description=f"{one_of(map(quoted, METRICS))}, or a function of yours, module:function"),
    ] = None
    watch: Switch = False
    language: Annotated[
        Language | None,
        BeforeValidator(_language),
        Field(description='a language code such as "en" or "zh"'),
    ] = None

    def path(self, file: str) -> Path:
        """Absolute path of a file, relative to the recipe."""
        return (self._folder / typed_path(file)).absolute()


TaskTables = Annotated[
    tuple[TaskConfig, ...], BeforeValidator(_tables), Field(description="tables [[sequence.task]]")
]


def with_own_tasks(settings: Any) -> Any:
    """The settings of [sequence] with `tasks`, the names of all tables [[sequence.task]], if they lack it."""
    if not isinstance(settings, dict) or settings.get("task", ()) == ():
        return settings
    tables = settings["task"] if isinstance(settings["task"], list | tuple) else []
    found = [
        table.get("name") if isinstance(table, dict) else getattr(table, "name", None) for table in tables
    ]
    own = list(dict.fromkeys(name for name in found if isinstance(name, str) and name))
    # Without a name, the table itself is refused, and nothing else need be.
    return {"suite": "own", "tasks": own or ["unnamed"], **settings}


def task_faults(source: RecipeSource, refused: set[str]) -> Iterator[Fault]:
    """Faults between keys of [[sequence.task]] and [sequence], and between tables, but for refused keys."""
    tables = source.value("sequence.task")
    if not isinstance(tables, list) or not tables:
        return
    for key in _OF_A_SUITE:
        if source.value(f"sequence.{key}") is not None:
            text = "expected nothing beside [[sequence.task]], since it belongs to a suite"
            found = quoted(source.value(f"sequence.{key}"))
            yield Fault(source.place(f"sequence.{key}"), f"sequence.{key}: {text}, found {found}")
    yield from _same_names(source, len(tables))
    if all(isinstance(table, dict) and table.get("watch") is True for table in tables):
        text = "sequence.task: expected a task that is learned, found only tasks with watch = true"
        yield Fault(source.place("sequence.task"), text)
    for number, table in enumerate(tables, start=1):
        key = f"sequence.task[{number}]"
        if isinstance(table, dict) and not refused & {f"{key}.{part}" for part in ("file", "train", "test")}:
            yield from _file_faults(source, key, table)
    wanted = source.value("sequence.tasks")
    own = [
        table["name"] for table in tables if isinstance(table, dict) and isinstance(table.get("name"), str)
    ]
    if isinstance(wanted, list) and "sequence.tasks" not in refused:
        for name in (str(name) for name in wanted if str(name) not in own):
            close = nearest(name, own)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            text = f"sequence.tasks: expected names of [[sequence.task]], found {quoted(name)}{hint}"
            yield Fault(source.place("sequence.tasks"), text)


def _same_names(source: RecipeSource, count: int) -> Iterator[Fault]:
    """Names that differ in case or Unicode form only would share results and files."""
    first: dict[str, str] = {}
    for key in (f"sequence.task[{number}].name" for number in range(1, count + 1)):
        name = source.value(key)
        if isinstance(name, str):
            folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold().strip())
            other = first.setdefault(folded, key)
            if other != key:
                text = (
                    f"expected another name than {quoted(source.value(other))} ({source.place(other).text})"
                )
                yield Fault(source.place(key), f"{key}: {text}, found {quoted(name)}")


def _file_faults(source: RecipeSource, key: str, table: dict[str, Any]) -> Iterator[Fault]:
    """A task has one source of rows, `file` or `train`; with `train`, the test rows are a file too."""
    if table.get("file") is not None and table.get("train") is not None:
        text = f"{key}.train: expected either file, to be split, or train and test"
        yield Fault(source.place(f"{key}.train"), f"{text}, found both file and train")
    elif table.get("train") is not None and not isinstance(table.get("test"), str):
        text = f"{key}.test: expected a file beside train (file is for one that is split)"
        yield Fault(source.place(f"{key}.test"), f"{text}, found {quoted(table.get('test'))}")
    elif table.get("file") is None and table.get("train") is None:
        only_tested = table.get("watch") is True and isinstance(table.get("test"), str)
        if not only_tested:
            yield Fault(source.place(key), f"{key}.file: expected a file of examples, found nothing")
