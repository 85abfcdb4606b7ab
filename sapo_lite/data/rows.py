"""Examples from users' data: pairs, mappings, rows of a table."""

import json
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sapo_lite.errors import DataError
from sapo_lite.support.messages import many, one_of, quoted
from sapo_lite.support.strict_json import writable
from sapo_lite.types import Example

# Known names of the two columns, in any case. Exactly one of each must match: if two match (a question and
# its context), silently leaving one out would score something else.
INPUT_NAMES = """
    input inputs text sentence question prompt source document content context passage review tweet
""".split()
ANSWER_NAMES = "answer label output completion target response".split()

_IN_MEMORY = "Give (input, answer) pairs instead."


def as_examples(given: Iterable[object]) -> list[Example]:
    """Examples from `Example`s, (input, answer) pairs, or mappings with known keys.

    Raises:
        DataError: there are no items, or an item has another type, no answer, or unclear keys.
    """
    items = list(given)
    if not items:
        raise DataError("expected at least one example, found none")
    if isinstance(items[0], Mapping):
        rows = [(f"example {number}", item) for number, item in enumerate(items, start=1)]
        names = find_columns(rows, "examples", how=_IN_MEMORY)
        return examples_from_rows(rows, *names)
    return [_example(item, f"example {number}") for number, item in enumerate(items, start=1)]


def _example(item: object, where: str) -> Example:
    match item:
        case Example():
            pair: Sequence[object] = (item.input, item.answer)
        case [_, _]:
            pair = item
        case _:
            raise DataError(f"{where}: expected an (input, answer) pair, found {quoted(item)}")
    row = dict(zip(("input", "answer"), pair, strict=True))
    return examples_from_rows([(where, row)], "input", "answer")[0]


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
        fitting = [n for n in names if n.strip().lower() in known] if name is None else [name]
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


def columns_notice(path: Path, count: int, input_name: str, answer_name: str) -> str:
    """A notice that names the columns used in a file of `count` examples."""
    columns = f"inputs from column {input_name}, answers from column {answer_name}"
    return f"{path}: {many(count, 'example')}, {columns}"


def examples_from_rows(
    rows: Iterable[tuple[str, object]], input_name: str, answer_name: str
) -> list[Example]:
    """Examples from (place, row) pairs. Raises DataError naming the place of the first bad row."""
    examples, faults = [], []
    for where, row in rows:
        if not isinstance(row, Mapping):
            expected = f'{{"{input_name}": text, "{answer_name}": text}}'
            faults.append(f"{where}: expected an object such as {expected}, found {quoted(row)}")
            continue
        text, answer = (_as_text(row.get(name)) for name in (input_name, answer_name))
        if text is None:
            faults.append(f'{where}: expected a text in "{input_name}", found {quoted(row.get(input_name))}')
        elif answer is None or not answer.strip():
            found = quoted(row.get(answer_name))
            faults.append(f'{where}: expected an answer in "{answer_name}", found {found}')
        elif not text.strip() and _has_text(row, "instruction"):
            faults.append(
                f'{where}: expected a text in "{input_name}", found {quoted(text)} beside an "instruction", '
                f'which is not read. Put what the model should read into "{input_name}".'
            )
        else:
            examples.append(Example(text, answer))
    if faults:
        more = len(faults) - 1
        raise DataError(faults[0] + (f" (and {more} more bad row{'s' * (more > 1)})" if more else ""))
    return examples


def _has_text(row: Mapping[str, object], name: str) -> bool:
    value = row.get(name)
    return isinstance(value, str) and bool(value.strip())


def _as_text(value: object) -> str | None:
    """A string unchanged, a number or boolean as JSON writes it; None for anything else."""
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return str(int(value))  # also other integer types, such as NumPy's
    if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    return None
