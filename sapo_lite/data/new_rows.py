"""Rows without answers: the inputs of a file, read as those of a task were."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.data.readers import Row, read_rows
from sapo_lite.data.row_instructions import settle_instructions
from sapo_lite.data.rows import INPUT_NAMES, as_text, usual_columns
from sapo_lite.data.template import Template
from sapo_lite.data.text_files import Notify, ignore
from sapo_lite.errors import DataError
from sapo_lite.support.messages import one_of, quoted


@dataclass(frozen=True)
class NewRows:
    """The rows of a file as they stand there, and the input of each."""

    rows: list[dict[str, object]]
    texts: list[str]


def read_new_rows(path: Path, wanted: str | None = None, notify: Notify = ignore) -> NewRows:
    """The rows of a file of any format that examples have. Answers may be there, and are not read.

    wanted: a column, or a template over columns; by default the column with a known name

    Raises:
        DataError: the file cannot be read, or a row has no text there.
    """
    rows = read_rows(path, notify)
    settled = rows
    if wanted is None:
        [settled], _ = settle_instructions([rows], str(path), notify)
    template = Template(wanted or _column(settled, path))
    if wanted is None:
        notify(f"{path}: inputs from column {template.text}")
    texts = [template.fill(_texts(row, template.columns)) for row in settled]
    return NewRows([dict(row) for _, row in rows if isinstance(row, Mapping)], texts)


def _column(rows: list[Row], path: Path) -> str:
    names = list(dict.fromkeys(str(name) for _, row in rows if isinstance(row, Mapping) for name in row))
    fitting = usual_columns(names, INPUT_NAMES)
    if len(fitting) == 1:
        return fitting[0]
    found = one_of(map(quoted, fitting or names)) if names else "no columns"
    raise DataError(f"{path}: expected one column for the input, found {found}. Name it with --input.")


def _texts(row: Row, columns: tuple[str, ...]) -> dict[str, str]:
    """The texts of a row by column. Raises DataError if one is missing."""
    place, cells = row
    if not isinstance(cells, Mapping):
        raise DataError(f"{place}: expected an object or a row of a table, found {quoted(cells)}")
    found = {}
    for column in columns:
        text = as_text(cells.get(column))
        if text is None:
            raise DataError(
                f"{place}: expected a text in {quoted(column)}, found {quoted(cells.get(column))}"
            )
        found[column] = text
    return found
