"""The published suites, as facts: their files, the git blob id of each.

`published_files.tsv` lists SUPERNI/ and TRACE/ of https://github.com/Eric8932/SAPO at `COMMIT`.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sapo_lite.data.suite import match_task

SUITES = ("SUPERNI", "TRACE")
COMMIT = "8c1f257d028002722f6599fb65a11ba815466a7e"
BASE_URL = f"https://raw.githubusercontent.com/Eric8932/SAPO/{COMMIT}"


class PublishedFile(NamedTuple):
    """A file of a published suite: its path, such as `TRACE/FOMC/test.json`, and its git blob id."""

    path: str
    blob: str

    @property
    def task(self) -> str:
        """The task's name, or "" for the file with the instructions of all tasks."""
        return "/".join(self.path.split("/")[1:-1])


def published_files(suite: str, tasks: Sequence[str] = ()) -> list[PublishedFile]:
    """The files of a suite, its instructions first; with `tasks`, of those alone.

    tasks: names as in a recipe, in full or as numbers

    Raises:
        DataError: the suite has no such task; the message has the nearest names.
    """
    files = [file for file in all_files() if file.path.startswith(f"{suite}/")]
    names = list(dict.fromkeys(file.task for file in files if file.task))
    wanted = {match_task(task, Path(suite), names) for task in tasks} or set(names)
    files = [file for file in files if not file.task or file.task in wanted]
    return sorted(files, key=lambda file: (file.task, file.path))


@cache
def all_files() -> tuple[PublishedFile, ...]:
    table = Path(__file__).with_name("published_files.tsv").read_text(encoding="utf-8")
    return tuple(PublishedFile(*line.split("\t")) for line in table.splitlines())


def blob_id(path: Path) -> str:
    """Git's id of a file's content: the SHA-1 of `blob SIZE`, a zero byte, and the content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()
