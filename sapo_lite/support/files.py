"""JSON files written atomically, and SHA-256 of files."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from sapo_lite.errors import RunFolderError

MADE_AGAIN = "Delete the file to have it made again, or start over with --fresh."


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically; equal values give equal bytes."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:  # a full disk: half a file would fill it further
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Path, fix: str = MADE_AGAIN) -> Any:
    """Read a file of the run folder.

    Raises:
        RunFolderError: it is not valid JSON (edited by hand, or a damaged disk); `fix` says what to do.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise RunFolderError(f"{path} is not valid JSON (nested too deeply). {fix}") from None
    except ValueError as error:  # also of bytes that are not UTF-8
        raise RunFolderError(f"{path} is not valid JSON ({error}). {fix}") from error
