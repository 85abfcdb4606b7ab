"""Gradients of an optimiser step that several ranks compute, each of some of its rows.

A loss is a sum over answer tokens, divided by the number of them in the whole step: so is its gradient, and
the sum over the ranks is that of one process. DistributedDataParallel would take the mean over ranks of every
backward pass, of which a step has several: here, sums are added once.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.passes import Backward, Passes, add_up_gradients
from sapo_lite.learning.rows import RowBatcher, RowPart
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.load import load_backbone
from sapo_lite.model.lora import clear, lora_pairs
from sapo_lite.model.memory import holds_layer_inputs

if TYPE_CHECKING:
    from sapo_lite.recipe import AdapterConfig, ModelConfig

Pairs = Sequence[tuple[nn.Parameter, nn.Parameter]]


@dataclass(frozen=True)
class _Share:
    """What a rank needs for its gradient.

    tokens: number of answer tokens of the whole step
    open: rows of the LoRA that are learned
    seed: of the masks of dropout
    limits: of a pass, as for add_up_gradients
    """

    part: RowPart
    tokens: int
    open: slice
    seed: int
    limits: dict[str, Any]


def add_up_over_ranks(
    rows: RowBatcher,
    numbers: Sequence[int],
    adapter: BlockAdapter,
    backward: Backward,
    tokens: int,
    seed: str,
    limits: dict[str, Any],
) -> Passes:
    """`add_up_gradients` of an optimiser step, with the other ranks of the run if it has any.

    backward: that of this process
    tokens: number of answer tokens of the whole step
    seed: of the step; each rank draws masks of dropout of its own
    limits: of a pass, as for add_up_gradients
    """
    parts = rows.divided(numbers)
    weights = [weight for pair in adapter.pairs for weight in pair]
    ranks = rows.backbone.ranks
    if ranks is None or len(parts) == 1:
        return add_up_gradients(rows, parts[0], weights, backward, **limits)
    shares = [
        _Share(
            rows.part(own), tokens, adapter.active, random.Random(f"{seed}/{rank}").getrandbits(32), limits
        )
        for rank, own in enumerate(parts)
    ]

    def own() -> tuple[Passes, Tensor]:
        passes = add_up_gradients(rows, parts[0], weights, backward, **limits)
        return passes, _gradient(adapter.pairs, adapter.active)

    found, gradient = ranks.map(_on_a_rank, shares, own)
    assert gradient is not None
    _set_gradient(adapter.pairs, adapter.active, gradient)
    return Passes(
        [part for passes in found for part in passes.rows],
        [loss.to(gradient.device) for passes in found for loss in passes.losses],
        all(passes.finite for passes in found),
    )


def _on_a_rank(backbone: Backbone, share: _Share) -> tuple[Passes, Tensor]:
    rows = RowBatcher.of_part(backbone, share.part)
    pairs = list(lora_pairs(backbone.model).values())
    torch.manual_seed(share.seed)
    backbone.model.train()

    def backward(part: list[int]) -> Tensor:
        loss = rows.nll(part) / share.tokens
        loss.backward()
        return torch.stack([loss.detach(), torch.zeros_like(loss)])

    weights = [weight for pair in pairs for weight in pair]
    passes = add_up_gradients(rows, list(share.part.rows), weights, backward, **share.limits)
    losses = [loss.cpu() for loss in passes.losses]
    return Passes(passes.rows, losses, passes.finite), _gradient(pairs, share.open)


def _gradient(pairs: Pairs, open_rows: slice) -> Tensor:
    """The gradient of the open rows of each A, and columns of each B: float32 [their number]."""
    found = []
    for a, b in pairs:
        zeros = torch.zeros_like
        found.append((zeros(a) if a.grad is None else a.grad)[open_rows].flatten())
        found.append((zeros(b) if b.grad is None else b.grad)[:, open_rows].flatten())
    return torch.cat(found)


def _set_gradient(pairs: Pairs, open_rows: slice, gradient: Tensor) -> None:
    for a, b in pairs:
        for weight, place in ((a, (open_rows, slice(None))), (b, (slice(None), open_rows))):
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            own = weight.grad[place]
            own.copy_(gradient[: own.numel()].view_as(own))
            gradient = gradient[own.numel() :]


def learner(model: "ModelConfig", config: "AdapterConfig", *, blocks: int, checkpointing: bool) -> Backbone:
    """The backbone of another rank, with a LoRA of zeros, ready for training as the Trainer makes it."""
    backbone = load_backbone(model)
    backbone.attach_lora(
        config,
        rank=config.rank * blocks,
        alpha=config.alpha * blocks,
        checkpointing=checkpointing,
        offload=not holds_layer_inputs(backbone),
    )
    clear(backbone.model)
    if checkpointing and backbone.config.loader != "unsloth":
        backbone.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return backbone
