"""The gradient of a task's loss on the open LoRA block, without a step: how strongly training begins."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor, nn

from sapo_lite.errors import TrainingError
from sapo_lite.learning.passes import add_up_gradients
from sapo_lite.learning.rows import RowBatcher
from sapo_lite.model.memory import training_budget
from sapo_lite.types import TrainingSet

if TYPE_CHECKING:
    from sapo_lite.learning.adapters.blocks import BlockAdapter
    from sapo_lite.model.backbone import Backbone


def gradient_norm(
    backbone: "Backbone", adapter: "BlockAdapter", training_set: TrainingSet, batch_size: int
) -> float:
    """Norm of the gradient of the mean loss of all rows, with respect to A and B of the open block.

    The loss is in nats per answer token, without the adapter's penalty. In a new block B is 0, so that only
    B has a gradient. Dropout is off. Rows have their own instruction, not those of a schedule.
    Weights, gradients, modes and random generators are left as they were found.

    batch_size: rows of a forward and backward pass, as micro batches in training

    Raises:
        TrainingError: it is not finite, or memory does not suffice for a single row.
    """
    return joint_gradient_norm(backbone, adapter, [training_set], batch_size)


def joint_gradient_norm(
    backbone: "Backbone", adapter: "BlockAdapter", training_sets: Sequence[TrainingSet], batch_size: int
) -> float:
    """`gradient_norm` of several training sets that are learned together."""
    # Without dropout, packs give exactly the gradients of padded batches.
    rows = RowBatcher(backbone, [replace(one, schedule=None) for one in training_sets], pack=True)
    weights = [weight for pair in adapter.pairs for weight in pair]
    numbers = range(len(rows.encoded))
    with gradients_without_dropout(backbone, weights):
        add_up_gradients(
            rows,
            numbers,
            weights,
            partial(_backward, rows),
            most=batch_size,
            budget=training_budget(backbone, checkpointing=False, dropout=False, packed=True),
            too_long=_no_memory_for,
        )
        # Hooks of the adapter have zeroed what does not belong to the open block.
        squares = [
            weight.grad.double().square().sum().item() for weight in weights if weight.grad is not None
        ]
    norm = math.sqrt(math.fsum(squares)) / rows.tokens(numbers)
    if not math.isfinite(norm):
        ids = ", ".join(one.task.id for one in training_sets)
        raise TrainingError(
            f"{ids}: the gradient of the loss before training has the norm {norm}. Expected a finite one: "
            "look at the task's rows, or compute with model.dtype = 'float32'."
        )
    return norm


def _backward(rows: RowBatcher, part: Sequence[int]) -> Tensor:
    loss = rows.nll(part)
    loss.backward()
    return loss.detach()


def _no_memory_for(row: int) -> TrainingError:
    return TrainingError(
        f"Memory does not suffice for the gradient of training row {row} (0-based). Set "
        "training.gradient_norm = false, or lower model.max_source_tokens."
    )


@contextmanager
def gradients_without_dropout(backbone: "Backbone", weights: Sequence[nn.Parameter]) -> Iterator[None]:
    """Evaluation mode, except for modules that recompute their activations only in training mode.

    The weights have no gradients at the start. Modes and gradients are put back at the end.
    """
    modes = [(module, module.training) for module in backbone.model.modules()]
    before = [weight.grad for weight in weights]
    backbone.model.eval()
    for module, _ in modes:
        module.training = bool(vars(module).get("gradient_checkpointing"))
    _put_back(weights, [None] * len(weights))
    try:
        yield
    finally:
        _put_back(weights, before)
        for module, mode in modes:
            module.training = mode


def _put_back(weights: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient
