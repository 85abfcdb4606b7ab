"""Copies of small tensors to a GPU, which must not wait for them.

A copy from pageable memory makes the CPU wait until the GPU has done all that it was given before. Then the
GPU has nothing to do while the CPU makes the next batch. From pinned memory, the CPU only asks for the copy.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def moved(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """The tensors, all int64 and on the CPU, on `device`: copied as one block, without waiting for it."""
    if device.type == "cpu":
        return list(tensors)
    block = as_block(tensors)
    if device.type == "cuda":
        block = block.pin_memory()
    return from_block(block.to(device, non_blocking=True), [tensor.shape for tensor in tensors])


def as_block(tensors: Sequence[Tensor]) -> Tensor:
    """All values, one tensor after another: int64 [sum of their sizes]."""
    return torch.cat([tensor.flatten() for tensor in tensors])


def from_block(block: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """The tensors of these shapes that `as_block` has put together, as views of the block."""
    parts = block.split([math.prod(shape) for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
