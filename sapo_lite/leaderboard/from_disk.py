"""Loading of the model, and of the adapter if there is one, that a command line names."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sapo_lite.leaderboard.adapter import adapter_config, with_adapter
from sapo_lite.model.chat_template import FILE
from sapo_lite.model.files import read_config, read_tokenizer
from sapo_lite.model.hub import is_hub_name, locate_model
from sapo_lite.model.load import load_backbone
from sapo_lite.recipe import ModelConfig
from sapo_lite.support.shipped import typed_path


@dataclass(frozen=True)
class Loaded:
    """A frozen model, its tokenizer, and notices of possible mistakes.

    settings: model, adapter, quantization, dtype and chat_template, for the result file
    """

    settings: dict[str, str | None]
    model: Any
    tokenizer: Any
    notices: tuple[str, ...]


def load(
    name: str,
    adapter: Path | None = None,
    quantization: Literal["none", "nf4"] | None = None,
    dtype: Literal["auto", "bfloat16", "float32"] = "auto",
    loader: Literal["transformers", "unsloth"] = "transformers",
    max_tokens: int | None = None,
    notice: Callable[[str], None] | None = None,
    chat_template: str | None = None,
) -> Loaded:
    """Load a model with its adapter, and the tokenizer that it was trained with.

    quantization: by default, weights stay as they are stored
    dtype: "auto" is bfloat16 where it is faster, as in a recipe
    notice: called with a line for the user before a download or a conversion
    chat_template: as the recipe's model.chat_template; by default the adapter's, else the model's own

    Raises:
        BackboneError: model or adapter cannot be loaded, or do not fit each other.
    """
    found = read_config(locate_model(name, notice), name)
    quantized = getattr(found, "quantization_config", None) or {}
    is_4bit = bool(quantized.get("load_in_4bit"))  # by bitsandbytes: asked for again, it stays as it is
    longest = getattr(found.get_text_config(), "max_position_embeddings", None) or 2048
    config = ModelConfig(
        name=name,
        quantization=quantization or ("nf4" if is_4bit else "none"),
        dtype=dtype,
        loader=loader,
        chat_template=chat_template or _template_beside(adapter),
        max_source_tokens=max(1, min(longest, max_tokens or longest) - 1),
        max_answer_tokens=1,
    )
    backbone = load_backbone(config)
    model, tokenizer, notices = backbone.model, backbone.tokenizer, [backbone.unused_weights, backbone.notice]
    if adapter is not None:
        notices.append(_of_another_model(adapter, name))
        model = with_adapter(model, adapter, name)
        if chat_template is None:
            tokenizer = _tokenizer_beside(adapter) or tokenizer
    settings = {
        "model": name,
        "adapter": None if adapter is None else str(adapter),
        "quantization": config.quantization,
        "dtype": backbone.config.dtype,
        "chat_template": config.chat_template,
    }
    return Loaded(settings, model, tokenizer, tuple(filter(None, notices)))


def _of_another_model(adapter: Path, name: str) -> str | None:
    """A notice if the adapter names another base model, or another revision of it, than the loaded one.

    It is no error: a folder may have been renamed.
    """
    own = adapter_config(adapter)
    base, revision = (own.get(key) for key in ("base_model_name_or_path", "revision"))
    if not base or not isinstance(base, str):
        return None
    located = locate_model(name)
    if _same_model(base, name, located):
        held = _revision(located)
        if not (held and isinstance(revision, str) and _COMMIT.fullmatch(revision)) or revision == held:
            return None
        base, name = f"{base} at revision {revision}", f"{name} at revision {held}"
    return (
        f"--adapter {adapter}: it was trained on {base}, and is put on {name}. If these differ, its losses "
        "mean nothing"
    )


# A revision that is a commit; a branch may point to another state later.
_COMMIT = re.compile("[0-9a-f]{40}")


def _same_model(base: str, name: str, located: Path) -> bool:
    """Whether `base`, the adapter's name of its base model, can be the model called `name`."""
    if "\0" in base:  # no path
        return False
    if base == name or os.path.realpath(typed_path(base)) == os.path.realpath(located):
        return True
    if is_hub_name(base) and is_hub_name(name):
        return False
    # A copy of a hub model is usually in a folder of its name, or in the hub's cache.
    return _last_part(base) == _last_part(name)


def _last_part(name: str) -> str:
    """Name without its owner: `qwen3-8b` for Qwen/Qwen3-8B, a folder Qwen3-8B, or one in the hub's cache."""
    cached = re.search(r"models--.+?--([^/\\]+)", name)
    return (cached[1] if cached else Path(name).name).lower()


def _revision(located: Path) -> str | None:
    """The commit of a folder in the hub's cache; None for any other folder."""
    return located.name if located.parent.name == "snapshots" else None


def _template_beside(adapter: Path | None) -> str:
    """model.chat_template for the template that `run` saved with the adapter, if there is one."""
    if adapter is None or (adapter / "tokenizer_config.json").is_file():
        return "model"
    file = adapter.absolute() / FILE
    return str(file) if file.is_file() else "model"


def _tokenizer_beside(adapter: Path) -> Any:
    """The tokenizer saved with the adapter: its chat template is the one it was trained with."""
    if not (adapter / "tokenizer_config.json").is_file():
        return None
    tokenizer = read_tokenizer(adapter, f"--adapter {adapter}")
    return tokenizer if tokenizer.chat_template else None
