"""Tables in text: the cells of CSV and TSV files, and rows of them by column name.

The standard library's reader leaves out white space inside quotes where it leaves it out outside, limits the
length of a cell, and refuses a blank after a closing quote.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from sapo_lite.data.text_files import Notify
from sapo_lite.errors import DataError
from sapo_lite.support.messages import many, quoted

_LINE_END = re.compile(r"\r\n|\r|\n")
_MARKS = re.compile("\ufeff*")  # byte-order marks, of files that were put together


def table_rows(text: str, path: Path, notify: Notify) -> list[tuple[str, object]]:
    """(place, cells by column name) of a table whose first line has the names.

    Names have no outer white space. Lines without any text are left out, and columns without a name; `notify`
    is called unless these are empty.

    Raises:
        DataError: the names are not different, a line has another number of cells, or quotes do not fit.
    """
    lines = records(text, str(path), _separator(text, path))
    first, names = next(lines)
    names = [name.strip() for name in names]
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise DataError(f"{path}, line {first}: expected different column names, found {quoted(twice)} twice")
    rows: list[tuple[str, object]] = []
    empty, unnamed = 0, 0
    for line, cells in lines:
        if len(cells) != len(names):
            raise DataError(
                f"{path}, line {line}: expected {len(names)} cells, found {len(cells)}. "
                "Put cells that hold the separator or a line break in double quotes."
            )
        row = dict(zip(names, cells, strict=True))
        if not any(map(str.strip, cells)):
            empty += 1
            continue
        unnamed += any(cell.strip() for name, cell in zip(names, cells, strict=True) if not name)
        row.pop("", None)
        rows.append((f"{path}, line {line}", row))
    if empty:
        notify(f"{path}: {many(empty, 'row')} without any text left out")
    if unnamed:
        notify(f"{path}: a column without a name left out; {many(unnamed, 'row')} with a text in it")
    return rows


def _separator(text: str, path: Path) -> str:
    """The separator: of commas, semicolons, tabs and `|`, the one with the most cells in the first line.

    One with as many cells in the second line comes before others, and a tab in a .tsv file before all.
    csv.Sniffer reads more rows, and takes a character that is frequent in their sentences.
    """

    def fit(separator: str) -> tuple[bool, bool, int]:
        try:
            counts = [len(cells) for _, cells in islice(records(text, str(path), separator), 2)]
        except DataError:  # quotes that fit another separator
            return False, False, 0
        several = counts[0] > 1
        tab = separator == "\t" and path.suffix.lower() == ".tsv"
        return tab and several, several and len(set(counts)) == 1, counts[0]

    return max(",;\t|", key=fit)


def records(text: str, place: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, cells) of every record that is not a blank line.

    Cells in double quotes are unchanged, with `""` for a quote; other cells lose their outer white space.

    Raises:
        DataError: a quote is not closed, or a text follows a closing one; the message names the line.
    """
    between = re.escape(separator)
    blanks = rf"(?:(?!{between})[^\S\r\n])*"
    in_quotes = re.compile(rf'{blanks}"([^"]*+(?:""[^"]*+)*+)"{blanks}(?={between}|[\r\n]|\Z)')
    plain = re.compile(rf"([^{between}\r\n]*)")
    at, line = 0, 1
    while at < len(text):
        marks = _MARKS.match(text, at)
        at = start = marks.end() if marks else at
        first = line
        cells: list[str] = []
        while not cells or text.startswith(separator, at):
            at += len(separator) if cells else 0
            found = in_quotes.match(text, at)
            if found:
                cells.append(found[1].replace('""', '"'))
                line += len(_LINE_END.findall(found[1]))
            else:
                found = plain.match(text, at)
                assert found is not None  # it also matches an empty cell
                cells.append(found[1].strip())
                if cells[-1].startswith('"'):
                    raise DataError(f"{place}, line {line}: {_bad_quote(text, at)}")
            at = found.end()
        if len(cells) > 1 or text[start:at].strip():
            yield first, cells
        if end := _LINE_END.match(text, at):
            at, line = end.end(), line + 1


def _bad_quote(text: str, at: int) -> str:
    """What is wrong with the quoted cell that begins at a place of the text."""
    cell = re.compile(r'\s*"[^"]*+(?:""[^"]*+)*+("?)([^\r\n]*)').match(text, at)
    if cell and cell[1]:
        return (
            f"expected the end of the cell after its closing quote, found {quoted(cell[2].strip())}. "
            "Write a quote inside a quoted cell twice."
        )
    return "expected a closing quote, found the end of the file. Write a quote inside a quoted cell twice."
