"""Full disks: which one it is, how much room it has, and how much was needed."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from sapo_lite.errors import SapoLiteError

FULL = (errno.ENOSPC, errno.EDQUOT)
# What libraries of other languages make of these errors: safetensors (Rust), torch's files (C++).
_SAID = re.compile(rf"os error ({FULL[0]}|{FULL[1]})\b|No space left|unexpected pos [0-9]+ vs [0-9]+")


@contextlib.contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Context manager: where a full disk ends the work, the error names the folder.

    Raises:
        OSError: as the system raises it, with `folder` as its file name.
    """
    try:
        yield
    except Exception as error:
        if not _is_full(error) or (isinstance(error, OSError) and error.filename is not None):
            raise
        number = error.errno if isinstance(error, OSError) and error.errno else errno.ENOSPC
        raise OSError(number, os.strerror(number), str(folder)) from error


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL
    return not isinstance(error, SapoLiteError) and bool(_SAID.search(str(error)))


def free_bytes(path: Path) -> int | None:
    """Room on the disk of a file or folder that may not be there yet; None if that is unknown."""
    for place in (path, *path.absolute().parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(place).free
    return None


def in_words(size: int) -> str:
    """A size as in "12.3 MB"."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
