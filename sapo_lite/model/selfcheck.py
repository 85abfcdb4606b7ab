"""Is this model, on this machine, what the loss takes it for? Asked once, on a few rows of the run itself.

Two things are taken for granted elsewhere and would be wrong without a word: that logits are the
vocabulary projection of the decoder's states, and that packs give what plain forward passes give.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sapo_lite.errors import BackboneError
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import batches, packed, shared_prefix
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.loss import token_nll
from sapo_lite.model.memory import out_of_memory

# Rows that are compared: enough for a pack of several suffixes, few enough for any machine.
ROWS = 4
# Largest difference of an example's loss (relative above 1 nat) and of the gradient as a whole. Rounding
# does less by far; a suffix that sees its neighbour, or positions that go wrong, do far more.
TOLERANCE = {torch.float32: (1e-4, 1e-3), torch.bfloat16: (0.05, 0.06)}
# Of a loss when nothing but other rows of its pack changes. It was 0 to the bit, also in bfloat16.
LEAK = 1e-6

# Tokens on which the backbone is compared with the model itself: few, for logits of the whole vocabulary.
_COMPARED = 64
# Largest relative difference of their logits. They were equal to the bit wherever it was tried, also in
# bfloat16; a factor, a cap or virtual tokens that the backbone leaves out do more. Unsloth's CUDA forward,
# which was not tried, may round in other places.
_TOLERANCE, _FUSED_TOLERANCE = 2e-3, 1e-2


def check_packs(backbone: Backbone, rows: Sequence[EncodedRow], *, gradients: bool) -> str | None:
    """Compare packs of the first rows with the rows alone; where they differ, use packs no more.

    Losses are compared and, if asked for, the gradients of all weights that have one. Returns what
    to tell the user when packs had to be given up.
    """
    if not backbone.packs:
        return "this model's attention does not reach over whole rows: using padded batches, which are slower"
    try:
        difference = _difference(backbone, rows[:ROWS], gradients)
    except Exception as error:  # whatever a model that was never tried may raise
        if out_of_memory(error):
            return None  # this says nothing of packs
        difference = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if difference is None:
        return None
    backbone.packs = False
    return f"this model does not take packs ({difference}): using padded batches, which are slower"


def _difference(backbone: Backbone, rows: Sequence[EncodedRow], gradients: bool) -> str | None:
    """What differs by more than rounding, in words."""
    of_loss, of_gradient = TOLERANCE[backbone.dtype]
    weights = [p for p in backbone.model.parameters() if p.requires_grad and gradients]
    was_training = backbone.model.training
    backbone.model.eval()  # dropout would draw other masks for packs
    try:
        with torch.set_grad_enabled(bool(weights)):
            together, together_gradient = _losses(backbone, rows, weights, pack=True)
            alone, gradient = _losses(backbone, rows, weights, pack=False)
        leak = _leak(backbone, rows)
    finally:
        backbone.model.train(was_training)
    loss_error = ((together - alone).abs() / alone.abs().clamp(min=1.0)).max().item()
    if not loss_error <= of_loss:  # also where it is not a number
        return f"losses differ by {loss_error:.2g}, expected at most {of_loss}"
    gradient_error = ((together_gradient - gradient).norm() / gradient.norm().clamp(min=1e-12)).item()
    if not gradient_error <= of_gradient:
        return f"gradients differ by {gradient_error:.2g}, expected at most {of_gradient}"
    if not leak <= LEAK:
        return f"a row's loss changes by {leak:.2g} with the rows beside it"
    return None


def _leak(backbone: Backbone, rows: Sequence[EncodedRow]) -> float:
    """How much the last row's loss changes, relatively, when the rows before it in a pack do."""
    prefix = shared_prefix(rows)
    others = [EncodedRow(row.ids[:prefix] + row.ids[prefix:][::-1], row.answer_start) for row in rows[:-1]]
    last = len(rows) - 1
    losses = []
    for beside in (rows[:-1], others):
        batch = packed([*beside, rows[-1]], range(len(rows)), prefix).to(backbone.device)
        with torch.no_grad():
            losses.append(token_nll(backbone, batch)[batch.owners == last].sum())
    return ((losses[0] - losses[1]).abs() / losses[0].abs().clamp(min=1.0)).item()


def _losses(
    backbone: Backbone, rows: Sequence[EncodedRow], weights: Sequence[Tensor], *, pack: bool
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


def require_plain_logits(backbone: Backbone, ids: tuple[int, ...]) -> None:
    """Compare logits with the model's own on the first tokens of a row.

    The backbone runs decoder and vocabulary projection by themselves, since logits are wanted at answers
    alone. A model that scales or caps its logits, or puts virtual tokens before its input, does more.

    Raises:
        BackboneError: they differ, or the model does not run in parts at all.
    """
    fed = torch.tensor([ids[:_COMPARED]], device=backbone.device)
    columns = torch.arange(fed.shape[1], device=backbone.device)
    name = type(backbone.causal_lm).__name__
    try:
        with backbone.inference(), backbone.autocast():
            # The class's forward: accelerate puts one with its own autocast over it, on the instance.
            model = getattr(backbone.model, "_orig_mod", backbone.model)  # inside torch.compile's wrapper
            own = type(model).forward(model, input_ids=fed, use_cache=False).logits[0].float()
            ours = backbone.head(backbone.answer_states(fed, torch.zeros_like(columns), columns)).float()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BackboneError(f"{name} cannot be scored: {type(error).__name__}: {reason}") from error
    tolerance = _FUSED_TOLERANCE if backbone.fused else _TOLERANCE
    # Also where something is not a number.
    if own.shape != ours.shape or not (own - ours).norm() <= tolerance * own.norm():
        raise BackboneError(
            f"{name} cannot be scored: expected logits that are its vocabulary projection and no more, found "
            "others (models that scale or cap them, and adapters with virtual tokens, are not supported)"
        )
