"""Checksums of the files of a folder, in the format of `sha256sum` (`SHA256SUMS`)."""

import os
from collections.abc import Sequence
from pathlib import Path

from sapo_lite.errors import BackboneError
from sapo_lite.support.files import sha256

NAME = "SHA256SUMS"


def write_checksums(folder: Path, names: Sequence[str] | None = None, of: str = "") -> None:
    """Write `SHA256SUMS` of files into their folder, once all of them are on the disk.

    names: of the files; by default all of the folder but documents for people (*.md)
    of: what the folder is of, which is written as a comment: a folder put in another's place is noticed
    """
    if names is None:
        names = list(_read(folder))
    for name in names:
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    lines = [f"# {of}\n"] if of else []
    lines += [f"{sha256(folder / name)}  {name}\n" for name in sorted(names)]
    with (folder / NAME).open("w", encoding="utf-8", newline="\n") as sums:
        sums.writelines(lines)
        sums.flush()
        os.fsync(sums.fileno())


def verify_checksums(folder: Path) -> None:
    """Compare the files of a folder that sapo-lite ships with its checksums.

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


def changed_file(folder: Path, of: str) -> str | None:
    """Name of a file that is not as `write_checksums` found it; None if the folder is whole, and of `of`."""
    try:
        first, *lines = (folder / NAME).read_text(encoding="utf-8").splitlines()
        expected = {name: digest for digest, name in (line.split("  ", maxsplit=1) for line in lines)}
    except (OSError, ValueError):  # no such file, or one without lines, pairs or UTF-8
        return NAME
    if first != f"# {of}" or not expected:
        return NAME
    there = _read(folder)
    changed = [
        name for name, digest in expected.items() if name not in there or sha256(folder / name) != digest
    ]
    return next(iter([*changed, *sorted(there - expected.keys())]), None)


def _read(folder: Path) -> set[str]:
    """Names of the files of a folder that programs read."""
    return {path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".md"} - {NAME}
