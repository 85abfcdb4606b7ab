"""O-LoRA: a new block per task, kept orthogonal to the earlier ones."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sapo_lite.errors import TrainingError
from sapo_lite.learning.adapters.blocks import BlockAdapter

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone
    from sapo_lite.recipe import AdapterConfig

# Default weight of the penalty in an optimiser step: that of the original O-LoRA, whose training divides by
# the number of accumulated micro-batches. The trainer of SAPO's release adds 0.5 x penalty to each of 8
# micro-batches and does not divide, so its effective weight is 4.0.
WEIGHT = 0.5


def orthogonality(adapter: BlockAdapter) -> Tensor:
    """Sum over layers of sum |A_past @ A_new.T|, an L1 sum; A is the [rank, d_in] factor of LoRA.

    O-LoRA's penalty before its weight. Zero in the first task.
    """
    overlaps = [(a[adapter.past].detach() @ a[adapter.active].T).abs().sum() for a, _ in adapter.pairs]
    return torch.stack(overlaps).sum()


def olora(backbone: "Backbone", config: "AdapterConfig", *, tasks: int, checkpointing: bool) -> BlockAdapter:
    """O-LoRA: LoRAInc plus a penalty that keeps the new block orthogonal to the earlier ones."""
    adapter = BlockAdapter(backbone, config, blocks=tasks, checkpointing=checkpointing)
    weight = WEIGHT if config.penalty_weight is None else config.penalty_weight

    def penalty() -> Tensor:
        overlap = orthogonality(adapter)
        if adapter.active.start and not overlap:
            raise TrainingError(
                "O-LoRA: expected the new block to overlap at least a little with those of earlier tasks, "
                "found an overlap of exactly 0, so one of them is empty: start over with --fresh."
            )
        return weight * overlap

    adapter.penalty = penalty
    return adapter
