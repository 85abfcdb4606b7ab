"""The LoRA of a model: its layers, and the weights that are learned."""

from typing import Any

import torch
from torch import nn


def lora_layers(model: Any) -> dict[str, Any]:
    """Layers with a LoRA, by their names in the model."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}


def lora_pairs(model: Any) -> dict[str, tuple[nn.Parameter, nn.Parameter]]:
    """(A: [rank, d_in], B: [d_out, rank]) of all layers with the LoRA that is learned, by layer."""
    layers = {name: layer for name, layer in lora_layers(model).items() if "default" in layer.lora_A}
    return {
        name: (layer.lora_A["default"].weight, layer.lora_B["default"].weight)
        for name, layer in layers.items()
    }


def clear(model: Any) -> None:
    """Set all weights of the LoRA to zeros in float32."""
    for pair in lora_pairs(model).values():
        for weight in pair:
            weight.data = torch.zeros_like(weight, dtype=torch.float32)
