"""JSON files written atomically, and checksums in the format of `sha256sum` (`SHA256SUMS`)."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from sapo_lite.errors import BackboneError, RunFolderError

NAME = "SHA256SUMS"
MADE_AGAIN = "Delete the file to have it made again, or start over with --fresh."


def write_checksums(folder: Path, names: list[str]) -> None:
    """Write `SHA256SUMS` of these files into their folder."""
    lines = [f"{sha256(folder / name)}  {name}\n" for name in sorted(names)]
    (folder / NAME).write_text("".join(lines), encoding="utf-8", newline="\n")


def verify_checksums(folder: Path) -> None:
    """Compare the files of a folder with its checksums.

    Raises:
        BackboneError: a file is missing, or its content has changed.
    """
    for line in (folder / NAME).read_text(encoding="utf-8").splitlines():
        expected, name = line.split("  ", maxsplit=1)
        path = folder / name
        found = sha256(path) if path.is_file() else "no such file"
        if found != expected:
            raise BackboneError(
                f"{path} is not the file that sapo-lite ships: expected SHA-256 {expected}, found {found}. "
                f"Restore it (in a clone: git checkout -- {name}, from its folder; else install sapo-lite "
                "again), or copy the folder elsewhere and name that path in model.name to use it as it is."
            )


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically; equal values give equal bytes."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path, fix: str = MADE_AGAIN) -> Any:
    """Read a file of the run folder.

    Raises:
        RunFolderError: it is not valid JSON (edited by hand, or a damaged disk); `fix` says what to do.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # also of bytes that are not UTF-8
        raise RunFolderError(f"{path} is not valid JSON ({error}). {fix}") from error
