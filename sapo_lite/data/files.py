"""Files of examples (JSONL, JSON, CSV) and of candidate prompts (text, JSON)."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.data.rows import examples_from_rows, find_columns
from sapo_lite.errors import DataError
from sapo_lite.support.messages import one_of, quoted
from sapo_lite.types import Example

# Files that hold texts, but not one a line.
_NO_PROMPTS = {".jsonl", ".ndjson", ".csv", ".tsv", ".toml", ".yaml", ".yml"}

# Rows, each with its place in the file for messages.
_Rows = list[tuple[str, object]]


@dataclass(frozen=True)
class ExampleFile:
    """The examples of a file, and the columns they came from."""

    examples: list[Example]
    input_name: str
    answer_name: str


def read_examples(path: Path, input_name: str | None = None, answer_name: str | None = None) -> ExampleFile:
    """All examples of a .jsonl, .json, .csv or .tsv file; columns that are not named are recognised.

    Raises:
        DataError: the file cannot be read, has no example or a bad row, or its columns are unclear.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"{path}: expected examples in a {one_of(_READERS)} file, found "
            f"{quoted(path.suffix) if path.suffix else 'a name without an ending'}"
        )
    rows = read(path)
    if not rows:
        raise DataError(f"{path}: expected at least one example, found none")
    place, first = rows[0]
    if not isinstance(first, dict):
        expected = '{"input": text, "answer": text}'
        raise DataError(f"{place}: expected an object such as {expected}, found {quoted(first)}")
    wanted = (input_name, answer_name)
    names = find_columns(first, str(path), wanted=wanted, how="Name it with --input or --answer.")
    return ExampleFile(examples_from_rows(rows, *names), *names)


def read_prompts(
    path: Path, task: str | None = None, instruction: str | None = None
) -> tuple[list[str], str | None]:
    """Candidate prompts in order, and a notice if some are repeated: these are left out.

    A .json file holds a list of texts (of any number of lines), or candidates as a run or `paraphrase`
    writes them; any other file holds one prompt a line. Of candidates of several tasks, those of `task` are
    taken, or else those of the task with this `instruction`.

    Raises:
        DataError: the file cannot be read, holds something else, or no prompt.
    """
    if path.suffix.lower() in _NO_PROMPTS:
        raise DataError(
            f"{path}: expected prompts in a text file, one a line, or in a .json file, a list of texts; "
            f"found {quoted(path.suffix)}"
        )
    if path.suffix.lower() == ".json":
        prompts = _listed(path, task, instruction)
    elif task is not None:
        raise DataError(f"--task {task}: expected a candidates file of several tasks, found {path}")
    else:
        prompts = [line.strip() for line in _text(path).split("\n") if line.strip()]
    if not prompts:
        raise DataError(f"{path}: expected at least one prompt, found none")
    distinct = list(dict.fromkeys(prompts))
    again = len(prompts) - len(distinct)
    return (
        distinct,
        f"{path}: {again} of {len(prompts)} prompts repeat others and are left out" if again else None,
    )


def _listed(path: Path, task: str | None, instruction: str | None) -> list[str]:
    """The texts of a JSON list, or of one task of a candidates file."""
    data = _json(_text(path), str(path))
    by_task = _by_task(data)
    if by_task is None:
        if task is not None:
            raise DataError(f"--task {task}: expected a candidates file of several tasks, found {path}")
        texts = data
    else:
        texts = by_task[_choose(path, by_task, task, instruction)]
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return texts
    raise DataError(f'{path}: expected a list of texts, ["...", "..."], found {_described(data)}')


def _by_task(data: object) -> dict[str, object] | None:
    """The texts of a candidates file by task, the original first where it is there; None of a list."""
    match data:
        case {"pools": list(pools)}:
            listed = [_by_task(pool) or {} for pool in pools]
            return {name: texts for one in listed for name, texts in one.items()}
        case {"candidates": list(candidates), **others}:
            texts = [c.get("text") if isinstance(c, dict) else c for c in candidates]
            return {str(others.get("task", "")): texts}
        case dict() if data and all(isinstance(texts, list) for texts in data.values()):
            return data
    return None


def _choose(path: Path, by_task: dict[str, object], task: str | None, instruction: str | None) -> str:
    """The task that is meant. Raises DataError where none is, or more than one may be."""
    found = one_of(map(quoted, by_task)) if by_task else "no task"
    if task is not None:
        for name in by_task:
            if task in (name, name.split("_")[0]):
                return name
        raise DataError(f"--task {task}: expected a task of {path}, which has {found}")
    own = [name for name, texts in by_task.items() if isinstance(texts, list) and instruction in texts[:1]]
    if len(by_task) == 1 or (instruction is not None and len(own) == 1):
        return next(iter(own or by_task))
    raise DataError(
        f"{path}: expected prompts of one task, found {found}. Name the one you mean with --task, or "
        "give its original prompt as --instruction."
    )


def _described(data: object) -> str:
    """What a JSON file holds instead of a list."""
    if isinstance(data, dict):
        return f"an object with {', '.join(map(quoted, list(data)[:4])) or 'nothing in it'}"
    return quoted(data)


def _json_rows(path: Path) -> _Rows:
    """A list of rows; or, though the name says otherwise, a row a line."""
    text = _text(path)
    try:
        data = _json(text, str(path))
    except DataError:
        first_line = next((line for line in text.split("\n") if line.strip()), "")
        if not _is_object(first_line):
            raise
        return list(_lines(text, path))
    if not isinstance(data, list):
        raise DataError(f"{path}: expected a list of rows, found {_described(data)}. Save the list alone.")
    return [(f"{path}, row {number}", row) for number, row in enumerate(data, start=1)]


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _jsonl_rows(path: Path) -> _Rows:
    return list(_lines(_text(path), path))


def _lines(text: str, path: Path) -> Iterator[tuple[str, object]]:
    # Not splitlines: a JSON text may hold U+2028, which that takes for the end of a line.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", _json(line, f"{path}, line {number}", one_line=True)


def _csv_rows(path: Path) -> _Rows:
    """Rows of a table whose first line names the columns."""
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    rows: _Rows = []
    header: list[str] | None = None
    before = 0
    try:
        for cells in reader:
            place, before = f"{path}, line {before + 1}", reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [name.strip() for name in cells]
                if twice := next((n for n in header if n and header.count(n) > 1), None):
                    raise DataError(f"{place}: expected different column names, found {quoted(twice)} twice")
            elif len(cells) != len(header):
                raise DataError(
                    f"{place}: expected {len(header)} cells, found {len(cells)}. "
                    "Put cells that hold the separator or a line break in double quotes."
                )
            else:
                rows.append((place, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from None
    return rows


def _delimiter(text: str) -> str:
    """What separates the cells: whichever cuts the first line into most.

    csv.Sniffer looks at the rows too, and takes what is frequent in their sentences for a separator.
    """
    first = next((line for line in text.split("\n") if line.strip()), "")
    return max(",;\t|", key=lambda separator: len(next(csv.reader([first], delimiter=separator))))


_READERS: dict[str, Callable[[Path], _Rows]] = {
    ".jsonl": _jsonl_rows,
    ".json": _json_rows,
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
}


def _json(text: str, place: str, *, one_line: bool = False) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = "" if one_line else f", line {error.lineno}"
        raise DataError(f"{place}{line}: not valid JSON: {error.msg}") from None


def _text(path: Path) -> str:
    """The file's text, without a byte-order mark. Raises DataError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected UTF-8 text, found other bytes at byte {error.start}. Save the file as UTF-8."
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not text.strip():
        raise DataError(f"{path}: expected text, found an empty file")
    return text
