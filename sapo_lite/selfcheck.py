"""Do packs give what plain forward passes give, on this model and this machine?

Asked once after loading, on a few rows of the run itself: a model whose attention does otherwise
than transformers' would be scored and trained wrongly without a word.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sapo_lite.answer_loss import token_nll
from sapo_lite.backbone import Backbone
from sapo_lite.chat import Encoded
from sapo_lite.packing import batches

# Rows that are compared: enough for a pack of several suffixes, few enough for any machine.
ROWS = 4
# Largest difference of an example's loss (relative above 1 nat) and of the gradient as a whole. Rounding
# does less by far; a suffix that sees its neighbour, or positions that go wrong, do far more.
TOLERANCE = {torch.float32: (1e-4, 1e-3), torch.bfloat16: (0.05, 0.1)}


def check_packs(backbone: Backbone, rows: Sequence[Encoded], *, gradients: bool) -> str | None:
    """Compare packs of the first rows with the rows alone; where they differ, use packs no more.

    Losses are compared and, if asked for, the gradients of all weights that have one. Returns what
    to tell the user when packs had to be given up.
    """
    if not backbone.packs:
        return "this model's attention does not reach over whole rows: using padded batches, which are slower"
    try:
        difference = _difference(backbone, rows[:ROWS], gradients)
    except Exception as error:  # whatever a model that was never tried may raise
        difference = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if difference is None:
        return None
    backbone.packs = False
    return f"this model does not take packs ({difference}): using padded batches, which are slower"


def _difference(backbone: Backbone, rows: Sequence[Encoded], gradients: bool) -> str | None:
    """What differs by more than rounding, in words."""
    of_loss, of_gradient = TOLERANCE[backbone.dtype]
    weights = [p for p in backbone.model.parameters() if p.requires_grad and gradients]
    was_training = backbone.model.training
    backbone.model.eval()  # dropout would draw other masks for packs
    try:
        with torch.set_grad_enabled(bool(weights)):
            packed, packed_gradient = _losses(backbone, rows, weights, pack=True)
            alone, gradient = _losses(backbone, rows, weights, pack=False)
    finally:
        backbone.model.train(was_training)
    loss_error = ((packed - alone).abs() / alone.abs().clamp(min=1.0)).max().item()
    if not loss_error <= of_loss:  # also where it is not a number
        return f"losses differ by {loss_error:.2g}, expected at most {of_loss}"
    gradient_error = ((packed_gradient - gradient).norm() / gradient.norm().clamp(min=1e-12)).item()
    if not gradient_error <= of_gradient:
        return f"gradients differ by {gradient_error:.2g}, expected at most {of_gradient}"
    return None


def _losses(
    backbone: Backbone, rows: Sequence[Encoded], weights: Sequence[Tensor], *, pack: bool
) -> tuple[Tensor, Tensor]:
    """Summed NLL of each row, float32 [rows], and the gradient of all of them as one vector."""
    losses = torch.zeros(len(rows), device=backbone.device)
    # Without packs, one row a batch: no padding either.
    for batch in batches(backbone, rows, pack=pack, tokens=None if pack else 1):
        losses = losses.index_add(0, batch.owners, token_nll(backbone, batch))
    if not weights:
        return losses.detach(), torch.zeros(1)
    gradients = torch.autograd.grad(losses.sum(), weights, allow_unused=True)
    return losses.detach(), torch.cat([g.flatten().float().cpu() for g in gradients if g is not None])
