"""Readers of JSON, JSON Lines and CSV files: rows with their places in the file; and of plain text files."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sapo_lite.errors import DataError
from sapo_lite.support.messages import one_of, quoted
from sapo_lite.support.strict_json import loads

# An unchecked row, and its place in the file for messages.
Row = tuple[str, object]


def read_rows(path: Path) -> list[Row]:
    """All rows of a .json, .jsonl, .csv or .tsv file, at least one.

    Rows of a table are dicts of texts by column name; rows of JSON are the file's values.

    Raises:
        DataError: the file cannot be read, or has no row; the message names the place of the fault.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"{path}: expected examples in a {one_of(READERS)} file, found "
            f"{quoted(path.suffix) if path.suffix else 'a name without an ending'}"
        )
    rows = read(path)
    if not rows:
        raise DataError(f"{path}: expected at least one example, found none")
    return rows


# --- JSON


def _json_rows(path: Path) -> list[Row]:
    """A list of rows; or one row a line, even if the file's name says .json."""
    text = read_text(path)
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


def _jsonl_rows(path: Path) -> list[Row]:
    return list(_a_row_a_line(read_text(path), path))


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
    except ValueError as error:
        raise DataError(f"{place}: {error}") from None


def described(data: object) -> str:
    """Description of a JSON file's content that is not a list."""
    if isinstance(data, dict):
        return f"an object with {', '.join(map(quoted, list(data)[:4])) or 'nothing in it'}"
    return quoted(data)


# --- tables


def _csv_rows(path: Path) -> list[Row]:
    """Rows of a table with column names in its first line; names and cells without outer white space."""
    text = read_text(path)
    rows: list[Row] = []
    header: list[str] | None = None
    for place, cells in _cells(text, path):
        if header is None:
            header = cells
            if twice := next((n for n in header if n and header.count(n) > 1), None):
                raise DataError(f"{place}: expected different column names, found {quoted(twice)} twice")
        elif cells == header:
            raise DataError(f"{place}: expected an example, found the column names again. Delete the line.")
        elif len(cells) != len(header):
            raise DataError(
                f"{place}: expected {len(header)} cells, found {len(cells)}. "
                "Put cells that hold the separator or a line break in double quotes."
            )
        else:
            rows.append((place, dict(zip(header, cells, strict=True))))
    return rows


def _cells(text: str, path: Path) -> list[tuple[str, list[str]]]:
    """The non-blank lines of a table, with their places."""
    filled, line = [], 1
    with _cells_of_any_length(text):
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True, skipinitialspace=True
        )
        try:
            for cells in reader:
                stripped = [cell.strip() for cell in cells]
                if any(stripped):
                    filled.append((f"{path}, line {line}", stripped))
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from None
    return filled


@contextmanager
def _cells_of_any_length(text: str) -> Iterator[None]:
    """Context without csv's limit of 131072 characters for a cell. It is process-wide, so it is restored."""
    limit = csv.field_size_limit()
    csv.field_size_limit(max(limit, len(text)))
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _delimiter(text: str) -> str:
    """The delimiter of the cells: the one that gives the most cells in the first line.

    csv.Sniffer also reads the rows, and takes a character that is frequent in their sentences.
    """
    first = next((line for line in lines_of(text) if line.strip()), "")
    return max(",;\t|", key=lambda separator: len(next(csv.reader([first], delimiter=separator))))


# By the ending of the file's name.
READERS: dict[str, Callable[[Path], list[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".json": _json_rows,
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
}


# --- text


def read_text(path: Path) -> str:
    """The file's text, without byte-order marks: concatenated files also have them inside.

    Raises:
        DataError: the file cannot be read, is not UTF-8, or is empty.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected UTF-8 text, found other bytes at byte {error.start}. Save the file as UTF-8."
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    text = re.sub(r"(?<![^\r\n])\ufeff+", "", text)  # at the start of a line
    if not text.strip():
        raise DataError(f"{path}: expected text, found an empty file")
    return text


def lines_of(text: str) -> list[str]:
    """Lines of a text, with the line ends of any system. Not splitlines: a JSON string may have U+2028."""
    return re.split(r"\r\n|\r|\n", text)
