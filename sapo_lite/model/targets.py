"""Target modules: the layers of a model that LoRA is put on."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sapo_lite.errors import TrainingError
from sapo_lite.model.head import decoder_of

PUBLISHED = ("q_proj", "v_proj")

# What "auto" takes in a decoder layer: the first of these that the layer has all of. Queries and values come
# from the published modules, from a projection fused with the keys, from latent attention, or (in layers
# without attention) from what mixes tokens. PEFT has a table by model type instead, which knows few.
_IN_A_LAYER = (
    PUBLISHED,
    ("qkv_proj",),
    ("query_key_value",),
    ("c_attn",),
    ("Wqkv",),
    ("wqkv",),
    ("W_pack",),
    ("q_b_proj", "kv_b_proj"),
    ("q_proj", "kv_b_proj"),
    ("q_proj",),  # keys and values shared with another layer
    ("in_proj_qkv",),
    ("in_proj_qkvz",),
    ("in_proj",),
    ("linear_x", "linear_y"),
    ("receptance", "value"),
)


@dataclass(frozen=True)
class Targets:
    """Names of the modules, further options of PEFT's LoraConfig, and a notice for the user or None."""

    names: tuple[str, ...]
    options: dict[str, Any]
    notice: str | None = None


def choose_targets(causal_lm: Any, wanted: Literal["auto", "all-linear"] | Sequence[str]) -> Targets:
    """The modules that `adapter.target_modules` means in this model, which has no LoRA yet.

    Only the layers of the text decoder count: not the head, and not a vision tower, which no text reaches.

    Raises:
        TrainingError: the model has none of these modules.
    """
    text = decoder_of(causal_lm).get_decoder()
    layers = list(_layers(text))
    known = set[str]().union(*layers)
    notice = None
    if wanted == "auto":
        names, notice = _automatic(layers)
    else:
        names = tuple(sorted(known)) if wanted == "all-linear" else tuple(wanted)
    missing = [name for name in names if name not in known]
    if missing or not names:
        fault = f"has no linear layers called {', '.join(missing)}" if missing else "has unknown layers"
        raise TrainingError(
            f'This model\'s decoder {fault}. Set adapter.target_modules to "auto", "all-linear" or some of '
            f"{', '.join(sorted(known))}."
        )
    return Targets(names, _options(causal_lm, text, names), notice)


def _automatic(layers: Sequence[set[str]]) -> tuple[tuple[str, ...], str | None]:
    """The modules of each layer, without repeats, and a notice unless they are the published ones."""
    chosen = [next((rule for rule in _IN_A_LAYER if own.issuperset(rule)), ()) for own in layers]
    names = tuple(dict.fromkeys(name for rule in chosen for name in rule))
    if names == PUBLISHED or not names:
        return names, None
    without = sum(rule != PUBLISHED for rule in chosen)
    which = "this model has" if without == len(layers) else f"{without} of {len(layers)} layers have"
    return names, (
        f"LoRA is on {', '.join(names)}: {which} no {' and '.join(PUBLISHED)} (adapter.target_modules "
        "chooses others)"
    )


def _layers(text: Any) -> Iterator[set[str]]:
    """For each decoder layer, the names of its linear layers."""
    for part in text.children():
        for layer in part if isinstance(part, nn.ModuleList) else ():
            inner = [(*name.rpartition("."), module) for name, module in layer.named_modules() if name]
            own = {
                last
                for place, _, last, module in inner
                if _takes_lora(module) and not _is_bare_weight(layer.get_submodule(place), last)
            }
            if own:
                yield own


def _options(causal_lm: Any, text: Any, names: Sequence[str]) -> dict[str, Any]:
    """Options beside the names that PEFT needs for this model; usually none."""
    from transformers.pytorch_utils import Conv1D

    options: dict[str, Any] = {}
    every = {name: module for name, module in causal_lm.named_modules() if _last(name) in names}
    if any(isinstance(module, Conv1D) for module in every.values()):
        options["fan_in_fan_out"] = True  # its weight is [in, out]
    inside = next(name for name, module in causal_lm.named_modules() if module is text) + "."
    if not all(name.startswith(inside) for name in every):
        options["exclude_modules"] = rf"(?!{re.escape(inside)}).*"
    return options


def _takes_lora(module: nn.Module) -> bool:
    """Whether PEFT can put LoRA on the module: a linear layer, also in 4 bits, that returns one tensor."""
    from transformers.pytorch_utils import Conv1D

    if not isinstance(module, nn.Linear | Conv1D):
        return False
    if not type(module).__module__.startswith("transformers.models."):
        return True
    # A class of the model's own, such as Llama 4's router, which returns two tensors.
    with torch.no_grad():
        weight: Tensor = module.weight
        return isinstance(module(weight.new_zeros(1, weight.shape[-1])), Tensor)


def _is_bare_weight(mixer: nn.Module, name: str) -> bool:
    """Whether a state-space mixer's kernels read the layer's weight, so that LoRA there does nothing."""
    return hasattr(mixer, "conv1d") and hasattr(mixer, "D") and not name.startswith("in_proj")


def _last(name: str) -> str:
    return name.rpartition(".")[2]
