"""Tables in text: whatever a writer of CSV writes is read back."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sapo_lite.data.readers import read_rows
from sapo_lite.data.tables import records

# Any text that UTF-8 can hold; often what has a meaning in a table. A byte-order mark at the start of a line
# belongs to the file, so it is no part of a cell.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"))
CELLS = TEXTS | st.text(st.sampled_from(" \t\u3000\"',;|\r\n\\#aé\x00"))


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Lines of a table, column names first; each of the others has a text."""
    columns = draw(st.integers(2, 4))
    row = st.lists(CELLS, min_size=columns, max_size=columns).filter(lambda row: any(map(str.strip, row)))
    return [[f"column {n}" for n in range(columns)], *draw(st.lists(row, min_size=1, max_size=5))]


def read_back(folder: Path, table: list[list[str]], **format: Any) -> list[list[str]]:
    """The cells of a table, without its column names, from a file that `csv.writer` wrote."""
    file = io.StringIO(newline="")
    csv.writer(file, **format).writerows(table)
    path = folder / "a.csv"
    path.write_bytes(file.getvalue().encode())
    rows = [row for _, row in read_rows(path) if isinstance(row, dict)]
    assert all(list(row) == table[0] for row in rows)
    return [list(row.values()) for row in rows]


examples = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
separators = st.sampled_from(",;\t|")


@examples
@given(table=tables(), separator=separators, end=st.sampled_from(["\r\n", "\n", "\r"]))
def test_cells_in_quotes_are_read_back_unchanged(
    tmp_path: Path, table: list[list[str]], separator: str, end: str
) -> None:
    found = read_back(tmp_path, table, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    assert found == table[1:]


@examples
@given(table=tables(), separator=separators)
@example(table=[["a", "b"], [' "x"', "\r\n."], ["", ","]], separator=",")
def test_cells_without_quotes_are_read_back_without_outer_white_space(
    tmp_path: Path, table: list[list[str]], separator: str
) -> None:
    found = read_back(tmp_path, table, delimiter=separator)
    assert [[cell.strip() for cell in row] for row in found] == [
        [c.strip() for c in row] for row in table[1:]
    ]
    plain = [[not set(cell) & {*'"\r\n', separator} for cell in row] for row in table[1:]]
    for cells, originals, unquoted in zip(found, table[1:], plain, strict=True):
        for cell, original, bare in zip(cells, originals, unquoted, strict=True):
            assert cell == (original.strip() if bare else original)


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ('a,b\n', ["a", "b"]),
        ('"a" , "b"', ["a", "b"]),
        ('\u3000" a ",\xa0b', [" a ", "b"]),
        ('a "b" c,"d ""e"""', ['a "b" c', 'd "e"']),
        (',\n', ["", ""]),
        ('"",', ["", ""]),
        ('"a,\r\nb",c', ["a,\r\nb", "c"]),
        ("a\u2028b,c\x0bd", ["a\u2028b", "c\x0bd"]),
    ],
)  # fmt: skip
def test_cells_of_a_line(text: str, cells: list[str]) -> None:
    assert list(records(text, "a.csv", ",")) == [(1, cells)]


def test_lines_are_numbered_by_all_line_ends_in_the_file() -> None:
    text = 'a,b\r\n\r\n"x\ry\n",z\n\rc,d'
    assert [line for line, _ in records(text, "a.csv", ",")] == [1, 3, 7]


@pytest.mark.parametrize(
    ("name", "content", "row"),
    [
        ("a.csv", "text;label or, not\nx;y\n", {"text": "x", "label or, not": "y"}),
        ("a.csv", '"text, or all";label;id\nx;y;1\n', {"text, or all": "x", "label": "y", "id": "1"}),
        ("a.csv", '"a;b;c",label\nx,y\n', {"a;b;c": "x", "label": "y"}),
        ("a.csv", '"a\n|b|c",label\nx,y\n', {"a\n|b|c": "x", "label": "y"}),
        ("a.csv", "text\tlabel\nx, or z\ty\n", {"text": "x, or z", "label": "y"}),
        ("a.tsv", "text, more, most\tlabel\nx\ty\n", {"text, more, most": "x", "label": "y"}),
        ("a.tsv", "text,label\nx,y\n", {"text": "x", "label": "y"}),
    ],
)
def test_the_separator_is_found_in_the_first_line(
    tmp_path: Path, name: str, content: str, row: dict[str, str]
) -> None:
    (tmp_path / name).write_text(content)
    assert [row for _, row in read_rows(tmp_path / name)] == [row]


@pytest.mark.parametrize(
    ("content", "rows", "said"),
    [
        ("text,label\nx,y\n,\n , \n", [{"text": "x", "label": "y"}], "2 rows without any text left out"),
        (",text,label\n0,x,y\n1,z,y\n", [{"text": "x", "label": "y"}, {"text": "z", "label": "y"}],
         "a column without a name left out; 2 rows with a text in it"),
        ("text,label,,\nx,y,,\n", [{"text": "x", "label": "y"}], None),
        ("text,label\n\nx,y\n   \n", [{"text": "x", "label": "y"}], None),
    ],
)  # fmt: skip
def test_what_is_left_out_of_a_table_is_said(
    tmp_path: Path, content: str, rows: list[dict[str, str]], said: str | None
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    notices: list[str] = []
    assert [row for _, row in read_rows(path, notices.append)] == rows
    assert notices == ([f"{path}: {said}"] if said else [])
