"""Identity of the model behind a name: hashes of its files, or its commit on the hub."""

import contextlib
import hashlib
import json
from pathlib import Path

from sapo_lite.errors import RunFolderError
from sapo_lite.model.hub import EMBEDDED, is_hub_name
from sapo_lite.support import files as checksums
from sapo_lite.support.files import read_json, sha256, write_json
from sapo_lite.support.leftovers import remove_old_leftovers
from sapo_lite.support.shipped import cache_folder, shipped

_SMALL = 1 << 20  # bytes; smaller files are hashed again every time


def model_identity(name: str) -> dict[str, str]:
    """Identity of a model: SHA-256 of each file of a folder, or the commit on the hub.

    It differs between models of the same name. Empty if the model is not on this disk; nothing is downloaded.
    """
    if name in EMBEDDED:  # its files are compared with this list when it is loaded
        return {checksums.NAME: sha256(shipped("data") / "backbones" / name / checksums.NAME)}
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        # All files that transformers may read; subfolders hold checkpoints and other formats.
        files = [*folder.glob("[!.]*"), *folder.glob("additional_chat_templates/*")]
        read = sorted(file for file in files if file.is_file() and file.suffix != ".md")
        return {file.relative_to(folder).as_posix(): _content(file) for file in read}
    return _commit(name) if is_hub_name(name) else {}


def _commit(name: str) -> dict[str, str]:
    from huggingface_hub import snapshot_download

    try:
        return {"commit": Path(snapshot_download(name, local_files_only=True)).name}
    except (OSError, ValueError):  # not in the cache, or not a model's name
        return {}


def _content(path: Path) -> str:
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
