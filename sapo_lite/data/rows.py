"""Columns of rows, and examples from them."""

import datetime
import decimal
import json
import math
import numbers
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from sapo_lite.errors import DataError
from sapo_lite.support.messages import many, one_of, quoted
from sapo_lite.support.strict_json import HALF
from sapo_lite.types import Example

# Known names of the two columns, in any case. Exactly one of each must match: if two match (a question and
# its context), silently leaving one out would score something else.
INPUT_NAMES = """
    input inputs text sentence question prompt source document content context passage review tweet
""".split()
ANSWER_NAMES = "answer label output completion target response".split()

# The column of an instruction in Alpaca's rows, beside "input" and "output".
INSTRUCTION = "instruction"


def find_columns(
    rows: Sequence[tuple[str, object]],
    where: str,
    *,
    wanted: tuple[str | None, str | None] = (None, None),
    how: str,
) -> tuple[str, str]:
    """The input and the answer column of (place, row) pairs: the `wanted` names, else the known ones.

    Every row is examined: a question may have its context in only some of them.

    Raises:
        DataError: a column is missing, or none or several match; the message ends with `how` to fix it.
    """
    tables = [row for _, row in rows if isinstance(row, Mapping)]
    if not tables:
        place, first = rows[0]
        expected = '{"input": text, "answer": text}'
        raise DataError(f"{place}: expected an object such as {expected}, found {quoted(first)}")
    names = list(dict.fromkeys(str(column) for row in tables for column in row))
    found = "found " + (", ".join(map(quoted, filter(None, names))) or "no column names")
    chosen = []
    for role, name, known in zip(("input", "answer"), wanted, (INPUT_NAMES, ANSWER_NAMES), strict=True):
        fitting = usual_columns(names, known) if name is None else [name]
        if name is not None and name not in names:
            raise DataError(f"{where}: expected a column called {quoted(name)}, {found}")
        if not fitting:
            raise DataError(
                f"{where}: expected a column such as {_few(known)} for the {role}, {found}. {how}"
            )
        if len(fitting) > 1:
            which = one_of(map(quoted, fitting))
            raise DataError(f"{where}: expected one column for the {role}, found {which}. {how}")
        chosen.append(fitting[0])
    return chosen[0], chosen[1]


def _few(names: Sequence[str]) -> str:
    return one_of(map(quoted, names[:3]))


def usual_columns(names: Iterable[str], usual: Iterable[str]) -> list[str]:
    """The names that are usual ones, in any case, with or without outer white space."""
    return [name for name in names if name.strip().lower() in usual]


def unread_columns(rows: Sequence[tuple[str, object]], read: Collection[str]) -> list[str]:
    """The names of columns that are not among those read."""
    names = dict.fromkeys(name for _, row in rows if isinstance(row, Mapping) for name in row)
    return [name for name in names if name not in read]


def columns_notice(
    path: Path, count: int, input_name: str, answer_name: str, unread: Sequence[str] = ()
) -> str:
    """A notice that names the columns used in a file of `count` examples, and those that are not."""
    columns = f"inputs from column {input_name}, answers from column {answer_name}"
    rest = f"; not read: {', '.join(unread)}" if unread else ""
    return f"{path}: {many(count, 'example')}, {columns}{rest}"


def empty_answers_notice(where: object, examples: Sequence[Example]) -> str | None:
    """A notice of the examples whose right answer is nothing, if there are any."""
    empty = sum(not example.answer.strip() for example in examples)
    if not empty:
        return None
    return f"{where}: {empty} of {many(len(examples), 'answer')} are empty: the right answer is nothing"


def examples_from_rows(
    rows: Iterable[tuple[str, object]], input_name: str, answer_name: str, *, empty_answers: bool = True
) -> list[Example]:
    """Examples from (place, row) pairs.

    empty_answers: whether an answer without text is an answer; in a table it is a missing one

    Raises:
        DataError: a row is bad; the message names the place of the first one.
    """
    examples, faults = [], []
    for where, row in rows:
        try:
            examples.append(_example(where, row, input_name, answer_name, empty_answers))
        except DataError as error:
            faults.append(str(error))
    if faults:
        more = len(faults) - 1
        raise DataError(faults[0] + (f" (and {many(more, 'more bad row')})" if more else ""))
    return examples


def _example(where: str, row: object, input_name: str, answer_name: str, empty_answers: bool) -> Example:
    if not isinstance(row, Mapping):
        expected = f'{{"{input_name}": text, "{answer_name}": text}}'
        raise DataError(f"{where}: expected an object such as {expected}, found {quoted(row)}")
    text, answer = as_text(row.get(input_name)), as_text(row.get(answer_name))
    for name, value in ((input_name, text), (answer_name, answer)):
        if value is not None and (half := HALF.search(value)):
            raise DataError(
                f'{where}, "{name}": expected whole characters, found half of one, \\u{ord(half[0]):04x}'
            )
    if text is None:
        raise DataError(f'{where}: expected a text in "{input_name}", found {quoted(row.get(input_name))}')
    if answer is None or not (answer.strip() or empty_answers):
        found = quoted(row.get(answer_name))
        raise DataError(f'{where}: expected an answer in "{answer_name}", found {found}')
    if not text.strip() and (as_text(row.get(INSTRUCTION)) or "").strip():
        raise DataError(
            f'{where}: expected a text in "{input_name}", found {quoted(text)} beside an "instruction", '
            f'which is not read. Put what the model should read into "{input_name}".'
        )
    return Example(text, answer)


def as_text(value: object) -> str | None:
    """A string unchanged, a number or boolean as JSON writes it, a date as in ISO 8601; None for the rest.

    Bytes, which some writers of Parquet store texts as, are texts if they are UTF-8.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return str(int(value))  # also other integer types, such as NumPy's
    if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    if isinstance(value, datetime.date | datetime.time | decimal.Decimal):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return None
