"""Identity of the model behind a name: hashes of its files, or its commit on the hub."""

from pathlib import Path

from sapo_lite.errors import BackboneError
from sapo_lite.model.gguf_names import gguf_path, is_gguf_name
from sapo_lite.model.hub import EMBEDDED, is_hub_name
from sapo_lite.support import checksums
from sapo_lite.support.files import sha256
from sapo_lite.support.hashing import content_hash
from sapo_lite.support.shipped import shipped, typed_path


def model_identity(name: str) -> dict[str, str]:
    """Identity of a model: SHA-256 of each file of a folder or of the GGUF file, or the hub commit.

    It differs between models of the same name. Empty if the model is not on this disk; nothing is downloaded.
    """
    if name in EMBEDDED:  # its files are compared with this list when it is loaded
        return {checksums.NAME: sha256(shipped("data") / "backbones" / name / checksums.NAME)}
    if is_gguf_name(name):
        try:
            return {"gguf": content_hash(gguf_path(name))}
        except BackboneError:  # it is not here
            return {}
    folder = typed_path(name)
    if (folder / "config.json").is_file():
        # All files that transformers may read; subfolders hold checkpoints and other formats.
        files = [*folder.glob("[!.]*"), *folder.glob("additional_chat_templates/*")]
        read = sorted(file for file in files if file.is_file() and file.suffix != ".md")
        return {file.relative_to(folder).as_posix(): content_hash(file) for file in read}
    return _commit(name) if is_hub_name(name) else {}


def _commit(name: str) -> dict[str, str]:
    from huggingface_hub import snapshot_download

    try:
        return {"commit": Path(snapshot_download(name, local_files_only=True)).name}
    except (OSError, ValueError):  # not in the cache, or not a model's name
        return {}
