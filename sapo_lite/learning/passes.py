"""Gradients of many rows, from one forward and backward pass after another.

A loss is a sum over answer tokens, so gradients do not depend on which rows share a pass. How many do is a
matter of speed and memory alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sapo_lite.errors import TrainingError
from sapo_lite.learning.rows import RowBatcher
from sapo_lite.model.memory import fits_in_memory

# Adds the gradients of the numbered rows to the weights' own, and returns their losses, without a gradient.
Backward = Callable[[list[int]], Tensor]


@dataclass(frozen=True)
class Passes:
    """The passes that gave the weights their gradients.

    rows: numbers of the rows of each pass
    losses: of each pass, as the backward function returned them
    finite: whether all losses and gradients are finite numbers
    """

    rows: list[list[int]]
    losses: list[Tensor]
    finite: bool


def add_up_gradients(
    rows: RowBatcher,
    numbers: Sequence[int],
    weights: Sequence[Tensor],
    backward: Backward,
    *,
    most: int,
    budget: int,
    too_long: Callable[[int], TrainingError],
) -> Passes:
    """Give the weights the gradients of these rows in place of those that they have.

    If memory runs out, all rows come again in passes of half the size, which later ones keep. If packs give
    something that is not finite, all rows come again padded; if that is finite, packs are switched off.

    most, budget: rows and tokens of a pass, as in RowBatcher.passes
    too_long: the error if memory does not suffice for this row alone
    """
    again = partial(_in_passes, rows, numbers, weights, backward, most, budget, too_long)
    passes = again()
    if passes.finite or not (rows.pack and rows.backbone.packs):
        return passes
    rows.backbone.packs = False
    try:
        passes = again()
    finally:
        rows.backbone.packs = True
    if passes.finite:
        rows.backbone.stop_packing()
    return passes


def _in_passes(
    rows: RowBatcher,
    numbers: Sequence[int],
    weights: Sequence[Tensor],
    backward: Backward,
    most: int,
    budget: int,
    too_long: Callable[[int], TrainingError],
) -> Passes:
    while True:
        for weight in weights:
            weight.grad = None
        parts: list[list[int]] = []
        losses: list[Tensor] = []
        for part in rows.passes(numbers, most, budget):
            parts.append(part)
            if not fits_in_memory(lambda: losses.append(backward(part))):  # noqa: B023
                break
        if len(losses) == len(parts):
            return Passes(parts, losses, _finite([*losses, *(weight.grad for weight in weights)]))
        if len(parts[-1]) == 1:
            raise too_long(parts[-1][0])
        rows.halve(parts[-1], budget)


def _finite(tensors: Sequence[Tensor | None]) -> bool:
    """One question to the device for all passes: its answer waits until they are done."""
    found = [tensor.isfinite().all() for tensor in tensors if tensor is not None]
    return not found or bool(torch.stack(found).all())
