"""Suites: finding a suite of tasks on disk, and a task in it.

A suite is a folder with `instructions.json` (task -> instruction, suffix, labels) and, for every
task, a folder of its name with `train.json`, `dev.json` and `test.json` (or .jsonl, .csv, .tsv, .parquet).
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapo_lite.data.readers import parse_json
from sapo_lite.data.text_files import read_text
from sapo_lite.errors import DataError
from sapo_lite.support.folders import is_inside
from sapo_lite.support.messages import nearest, one_of, quoted
from sapo_lite.support.shipped import cache_folder, shipped, typed_path

if TYPE_CHECKING:
    from sapo_lite.recipe import SequenceConfig

_LONGEST_NAME = 255  # bytes
PUBLISHED = "Fetch the published suites with `sapo-lite data fetch superni` or `sapo-lite data fetch trace`"
_INDEX = "instructions.json"
_NAME = f"expected the name of a folder of at most {_LONGEST_NAME} bytes"
_LISTED = 10  # names of tasks that an error lists if none is similar


def find_suite(sequence: "SequenceConfig", data: Path | None) -> Path:
    """Folder of the suite, from `--data`, the recipe, SAPO_LITE_DATA, the shipped data or the fetched data.

    They are searched in this order; each is the suite's folder itself or its parent.

    Raises:
        DataError: no folder has the suite (the message names them), or `--data` is not a folder: a typo must
            not fall back to other data.
    """
    if data is not None and not typed_path(data).is_dir():
        raise DataError(f"--data {data}: no such folder")
    if not _is_name(sequence.suite):
        raise DataError(f"sequence.suite: {_NAME}, found {quoted(sequence.suite)}. Name its place in --data.")
    environment = os.environ.get("SAPO_LITE_DATA")
    sources = {
        "--data": data,
        "sequence.data": sequence.data_folder(),
        "SAPO_LITE_DATA": Path(environment) if environment else None,
        "shipped data": shipped("data"),
        "fetched data": fetched_folder(),
    }
    roots = {label: typed_path(root).absolute() for label, root in sources.items() if root is not None}
    for root in roots.values():
        for folder in (root / sequence.suite, root):
            if folder.name == sequence.suite and (folder / _INDEX).is_file():
                return folder
    looked = "\n".join(f"  {label} {root}: {_what_is_in(root)}" for label, root in roots.items())
    raise DataError(
        f"No suite {quoted(sequence.suite)} was found. Looked in\n{looked}\n"
        f"Expected FOLDER/{sequence.suite}/{_INDEX} and, for every task, "
        f"FOLDER/{sequence.suite}/<task>/train.json, dev.json and test.json.\n"
        f"{PUBLISHED}; for other data, pass --data FOLDER or set SAPO_LITE_DATA=FOLDER."
    )


def fetched_folder() -> Path | None:
    """Folder of the suites that `sapo-lite data fetch` brought; None if the user has no home folder."""
    try:
        return cache_folder() / "data"
    except RuntimeError:
        return None


def _what_is_in(root: Path) -> str:
    if not root.is_dir():
        return "no such folder"
    suites = sorted(index.parent.name for index in root.glob(f"*/{_INDEX}"))
    return f"holds {', '.join(suites)}" if suites else "holds no suite"


def read_index(suite: Path) -> Mapping[str, Any]:
    """The suite's tasks by name, with unchecked entries. Raises DataError if the file is not a table."""
    require_inside(suite, suite / _INDEX)
    index = parse_json(read_text(suite / _INDEX), str(suite / _INDEX))
    if not isinstance(index, dict):
        raise DataError(f"{suite / _INDEX}: expected an object of tasks, found {quoted(index)}")
    return index


def has_folder(suite: Path, task: str) -> bool:
    """Whether the suite has a folder of this task."""
    return _stays_inside(task) and (suite / task).is_dir()


def task_folder(suite: Path, task: str) -> Path:
    """The folder of a task. Raises DataError if its name is that of no folder in the suite."""
    if not _stays_inside(task):
        raise DataError(f"{suite / _INDEX}, task {quoted(task)}: {_NAME} in the suite. Rename the task.")
    require_inside(suite, suite / task)
    return suite / task


def require_inside(suite: Path, path: Path) -> None:
    """Raises DataError if a link leads out of the suite: it could read any file of the user."""
    if not is_inside(suite, path):
        raise DataError(
            f"{path}: expected data in the suite's folder, found a link to {path.resolve()}. Copy the data "
            "into the suite."
        )


def _stays_inside(task: str) -> bool:
    """Whether the name is that of a folder in the suite, or in a folder of it (`en/mood`)."""
    return all(map(_is_name, task.split("/")))


def _is_name(name: str) -> bool:
    """Whether it can be the name of a folder: no path, and not too long for a disk."""
    short = len(name.encode("utf-8", "surrogatepass")) <= _LONGEST_NAME
    return short and name not in ("", ".", "..") and not re.search(r"[/\0]", name)


def match_task(wanted: str, suite: Path, names: Iterable[str]) -> str:
    """The task for a full name, `task195` or `195` (`2` is `task002`); never for a part of a name.

    Raises:
        DataError: no task or more than one matches; the message has the nearest names.
    """
    names = list(names)
    if wanted in names:
        return wanted
    by_number: dict[int, list[str]] = {}
    for name in names:
        if numbered := re.match(r"task([0-9]{1,18})(?:_|$)", name):
            by_number.setdefault(int(numbered[1]), []).append(name)
    number = re.fullmatch(r"(?:task)?([0-9]{1,18})", wanted)
    matches = by_number.get(int(number[1]), []) if number else []
    if len(matches) > 1:
        raise DataError(f"Task {quoted(wanted)} could be {one_of(matches)}: write the full name.")
    if not matches:
        hint = _nearest_tasks(wanted, names, by_number)
        raise DataError(f"Task {quoted(wanted)} is not in {suite / _INDEX}; {hint}")
    return matches[0]


def _nearest_tasks(wanted: str, names: list[str], by_number: Mapping[int, list[str]]) -> str:
    aliases = {name: name for name in names}
    for number, numbered in by_number.items():
        aliases |= {str(number): numbered[0], f"task{number}": numbered[0]}
    close = list(dict.fromkeys(aliases[alias] for alias in nearest(wanted, aliases, at_most=3)))
    if close:
        return f"did you mean {one_of(close)}?"
    shown = names[:_LISTED]
    return f"it has {', '.join(shown)}" + (
        f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    )
