"""Location of a model: embedded in sapo-lite, a local folder, or the Hugging Face hub's cache."""

import contextlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sapo_lite.errors import BackboneError
from sapo_lite.model.gguf import converted_model, converted_tokenizer
from sapo_lite.model.gguf_names import is_gguf_name
from sapo_lite.support.checksums import verify_checksums
from sapo_lite.support.messages import quoted
from sapo_lite.support.offline import ASKED, is_offline
from sapo_lite.support.shipped import shipped, typed_path

EMBEDDED = ("lab", "lab-llama")  # a Qwen3 and a Llama of the same size; see docs/lab.md

# Patterns of the files of a tokenizer.
TOKENIZER_FILES = (
    "token*",
    "vocab*",
    "merges.txt",
    "*.model",
    "chat_template*",
    "special_*",
    "added_*",
)


def locate_model(name: str, notice: Callable[[str], None] | None = None) -> Path:
    """Folder of the model called `name`.

    A name is "lab", "lab-llama", a local folder, "FILE.gguf", "ollama:NAME", "smollm2", or a Hugging Face hub
    name. A hub model that is not in the local cache is downloaded; there is no other network access. A GGUF
    file is converted, once.

    notice: called with a line for the user before work that takes long

    Raises:
        BackboneError: there is no such folder or file, the model is not cached and the hub cannot be
            reached, an embedded model was changed, or a GGUF file cannot be converted.
    """
    if name in EMBEDDED:
        folder = shipped("data") / "backbones" / name
        verify_checksums(folder)
        return folder
    if is_gguf_name(name):
        return converted_model(name, notice)
    local = typed_path(name)
    if (local / "config.json").is_file():
        return local
    _require_no_gguf(name, local)
    nowhere = BackboneError(
        f"No model at {quoted(name)}. Expected a folder with config.json, weights and tokenizer, a file "
        "FILE.gguf, a Hugging Face name such as Qwen/Qwen3-8B, ollama:NAME for a model that Ollama has here, "
        "'smollm2', or 'lab' or 'lab-llama' for an embedded backbone."
    )
    if not is_hub_name(name):
        raise nowhere
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except HFValidationError:
        raise nowhere from None
    except LocalEntryNotFoundError:
        pass
    fix = (
        f"go online once and run `hf download {name}`, copy the model folder here and name its path in "
        "model.name, or use model.name = 'lab'."
    )
    if is_offline():
        raise BackboneError(
            f"{name} is not on this disk (looked in {constants.HF_HUB_CACHE}), and {ASKED} forbids to "
            f"download it. Leave that out, {fix}"
        )
    if notice is not None:
        notice(f"downloading {name} from the Hugging Face hub")
    try:
        return Path(snapshot_download(name))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise BackboneError(
            f"{name} is not on this disk (looked in {constants.HF_HUB_CACHE}) and could not be downloaded: "
            f"{type(error).__name__}. {fix[0].upper()}{fix[1:]}"
        ) from error


def _require_no_gguf(name: str, local: Path) -> None:
    """Raises BackboneError for a folder of GGUF files, or a hub name that is one: a whole set of models."""
    if files := sorted(local.glob("*.gguf")):
        raise BackboneError(
            f"{name}: expected a model, found a folder of GGUF files. Name one, such as {files[0]}, in "
            "model.name."
        )
    if is_hub_name(name) and name.lower().endswith("-gguf"):
        raise BackboneError(
            f"{name}: expected one model, found a name for a set of GGUF files. Download one of them (`hf "
            f"download {name} FILE.gguf --local-dir .`) and set model.name = 'FILE.gguf'."
        )


def locate_tokenizer(name: str) -> Path:
    """Folder of a model's tokenizer; of a hub model that is not on this disk, only its tokenizer is fetched.

    It goes to a cache of its own: the hub's would take it for the whole model.

    Raises:
        BackboneError: as `locate_model`.
    """
    if is_gguf_name(name):
        return converted_tokenizer(name)
    if not is_hub_name(name):
        return locate_model(name)
    _require_no_gguf(name, typed_path(name))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sapo-lite" / "tokenizers"
    with contextlib.suppress(LocalEntryNotFoundError, HFValidationError):
        return Path(snapshot_download(name, local_files_only=True))
    offline = is_offline()
    fetch = partial(
        snapshot_download, name, cache_dir=cache, allow_patterns=["config.json", *TOKENIZER_FILES]
    )
    try:
        return Path(fetch(local_files_only=offline))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise BackboneError(
            f"the tokenizer of {name} is not on this disk and could not be downloaded: "
            f"{f'{ASKED} forbids it' if offline else type(error).__name__}"
        ) from error


def is_hub_name(name: str) -> bool:
    """Whether `name` has the form OWNER/MODEL and is not a local folder."""
    if is_gguf_name(name) or name.startswith((".", "/", "~")):
        return False
    return name.count("/") == 1 and not typed_path(name).exists()
