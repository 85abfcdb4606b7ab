"""Which model a name means on this disk: its files by content, or its commit on the hub."""

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

_SMALL = 1 << 20  # bytes of a file that is hashed again every time


def model_identity(name: str) -> dict[str, str]:
    """What tells a model from others of its name: SHA-256 by file of a folder, or the commit on the hub.

    Empty if the model is not on this disk. Nothing is downloaded.
    """
    if name in EMBEDDED:  # its files are compared with this list when it is loaded
        return {checksums.NAME: sha256(shipped("data") / "backbones" / name / checksums.NAME)}
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        # All that transformers may read; checkpoints and other formats in folders below are not.
        files = [*folder.glob("[!.]*"), *folder.glob("additional_chat_templates/*")]
        read = sorted(file for file in files if file.is_file() and file.suffix != ".md")
        return {file.relative_to(folder).as_posix(): _content(file) for file in read}
    return _commit(name) if is_hub_name(name) else {}


def _commit(name: str) -> dict[str, str]:
    from huggingface_hub import snapshot_download

    try:
        return {"commit": Path(snapshot_download(name, local_files_only=True)).name}
    except (OSError, ValueError):  # not in the cache, or no name of a model
        return {}


def _content(path: Path) -> str:
    """SHA-256 of a file; of a large one, remembered in the cache folder for as long as it is not written to.

    Weights are hashed in full: those of two models may differ in a few tensors only, which samples of blocks
    would miss. That takes about as long as reading the file, which the run does next, and is done once. The
    time of the last change of the inode (ctime) is part of what is remembered: unlike the time of
    modification, no program that copies or unpacks files can set it back.
    """
    about = path.stat()
    if about.st_size < _SMALL:
        return sha256(path)
    told = [str(path.resolve()), about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
    try:
        folder = cache_folder() / "checksums"
    except RuntimeError:  # no home folder
        return sha256(path)
    kept = folder / f"{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, RunFolderError, UnicodeDecodeError):
        return str(read_json(kept))
    content = sha256(path)
    with contextlib.suppress(OSError):  # a cache that cannot be written to: it is hashed every time
        folder.mkdir(parents=True, exist_ok=True)
        remove_old_leftovers(folder)
        write_json(kept, content)
    return content
