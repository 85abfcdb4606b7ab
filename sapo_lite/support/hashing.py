"""Hashes of large files, computed once and kept in the cache folder."""

import contextlib
import hashlib
import json
from pathlib import Path

from sapo_lite.errors import RunFolderError
from sapo_lite.support.files import read_json, sha256, write_json
from sapo_lite.support.leftovers import remove_old_leftovers
from sapo_lite.support.shipped import cache_folder

_SMALL = 1 << 20  # bytes; smaller files are hashed again every time


def content_hash(path: Path) -> str:
    """SHA-256 of a file. That of a large file is kept in the cache folder until the file is written to.

    Weights are hashed in full: two models may differ in only a few tensors, which a hash of samples would
    miss. Hashing takes about as long as reading the file, which the run does anyway, and happens once. The
    cache key includes the inode's time of last change (ctime): unlike the modification time, programs that
    copy or unpack files cannot set it back.
    """
    about = path.stat()
    if about.st_size < _SMALL:
        return sha256(path)
    file_stats = [str(path.resolve()), about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
    try:
        folder = cache_folder() / "checksums"
    except RuntimeError:  # no home folder
        return sha256(path)
    kept = folder / f"{hashlib.sha256(json.dumps(file_stats).encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, RunFolderError, UnicodeDecodeError):
        return str(read_json(kept))
    content = sha256(path)
    with contextlib.suppress(OSError):  # the cache is not writable: hash again next time
        folder.mkdir(parents=True, exist_ok=True)
        remove_old_leftovers(folder)
        write_json(kept, content)
    return content
