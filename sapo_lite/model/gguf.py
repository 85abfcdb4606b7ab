"""GGUF files as folders of safetensors: converted once, kept in the cache folder.

A folder is named by the SHA-256 of its file. It gets its name when it is complete, so a conversion that was
killed leaves nothing that is ever read.
"""

import contextlib
import os
import re
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sapo_lite.errors import BackboneError, SapoLiteError
from sapo_lite.model.gguf_config import config_of, require_all_read
from sapo_lite.model.gguf_file import GgufFile, read_gguf
from sapo_lite.model.gguf_names import gguf_path
from sapo_lite.model.gguf_tokenizer import build_tokenizer
from sapo_lite.support.disk import free_bytes, in_words, writing_to
from sapo_lite.support.folders import share_weights
from sapo_lite.support.hashing import content_hash
from sapo_lite.support.lock import HeldError, exclusive
from sapo_lite.support.shipped import cache_folder

# Counted up when the conversion changes what it writes: folders of older versions are not used then.
_VERSION = 1
_A_DAY = 86400.0  # seconds; a conversion takes minutes


def converted_model(name: str, notice: Callable[[str], None] | None = None) -> Path:
    """Folder with config.json, safetensors and tokenizer of a GGUF model; written if it is not there yet.

    notice: called with a line for the user before a conversion

    Raises:
        BackboneError: there is no such file, it cannot be read, or the folder cannot be written.
    """
    file = gguf_path(name)

    def write(folder: Path) -> None:
        found = read_gguf(name, file)
        _require_room(name, found, folder.parent)
        if notice is not None:
            notice(f"converting {file.name} to safetensors, once; they are kept in {folder.parent}")
        _write_model(name, found, folder)

    return _made(name, _place(file), write)


def converted_tokenizer(name: str) -> Path:
    """Folder with the tokenizer of a GGUF model. No weights are read.

    Raises:
        BackboneError: as `converted_model`.
    """
    file = gguf_path(name)
    model = _place(file)

    def write(folder: Path) -> None:
        build_tokenizer(name, read_gguf(name, file).metadata).save_pretrained(folder)

    return model if model.is_dir() else _made(name, model.with_name(f"{model.name}-tokenizer"), write)


def _place(file: Path) -> Path:
    try:
        cache = cache_folder()
    except RuntimeError:
        raise BackboneError(
            "A GGUF file is converted in the cache folder, and this user has no home folder to keep it in. "
            "Set SAPO_LITE_CACHE to a folder."
        ) from None
    return cache / "gguf" / f"{content_hash(file)[:32]}-{_VERSION}"


def _made(name: str, made: Path, write: Callable[[Path], None]) -> Path:
    """The folder `made`, which `write` fills if it is not there. Processes wait for each other."""
    if made.is_dir():
        return made
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        _sweep(made.parent)
        with writing_to(made.parent), exclusive(made.with_name(f".{made.name}.lock")):
            if not made.is_dir():  # another process may have made it meanwhile
                _write_whole(made, write)
    except SapoLiteError:
        raise
    except OSError as error:
        raise BackboneError(
            f"{name} could not be converted in {made.parent}: {error}. If the disk is full or cannot be "
            "written to, set SAPO_LITE_CACHE to another folder."
        ) from error
    except Exception as error:  # of transformers, on what a file may hold
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise BackboneError(f"{name} could not be converted: {reason}") from error
    return made


def _write_whole(made: Path, write: Callable[[Path], None]) -> None:
    """Write the folder under a name of this process, and rename it; nothing is left after an error.

    The cache may be shared by machines whose locks do not reach each other: the first to finish has made it.
    """
    partial = made.with_name(f".{made.name}.{socket.gethostname()}-{os.getpid()}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        write(partial)
        _flush(partial)
        try:
            partial.rename(made)
        except OSError:
            if not made.is_dir():  # else another machine has made it meanwhile
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sweep(cache: Path) -> None:
    """Remove what killed processes left of conversions: those that nobody on this machine works at."""
    for partial in cache.glob(".*.partial"):
        lock = re.sub(r"^(\.[0-9a-f]+-[0-9]+(-tokenizer)?)\..*", r"\1.lock", partial.name)
        away = f".{socket.gethostname()}-" not in partial.name
        with contextlib.suppress(HeldError, FileNotFoundError):
            if away and time.time() - partial.stat().st_mtime < _A_DAY:
                continue
            with exclusive(cache / lock, wait=False):
                shutil.rmtree(partial, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Write the files to the disk before the folder gets its name."""
    for file in folder.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def _write_model(name: str, file: GgufFile, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, GenerationConfig

    from sapo_lite.model.weights import require_all_weights  # it imports torch

    tokenizer = build_tokenizer(name, file.metadata)
    # A folder with nothing else in it: transformers would use an adapter that lies beside the file.
    link = folder / "source.gguf"
    link.symlink_to(file.path.resolve())
    model, info = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=link.name,
        config=config_of(name, file, link),
        dtype=_stored_type(file),
        output_loading_info=True,
        trust_remote_code=False,
    )
    link.unlink()
    require_all_weights(name, info)
    require_all_read(name, file, model)
    if not all(parameter.isfinite().all() for parameter in model.parameters()):
        raise BackboneError(f"{name}: {file.path} holds weights that are no numbers. Download it again.")
    # transformers does not save what it takes for quantised. These weights are plain numbers.
    model.hf_quantizer = None
    vars(model.config).pop("quantization_config", None)
    ends = {tokenizer.eos_token_id, file.metadata.get("tokenizer.ggml.eot_token_id")}
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=sorted(ends - {None}) or None,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    share_weights(folder)


def _require_room(name: str, file: GgufFile, cache: Path) -> None:
    needed = sum(int(tensor.n_elements) for tensor in file.tensors) * _stored_type(file).itemsize
    free = free_bytes(cache)
    if free is not None and free < needed:
        raise BackboneError(
            f"{name} cannot be converted in {cache}: {in_words(needed)} are needed, {in_words(free)} are "
            "free. Make room, or set SAPO_LITE_CACHE to a folder on another disk."
        )


def _stored_type(file: GgufFile) -> Any:
    """The number format of most weights. Quantised ones become float16, which is finer than their steps."""
    import torch

    sizes: dict[str, int] = {}
    for tensor in file.tensors:
        kind = tensor.tensor_type.name
        sizes[kind] = sizes.get(kind, 0) + int(tensor.n_elements)
    most = max(sizes, key=sizes.__getitem__)
    return {"F32": torch.float32, "BF16": torch.bfloat16}.get(most, torch.float16)
