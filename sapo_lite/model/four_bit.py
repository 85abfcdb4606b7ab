"""4-bit layers of bitsandbytes, kept from repacking their weights.

On a CPU with avx512_bf16, bitsandbytes repacks a layer's weights in place at the first forward pass in
evaluation mode without gradients, and never undoes it: every later backward pass through the layer is wrong.
The repacked weights are also rounded to bfloat16. A switch of the layer turns this off.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

_SWITCH = "support_avx512bf16_for_cpu"
# Attributes that a layer's first forward pass sets from its input.
_SETTLED = ("compute_dtype", "compute_type_is_set")


def stop_repacking(model: Any) -> None:
    """Switch repacking off in every 4-bit layer of the model. Layers repacked before stay repacked."""
    for layer in _layers(model):
        setattr(layer, _SWITCH, False)


@contextlib.contextmanager
def without_repacking(model: Any) -> Iterator[None]:
    """Context in which no 4-bit layer is repacked; afterwards all layers are in the state they had before."""
    layers = _layers(model)
    found = [{name: vars(layer)[name] for name in (_SWITCH, *_SETTLED)} for layer in layers]
    # The first forward pass may round a bias to the compute type, in place.
    biases = [(layer.bias, layer.bias.data) for layer in layers if layer.bias is not None]
    stop_repacking(model)
    try:
        yield
    finally:
        for layer, state in zip(layers, found, strict=True):
            vars(layer).update(state)
        for bias, values in biases:
            bias.data = values


def is_repacked(model: Any) -> bool:
    """Whether an earlier forward pass has repacked weights, which are then bfloat16 in effect."""
    states = (getattr(layer.weight, "quant_state", None) for layer in _layers(model))
    return any(getattr(state, "packing_format_for_cpu", False) for state in states)


def _layers(model: Any) -> list[Any]:
    return [module for module in model.modules() if _SWITCH in vars(module)]
