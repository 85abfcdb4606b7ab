"""The weights in a model's files: all there, and all of this model.

transformers fills what a file lacks with random numbers and says so in a log alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sapo_lite.errors import BackboneError

_LFS_POINTER = b"version https://git-lfs"
# Names that a message lists.
_NAMED = 3


def require_downloaded(folder: Path) -> None:
    """Raises BackboneError where a file of the folder is a pointer of git-lfs instead of its content."""
    for file in sorted(folder.iterdir()):
        if not file.is_file():
            continue
        with file.open("rb") as opened:
            if opened.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise BackboneError(
                    f"{file}: expected the file itself, found a git-lfs pointer to it. Run `git lfs pull` in "
                    "that folder, or download the model with `hf download`."
                )


def require_all_weights(name: str, info: Mapping[str, Any]) -> str | None:
    """Judge what transformers reports of a load (`output_loading_info`).

    Returns a notice where the files hold weights that the model has no place for.

    Raises:
        BackboneError: weights are missing, or have another shape than the model's.
    """
    unexpected = sorted(info["unexpected_keys"])
    if missing := sorted(info["missing_keys"]):
        instead = f" (they hold {_listed(unexpected)} instead)" if unexpected else ""
        raise BackboneError(
            f"{name}: expected all weights of the model in its files, found none for {_listed(missing)}"
            f"{instead}. transformers would fill them with random numbers: save or download the model again; "
            "where training or torch.compile has put a prefix before the names, save the model inside the "
            "wrapper."
        )
    if mismatched := sorted(info["mismatched_keys"]):
        found = [f"{key} of {tuple(held)}, not {tuple(own)}" for key, held, own in mismatched]
        raise BackboneError(
            f"{name}: expected weights of the shapes that config.json describes, found {_listed(found)}. "
            "Take config.json and weights from the same model."
        )
    if unexpected:
        return f"{name}: its files hold weights that this model does not use: {_listed(unexpected)}"
    return None


def loading_info(folder: Path) -> dict[str, Any]:
    """What transformers would report of loading the folder, from the headers of its files alone.

    Unsloth keeps the report to itself, and in 4 bits transformers does not look at shapes. Nothing is
    compared in files that are quantised by another library than bitsandbytes, or are not in safetensors; of
    bitsandbytes' own, which hold other tensors, only what is missing is.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    nothing: dict[str, Any] = {"missing_keys": (), "unexpected_keys": (), "mismatched_keys": ()}
    config = AutoConfig.from_pretrained(folder)
    quantised = getattr(config, "quantization_config", None)
    if quantised is not None:
        if "bitsandbytes" not in str(_of(quantised, "quant_method")):
            return nothing
        del config.quantization_config
    held = _tensors(folder)
    if not held:  # not in safetensors
        return nothing
    with torch.device("meta"):
        family = type(AutoModelForCausalLM.from_config(config))
    _, info = family.from_pretrained(
        None,
        config=config,
        state_dict=held,
        device_map={"": "meta"},
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    return dict(info) if quantised is None else nothing | {"missing_keys": info["missing_keys"]}


def _of(config: Any, name: str) -> Any:
    return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Tensors of the right shapes without data, by the names they have in the files."""
    from safetensors import safe_open

    held = {}
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  no mapping: it has no __iter__
                held[name] = torch.empty(opened.get_slice(name).get_shape(), device="meta")
    return held


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
