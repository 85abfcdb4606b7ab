"""Check that a model's files hold all of its weights.

transformers fills missing weights with random numbers and says so only in a log.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sapo_lite.errors import BackboneError

_LFS_POINTER = b"version https://git-lfs"
# Number of names that a message lists.
_NAMED = 3


def require_downloaded(folder: Path) -> None:
    """Check that a download has come to its end.

    Raises:
        BackboneError: a file is a git-lfs pointer instead of its content, or one of several files of weights
            is missing.
    """
    for file in sorted(folder.iterdir()):
        if not file.is_file():
            continue
        with file.open("rb") as opened:
            if opened.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise BackboneError(
                    f"{file}: expected the file itself, found a git-lfs pointer to it. Run `git lfs pull` in "
                    "that folder, or download the model with `hf download`."
                )
    for index in sorted(folder.glob("*.index.json")):
        _require_parts(index)


def _require_parts(index: Path) -> None:
    """Raises BackboneError unless all files are there that an index of weights names."""
    try:
        parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        missing = sorted(part for part in parts if not (index.parent / part).is_file())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackboneError(
            f"{index}: expected the files that hold the weights, by weight, found {type(error).__name__}: "
            f"{error}. Download the model again."
        ) from None
    if missing:
        raise BackboneError(
            f"{index.parent}: expected {len(parts)} files of weights ({index.name}), {len(missing)} missing: "
            f"{_listed(missing)}. Go on with the download (`hf download`), or copy them here."
        )


def require_all_weights(name: str, info: Mapping[str, Any]) -> str | None:
    """Check transformers' report on a load (`output_loading_info`).

    Returns a notice if the files hold weights that the model does not have.

    Raises:
        BackboneError: weights are missing, or have a shape that differs from the model's.
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
    """transformers' loading report for the folder, computed from the headers of its files.

    Needed because Unsloth does not pass the report on, and because transformers does not check shapes in 4
    bits. Files that are not safetensors, or that were quantised by a library other than bitsandbytes, are not
    compared. Files quantised by bitsandbytes hold other tensors, so only missing names are reported.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    nothing: dict[str, Any] = {"missing_keys": (), "unexpected_keys": (), "mismatched_keys": ()}
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    quantised = getattr(config, "quantization_config", None)
    if quantised is not None:
        if "bitsandbytes" not in str(_of(quantised, "quant_method")):
            return nothing
        del config.quantization_config
    held = _tensors(folder)
    if not held:  # not in safetensors
        return nothing
    with torch.device("meta"):
        family = type(AutoModelForCausalLM.from_config(config, trust_remote_code=False))
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
    """Tensors with the right shapes and no data, by their names in the files."""
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
