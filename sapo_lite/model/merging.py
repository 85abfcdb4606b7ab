"""A model with its adapter merged, written in 16 bits, shard by shard.

The weights are those that the model computes with: 4-bit ones are dequantised, and the adapter is added to
them. So the merged model gives the answers that the run was tested with. Added to the 16-bit weights that the
4-bit ones were made of, the adapter would not fit what it was trained on.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sapo_lite.errors import BackboneError
from sapo_lite.model.backbone import Backbone
from sapo_lite.support.disk import free_bytes, in_words
from sapo_lite.support.files import write_json
from sapo_lite.support.folders import share_weights

# Bytes of a shard, unless one layer has more.
SHARD = 10**9
_LAYER = re.compile(r".*?\.\d+(?=\.)")


@dataclass(frozen=True)
class Plan:
    """What is written: names of tensors by shard, and the size in bytes of all and of the largest shard."""

    shards: list[list[str]]
    size: int
    largest: int


def merged_type(backbone: Backbone) -> torch.dtype:
    """bfloat16 for a model that computes in it; else float16, which rounds float32 eight times as finely."""
    return torch.bfloat16 if backbone.dtype is torch.bfloat16 else torch.float16


def merge_plan(backbone: Backbone) -> Plan:
    """Shards of whole layers, of at most SHARD bytes each where a layer has no more."""
    sizes: dict[str, int] = {}
    names: dict[str, list[str]] = {}
    for name, tensor in _tensors(backbone.causal_lm):
        layer = _LAYER.match(name)
        group = layer[0] if layer else name
        names.setdefault(group, []).append(name)
        sizes[group] = sizes.get(group, 0) + 2 * _count(tensor)
    shards: list[list[str]] = [[]]
    filled = [0]
    for group, size in sizes.items():
        if filled[-1] and filled[-1] + size > SHARD:
            shards.append([])
            filled.append(0)
        shards[-1] += names[group]
        filled[-1] += size
    return Plan(shards, sum(filled), max(filled))


def write_merged(backbone: Backbone, folder: Path, on_shard: Callable[[], None] = lambda: None) -> None:
    """Write config, generation config and weights of the model with its active adapter merged.

    Beside the model, a shard is in memory at a time.

    Raises:
        BackboneError: the disk has too little room, or a weight is too large for 16 bits.
    """
    plan, dtype = merge_plan(backbone), merged_type(backbone)
    free = free_bytes(folder)
    if free is not None and free < plan.size:
        raise BackboneError(
            f"{folder}: {in_words(plan.size)} are needed for the merged weights, {in_words(free)} are free. "
            "Make room, or choose a folder on another disk with --out."
        )
    model, of = backbone.causal_lm, dict(_tensors(backbone.causal_lm))
    files: dict[str, str] = {}
    for number, names in enumerate(plan.shards, start=1):
        several = f"-{number:05d}-of-{len(plan.shards):05d}" if len(plan.shards) > 1 else ""
        file = f"model{several}.safetensors"
        shard = _as_stored(model, {name: _merged(model, name, of[name], dtype) for name in names})
        save_file(shard, folder / file, metadata={"format": "pt"})
        files |= dict.fromkeys(shard, file)
        on_shard()
    if len(plan.shards) > 1:
        index = {"metadata": {"total_size": plan.size}, "weight_map": files}
        write_json(folder / "model.safetensors.index.json", index)
    config = copy.deepcopy(model.config)
    vars(config).pop("quantization_config", None)
    config.dtype = dtype
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    if model.generation_config is not None:
        model.generation_config.save_pretrained(folder)
    share_weights(folder)


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Weights and saved buffers by their names without an adapter; tied weights once."""
    for name, parameter in model.named_parameters():
        if ".lora_" not in name:
            yield name.replace(".base_layer.", "."), parameter
    for place, module in model.named_modules():
        for name, buffer in module.named_buffers(recurse=False):
            if name not in module._non_persistent_buffers_set:
                yield f"{place}.{name}".lstrip("."), buffer


def _count(tensor: Any) -> int:
    """Number of weights; of a 4-bit tensor, before it was packed."""
    state = getattr(tensor, "quant_state", None)
    return int(tensor.numel() if state is None else state.shape.numel())


def _merged(model: nn.Module, name: str, tensor: Any, dtype: torch.dtype) -> Tensor:
    """A tensor as the model computes with it, with what the adapter adds, on the CPU."""
    state = getattr(tensor, "quant_state", None)
    if state is not None:
        from bitsandbytes.functional import dequantize_4bit

        tensor = dequantize_4bit(tensor.data, state)
    place, _, kind = name.rpartition(".")
    layer: Any = model.get_submodule(place)
    whole: Tensor = tensor.detach()
    if kind == "weight" and hasattr(layer, "lora_A"):
        whole = whole.float()
        for adapter in layer.active_adapters:
            whole = whole + layer.get_delta_weight(adapter).float()
    if not whole.is_floating_point():
        return whole.cpu().contiguous()
    rounded = whole.to(dtype).cpu().contiguous()
    if not rounded.isfinite().all():
        raise BackboneError(
            f"{name}: expected weights that fit {str(dtype).removeprefix('torch.')}, found larger ones. "
            "Export the adapter instead (--to adapter)."
        )
    # A copy: weights of one storage would be refused.
    return rounded.clone() if rounded.data_ptr() == tensor.data_ptr() else rounded


def _as_stored(model: Any, shard: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names, and in the form, that files of this kind of model have."""
    from transformers.core_model_loading import revert_weight_conversion

    if getattr(model, "hf_quantizer", None) is not None and model.hf_quantizer.pre_quantized:
        model._weight_conversions = None  # those of the packed weights
    return dict(revert_weight_conversion(model, dict(shard)))
