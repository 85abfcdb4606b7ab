"""One process at a time in a folder, whether of a run or of a comparison."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from sapo_lite.errors import RunFolderError
from sapo_lite.run.paths import LOCK
from sapo_lite.support.leftovers import remove_leftovers


@contextlib.contextmanager
def locked(path: Path, partial: re.Pattern[str] | None = None) -> Iterator[None]:
    """Make a folder, hold its lock, and remove what killed processes left in it half-written.

    partial: names of such files and folders, at any depth; without, only JSON files of the folder itself

    Raises:
        RunFolderError: another process holds it.
    """
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunFolderError(
            f"{path} is in use by another sapo-lite process. Wait for it, stop it, or choose another folder "
            "with --out."
        ) from None
    try:
        remove_leftovers(path, partial)
        yield
    finally:
        lock.release()


def is_empty(path: Path) -> bool:
    """Whether there is nothing of anybody else: no folder, or one of hidden files alone.

    Those are our own: the lock, and what a process killed in its first moments leaves.
    """
    return not path.exists() or (path.is_dir() and all(p.name.startswith(".") for p in path.iterdir()))
