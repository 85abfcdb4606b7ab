"""Reading of a GGUF file's metadata, and the reasons why a file cannot be a backbone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapo_lite.errors import BackboneError
from sapo_lite.support.messages import one_of, quoted

# Architectures whose conversion the tests compare with the model that the file was written from.
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma2", "gemma3")
_PART = re.compile(r"-\d{5}-of-(\d{5})\.gguf$", flags=re.IGNORECASE)
_MAGIC = b"GGUF"


@dataclass(frozen=True)
class GgufFile:
    """Metadata by key ("general.architecture"), and the gguf package's descriptions of the tensors."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Sequence[Any]

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    def value(self, key: str) -> Any:
        """A value of the architecture's own ("rope.freq_base"), or None."""
        return self.metadata.get(f"{self.architecture}.{key}")


def read_gguf(name: str, path: Path) -> GgufFile:
    """Read the metadata of a file, and check that it can be converted.

    name: of the model, for messages

    Raises:
        BackboneError: it is no GGUF file, damaged, a part, of another kind, or of an unknown architecture.
    """
    with path.open("rb") as opened:
        start = opened.read(24)
    if start[:4] != _MAGIC:
        what = "a git-lfs pointer" if start.startswith(b"version https://git-lfs") else "another format"
        raise BackboneError(f"{path}: expected a GGUF file, found {what}. Download the file again.")
    file = _read(name, path)
    _require_whole(name, file)
    _require_language_model(name, file)
    _require_known(name, file)
    return file


def _read(name: str, path: Path) -> GgufFile:
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        metadata = {key: field.contents() for key, field in reader.fields.items()}
    except NotImplementedError:
        raise
    except Exception as error:  # of the memory map: any
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise BackboneError(
            f"{name}: {path} cannot be read to its end ({path.stat().st_size} bytes; {reason}). It is "
            "incomplete or damaged: download it again."
        ) from error
    return GgufFile(path, metadata, reader.tensors)


def _require_whole(name: str, file: GgufFile) -> None:
    part = _PART.search(file.path.name)
    count = int(part[1]) if part else file.metadata.get("split.count", 0)
    if count > 1:
        raise BackboneError(
            f"{name}: it is one of {count} parts of a model. Join them with llama.cpp's program, "
            "`llama-gguf-split --merge FIRST_PART.gguf WHOLE.gguf`, and name the whole file."
        )


def _require_language_model(name: str, file: GgufFile) -> None:
    kind = file.metadata.get("general.type", "model")
    if file.architecture == "clip" or kind == "mmproj":
        found = "the vision part of a model (mmproj)"
    elif file.value("pooling_type"):
        found = "an embedding model"
    elif kind != "model":
        found = f"a file of the kind {quoted(kind)}"
    elif not file.tensors:
        found = "a file without weights"
    else:
        return
    raise BackboneError(
        f"{name}: expected a language model, found {found}. Name the file of the language model."
    )


def _require_known(name: str, file: GgufFile) -> None:
    instead = "Use the model's folder of safetensors or its hub name instead."
    if file.architecture not in ARCHITECTURES:
        raise BackboneError(
            f"{name}: expected the architecture {one_of(ARCHITECTURES)}, found {quoted(file.architecture)}. "
            f"{instead}"
        )
    if file.value("expert_count"):
        raise BackboneError(f"{name}: mixtures of experts are not read from GGUF files. {instead}")
    unread = sorted(_unread_types(file))
    if unread:
        raise BackboneError(
            f"{name}: its weights are quantised as {one_of(unread)}, which the package gguf cannot turn "
            "into numbers. Take another file of the model, such as Q4_K_M or Q8_0."
        )


def _unread_types(file: GgufFile) -> set[str]:
    from gguf import dequantize

    unread = set()
    for tensor in {tensor.tensor_type: tensor for tensor in file.tensors}.values():
        try:
            dequantize(tensor.data[:1], tensor.tensor_type)
        except NotImplementedError:
            unread.add(tensor.tensor_type.name)
    return unread
