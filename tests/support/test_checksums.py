"""Checksums of a folder: whatever is missing, changed, added or exchanged is named."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sapo_lite.support.checksums import NAME, changed_file, write_checksums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    for name in ("a.bin", "b.json"):
        (folder / name).write_text(name * 10)
    write_checksums(folder, of="01-stars")
    return folder


def test_a_folder_as_it_was_written_is_whole_and_sha256sum_agrees(folder: Path) -> None:
    assert changed_file(folder, "01-stars") is None
    subprocess.run(["sha256sum", "--check", "--strict", NAME], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda f: (f / "a.bin").unlink(), "a.bin"),
        (lambda f: (f / "a.bin").write_text(""), "a.bin"),
        (lambda f: shutil.copy(f / "a.bin", f / "b.json"), "b.json"),
        (lambda f: (f / "c.bin").write_text("new"), "c.bin"),
        (lambda f: (f / NAME).unlink(), NAME),
        (lambda f: (f / NAME).write_text(""), NAME),
        (lambda f: (f / NAME).write_text((f / NAME).read_text()[:60]), NAME),
        (lambda f: (f / NAME).write_bytes(b"\xff"), NAME),
    ],
)
def test_what_is_not_as_it_was_written_is_named(
    folder: Path, damage: Callable[[Path], object], named: str
) -> None:
    damage(folder)
    assert changed_file(folder, "01-stars") == named


def test_the_folder_of_another_place_is_not_whole(folder: Path) -> None:
    assert changed_file(folder, "02-mood") == NAME


def test_documents_for_people_may_change(folder: Path) -> None:
    (folder / "README.md").write_text("new")
    assert changed_file(folder, "01-stars") is None
