"""JSON files that are read back, with a checksum: damage, edits and exchanged files are noticed.

The last key of the object in the file, `checksum`, is the SHA-256 of the other ones and of the place of the
file. A value that is not an object is under the key `value`. The checksum is of the content: other line
breaks and indentation do not change it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from sapo_lite.errors import RunFolderError
from sapo_lite.support.files import MADE_AGAIN, read_json, write_json

_CHECKSUM, _VALUE = "checksum", "value"


def write_checked(path: Path, value: Any, of: str | None = None) -> None:
    """Write `value` atomically, with its checksum; equal values in equal places give equal bytes.

    of: the place of the file, such as "01-stars/losses"; by default its name
    """
    content = dict(value) if isinstance(value, dict) else {_VALUE: value}
    content = json.loads(json.dumps(content))  # keys become texts here, as they are when the file is read
    write_json(path, content | {_CHECKSUM: _checksum(content, of or path.name)})


def read_checked(path: Path, fix: str = MADE_AGAIN, of: str | None = None) -> Any:
    """Read a value that `write_checked` wrote.

    Raises:
        RunFolderError: the file is damaged, was edited, or is that of another place; `fix` says what to do.
    """
    content = read_json(path, fix)
    if not isinstance(content, dict) or _CHECKSUM not in content:
        raise RunFolderError(f"{path}: expected the file as sapo-lite wrote it, found other content. {fix}")
    if content.pop(_CHECKSUM) != _checksum(content, of or path.name):
        raise RunFolderError(
            f"{path} is not as sapo-lite wrote it: its content does not fit its checksum. {fix}"
        )
    return content[_VALUE] if content.keys() == {_VALUE} else content


def _checksum(content: dict[str, Any], of: str) -> str:
    text = json.dumps([of, content], sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def is_whole(path: Path, of: str | None = None) -> bool:
    """Whether the file is as `write_checked` wrote it."""
    try:
        read_checked(path, of=of)
    except (RunFolderError, OSError):
        return False
    return True
