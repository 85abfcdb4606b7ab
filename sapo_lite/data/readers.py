"""The one reader of files with rows: JSON, JSON Lines, CSV, TSV and Parquet."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from sapo_lite.data.chat_rows import from_messages
from sapo_lite.data.parquet import parquet_rows
from sapo_lite.data.tables import table_rows
from sapo_lite.data.text_files import Notify, ignore, lines_of, read_text
from sapo_lite.errors import DataError
from sapo_lite.support.messages import many, one_of, quoted
from sapo_lite.support.strict_json import HALF, HalfCharacterError, loads, require_whole

# An unchecked row, and its place in the file for messages.
Row = tuple[str, object]


def read_rows(path: Path, notify: Notify = ignore) -> list[Row]:
    """All rows of a .json, .jsonl, .csv, .tsv or .parquet file, at least one.

    Rows of a table are dicts of texts by column name, other rows are the file's values; chat messages become
    the columns "input", "answer" and "instruction" (`from_messages`). `notify` is called with a sentence for
    everything that is guessed or left out.

    Raises:
        DataError: the file cannot be read, or has no row; the message names the place of the fault.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"{path}: expected examples in a {one_of(READERS)} file, found "
            f"{quoted(path.suffix) if path.suffix else 'a name without an ending'}"
        )
    rows = read(path, notify)
    if not rows:
        raise DataError(f"{path}: expected at least one example, found none")
    _check(rows, path, notify)
    return from_messages(rows, path, notify)


def is_table(path: Path) -> bool:
    """Whether an empty cell of the file is a missing one: a table in text cannot say which it is."""
    return READERS.get(path.suffix.lower()) is _table_rows


def _check(rows: list[Row], path: Path, notify: Notify) -> None:
    """Raises DataError for a row of column names; a notice if rows have other columns than the first."""
    columns: dict[str, object] = {}
    others: list[str] = []
    for place, row in rows:
        if not isinstance(row, dict):
            continue
        if len(row) > 1 and all(isinstance(v, str) and v.strip() == k.strip() for k, v in row.items()):
            raise DataError(f"{place}: expected an example, found the column names again. Delete the line.")
        columns = columns or row
        if row.keys() != columns.keys():
            more = [f"{quoted(name)} more" for name in row if name not in columns]
            missing = [f"{quoted(name)} missing" for name in columns if name not in row]
            differences = ", ".join(more + missing)
            others.append(f"{place}: other columns than in the first row: {differences}")
    if others:
        further = len(others) - 1
        notify(others[0] + (f" (and {many(further, 'more such row')})" if further else ""))


# --- JSON


def _json_rows(path: Path, notify: Notify) -> list[Row]:
    """A list of rows; or one row a line, even if the file's name says .json."""
    return _listed_rows(read_text(path, notify), path)


def _listed_rows(text: str, path: Path) -> list[Row]:
    try:
        data = parse_json(text, str(path))
    except DataError:
        if not _is_object(next((line for line in lines_of(text) if line.strip()), "")):
            raise
        return list(_a_row_a_line(text, path))
    if not isinstance(data, list):
        raise DataError(f"{path}: expected a list of rows, found {described(data)}. Save the list alone.")
    return [(f"{path}, row {number}", row) for number, row in enumerate(data, start=1)]


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _jsonl_rows(path: Path, notify: Notify) -> list[Row]:
    """One row a line; or a list of rows, even if the file's name says .jsonl."""
    text = read_text(path, notify)
    if text.lstrip().startswith("[") and text.rstrip().endswith("]"):
        return _listed_rows(text, path)
    return list(_a_row_a_line(text, path))


def _a_row_a_line(text: str, path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines_of(text), start=1):
        if line.strip():
            yield f"{path}, line {number}", parse_json(line, f"{path}, line {number}", one_line=True)


def parse_json(text: str, place: str, *, one_line: bool = False) -> object:
    """The value of a JSON text. Raises DataError with the place, and the line in it unless `one_line`."""
    try:
        return loads(text)
    except json.JSONDecodeError as error:
        line = "" if one_line else f", line {error.lineno}"
        raise DataError(f"{place}{line}: not valid JSON: {error.msg}") from None
    except HalfCharacterError as error:
        raise DataError(f"{place}, {error}") from None
    except ValueError as error:
        raise DataError(f"{place}: {error}") from None


def described(data: object) -> str:
    """Description of a JSON file's content that is not a list."""
    if isinstance(data, dict):
        return f"an object with {', '.join(map(quoted, list(data)[:4])) or 'nothing in it'}"
    return quoted(data)


# --- tables


def _table_rows(path: Path, notify: Notify) -> list[Row]:
    text = read_text(path, notify)
    rows = table_rows(text, path, notify)
    try:
        for place, row in rows if HALF.search(text) else ():
            require_whole(row, place)
    except HalfCharacterError as error:
        raise DataError(str(error)) from None
    return rows


# By the ending of the file's name.
READERS: dict[str, Callable[[Path, Notify], list[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".json": _json_rows,
    ".csv": _table_rows,
    ".tsv": _table_rows,
    ".parquet": parquet_rows,
}
