"""Is this model, on this machine, what the loss takes it for? Asked once, on rows of the run itself.

Three things are taken for granted elsewhere and would be wrong without a word: that logits are the
vocabulary projection of the decoder's states, that a row's loss does not depend on the rows of its batch, and
that packs give what plain forward passes give. Faults show where rows differ most (a window of attention that
is shorter than a row, positions that are scaled beyond a length), so the shortest and the longest row are
always among those compared.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from itertools import starmap
from typing import Any

import torch
from torch import Tensor

from sapo_lite.errors import BackboneError
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import AnswerBatch, batches, packed, padded, shared_prefix
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.four_bit import is_repacked
from sapo_lite.model.loss import token_nll
from sapo_lite.model.memory import out_of_memory, token_budget

# Rows that are compared one by one: few enough for any machine. Others fill the pack around them.
ROWS = 4
# Largest difference of an example's loss (relative above 1 nat) and of the gradient as a whole. Rounding
# does less by far; a suffix that sees its neighbour, or positions that go wrong, do far more.
TOLERANCE = {torch.float32: (1e-4, 1e-3), torch.bfloat16: (0.05, 0.06)}
# Of a loss when nothing but other rows of its pack changes. It was 0 to the bit, also in bfloat16.
LEAK = 1e-6

# Largest relative difference of logits from the model's own. They were equal to the bit wherever it was
# tried, also in bfloat16; a factor, a cap, virtual tokens or an adapter's other work that the backbone leaves
# out do more. Unsloth's CUDA forward, which was not tried, may round in other places.
_TOLERANCE, _FUSED_TOLERANCE = 2e-3, 1e-2


def extremes(rows: Sequence[EncodedRow]) -> list[EncodedRow]:
    """The shortest and the longest row, or the only one."""
    by_length = sorted(rows, key=lambda row: len(row.ids))
    return [by_length[0], by_length[-1]] if len(by_length) > 1 else by_length


def check_batches(backbone: Backbone, rows: Sequence[EncodedRow]) -> str | None:
    """Compare the shortest and the longest row in one padded batch with the rows alone.

    Returns how they differ, if they do: then rows are to be read one by one (`read_rows_alone`).
    """
    compared = extremes(rows)
    if len(compared) < 2:
        return None
    shortest, longest = (len(row.ids) - 1 for row in compared)  # the last token is not fed
    limit = _longrope_limit(backbone)
    if shortest <= limit < longest:  # known without a trial, which might take it for rounding in bfloat16
        return f"its positions change as soon as one is longer than {limit:.0f} tokens"
    return _tried(partial(_padding_difference, backbone, compared))


def read_rows_alone(backbone: Backbone) -> None:
    """From now on every forward pass for losses has one row."""
    backbone.packs = False
    backbone.budget_share = 0.0


def check_packs(backbone: Backbone, rows: Sequence[EncodedRow], *, gradients: bool) -> str | None:
    """Compare packs of the rows with the rows alone; where they differ, use packs no more.

    Losses are compared in a pack as full as any will be, on the shortest rows, the longest and the first
    others. If asked for, so are the gradients of all weights that have one, in a pack of these few. Returns
    what to tell the user when packs had to be given up.
    """
    if not backbone.packs:
        return "this model's attention does not reach over whole rows: using padded batches, which are slower"
    compared = _compared(rows)
    # Each with what is tried where memory does not suffice.
    trials = [
        [partial(_loss_difference, backbone, fill, compared) for fill in (rows, compared)],
        [partial(_leak, backbone, compared)],
    ]
    weights = [p for p in backbone.model.parameters() if p.requires_grad and gradients]
    if weights:
        trials.append(
            [partial(_gradient_difference, backbone, few, weights) for few in (compared, compared[:2])]
        )
    was_training = backbone.model.training
    backbone.model.eval()  # dropout would draw other masks for packs
    try:
        difference = next(filter(None, starmap(_tried, trials)), None)
    finally:
        backbone.model.train(was_training)
    if difference is None:
        return None
    backbone.packs = False
    return f"this model does not take packs ({difference}): using padded batches, which are slower"


def _tried(*trials: Callable[[], str | None]) -> str | None:
    """What differs by more than rounding, or the error, in words. Of the first trial that fits in memory."""
    for trial in trials:
        try:
            return trial()
        except Exception as error:  # whatever a model that was never tried may raise
            if not out_of_memory(error):
                return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None  # too little memory says nothing of the model


def _compared(rows: Sequence[EncodedRow]) -> list[EncodedRow]:
    """At most ROWS rows, in order of length: the two shortest, the longest and the first others."""
    by_length = sorted(rows, key=lambda row: len(row.ids))
    ends = by_length if len(rows) < ROWS else [*by_length[:2], by_length[-1]]
    others = [row for row in rows if not any(row is end for end in ends)]
    return sorted([*ends, *others[: ROWS - len(ends)]], key=lambda row: len(row.ids))


def _shortest_second(rows: Sequence[EncodedRow]) -> list[EncodedRow]:
    """Rows in order of length with the first two swapped.

    What the attention to a pack takes at once, if it is several rows, is at least the two shortest: so the
    shortest has another before it there.
    """
    return [*rows[1:2], *rows[:1], *rows[2:]]


def _tolerance(backbone: Backbone) -> tuple[float, float]:
    """Of losses and gradients, by the coarsest type that the model computes in."""
    coarse = {torch.float16, torch.bfloat16, torch.int8}
    if is_repacked(backbone.model) or any(p.dtype in coarse for p in backbone.model.parameters()):
        return TOLERANCE[torch.bfloat16]
    return TOLERANCE[backbone.dtype]


def _padding_difference(backbone: Backbone, rows: Sequence[EncodedRow]) -> str | None:
    batch = padded(rows, range(len(rows))).to(backbone.device)
    with backbone.inference():
        return _apart(backbone, _summed(backbone, batch, len(rows)), _alone(backbone, rows))


def _longrope_limit(backbone: Backbone) -> float:
    """Tokens beyond which LongRoPE turns all positions of a batch otherwise; infinite in other models."""
    config = backbone.causal_lm.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") != "longrope":
        return math.inf
    name = "original_max_position_embeddings"
    return float(rope.get(name) or getattr(config, name, None) or math.inf)


def _loss_difference(
    backbone: Backbone, rows: Sequence[EncodedRow], compared: Sequence[EncodedRow]
) -> str | None:
    prefix = shared_prefix(rows)
    chosen = _filled(backbone, rows, compared, prefix)
    together = []
    for order in (chosen, _shortest_second(chosen)):
        batch = packed(order, range(len(order)), prefix).to(backbone.device)
        own = [next(n for n, row in enumerate(order) if row is one) for one in compared]
        with torch.no_grad():
            together.append(_summed(backbone, batch, len(order))[own])
    with torch.no_grad():
        alone = _alone(backbone, compared)
    return _apart(backbone, torch.cat(together), torch.cat([alone, alone]))


def _filled(
    backbone: Backbone, rows: Sequence[EncodedRow], compared: Sequence[EncodedRow], prefix: int
) -> list[EncodedRow]:
    """The rows to compare and as many others as a pack takes, by length as in a pack."""
    room = backbone.budget_share * token_budget(backbone) - prefix
    room -= sum(len(row.ids) - 1 - prefix for row in compared)
    chosen = list(compared)
    for row in rows:
        length = len(row.ids) - 1 - prefix
        if length <= room and not any(row is one for one in compared):
            chosen.append(row)
            room -= length
    return sorted(chosen, key=lambda row: len(row.ids))


def _apart(backbone: Backbone, together: Tensor, alone: Tensor) -> str | None:
    most = _tolerance(backbone)[0]
    error = ((together - alone).abs() / alone.abs().clamp(min=1.0)).max().item()
    # Also where it is not a number.
    return None if error <= most else f"losses differ by {error:.2g}, expected at most {most}"


def _gradient_difference(
    backbone: Backbone, rows: Sequence[EncodedRow], weights: Sequence[Tensor]
) -> str | None:
    most = _tolerance(backbone)[1]
    gradient, alone = (_gradient(backbone, rows, weights, pack=pack) for pack in (True, False))
    error = ((gradient - alone).norm() / alone.norm().clamp(min=1e-12)).item()
    return None if error <= most else f"gradients differ by {error:.2g}, expected at most {most}"


def _leak(backbone: Backbone, rows: Sequence[EncodedRow]) -> str | None:
    """Whether the shortest row's loss changes when the other rows of its pack do."""
    prefix = shared_prefix(rows)
    order = _shortest_second(rows)
    own = min(1, len(rows) - 1)
    others = [EncodedRow(row.ids[:prefix] + row.ids[prefix:][::-1], row.answer_start) for row in order]
    losses = []
    for beside in (order, others):
        batch = packed([*beside[:own], rows[0], *beside[own + 1 :]], range(len(rows)), prefix)
        with torch.no_grad():
            losses.append(_summed(backbone, batch.to(backbone.device), len(rows))[own])
    leak = ((losses[0] - losses[1]).abs() / losses[0].abs().clamp(min=1.0)).item()
    return None if leak <= LEAK else f"a row's loss changes by {leak:.2g} with the rows beside it"


def _alone(backbone: Backbone, rows: Sequence[EncodedRow]) -> Tensor:
    """Summed NLL of each row, one row a batch: no padding either. float32 [rows]."""
    each = [_summed(backbone, padded(rows, [n]).to(backbone.device), len(rows)) for n in range(len(rows))]
    return torch.stack(each).sum(0)


def _summed(backbone: Backbone, batch: AnswerBatch, rows: int) -> Tensor:
    """Summed NLL of each row of a batch, float32 [rows]."""
    losses = torch.zeros(rows, device=backbone.device)
    return losses.index_add(0, batch.owners, token_nll(backbone, batch))


def _gradient(
    backbone: Backbone, rows: Sequence[EncodedRow], weights: Sequence[Tensor], *, pack: bool
) -> Tensor:
    """The gradient of the summed NLL of all rows as one vector."""
    losses = torch.zeros((), device=backbone.device)
    # Without packs, one row a batch.
    for batch in batches(backbone, rows, pack=pack, tokens=None if pack else 1):
        losses = losses + token_nll(backbone, batch).sum()
    gradients = torch.autograd.grad(losses, weights, allow_unused=True)
    return torch.cat([g.flatten().float().cpu() for g in gradients if g is not None])


def require_plain_logits(backbone: Backbone, rows: Sequence[EncodedRow]) -> None:
    """Compare logits with the model's own at the answers of the shortest and the longest row.

    The backbone runs decoder and vocabulary projection by themselves, since logits are wanted at answers
    alone. A model that scales or caps its logits does more, and so does an adapter that puts virtual tokens
    before its input, or acts from some token of it on.

    Raises:
        BackboneError: they differ, or the model does not run in parts at all.
    """
    name = type(backbone.causal_lm).__name__
    tolerance = _FUSED_TOLERANCE if backbone.fused else _TOLERANCE
    for row in extremes(rows):
        batch = padded([row], [0]).to(backbone.device)
        try:
            with backbone.inference(), backbone.autocast():
                own = _own_logits(backbone, batch)
                ours = backbone.head(backbone.answer_states(batch.ids, batch.rows, batch.columns)).float()
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BackboneError(f"{name} cannot be scored: {type(error).__name__}: {reason}") from error
        # Also where something is not a number.
        if own.shape != ours.shape or not (own - ours).norm() <= tolerance * own.norm():
            raise BackboneError(
                f"{name} cannot be scored: expected logits that are its vocabulary projection and no more, "
                "found others (models that scale or cap them, and adapters that add virtual tokens or act on "
                "a part of the input alone, are not supported)"
            )


def _own_logits(backbone: Backbone, batch: AnswerBatch) -> Tensor:
    """Logits of one row at its answer, by the model with all that is around it: float32 [A, vocabulary]."""
    count = len(batch.columns)
    # Else logits of the whole vocabulary at every token of a long row.
    known = signature(type(backbone.causal_lm).forward).parameters
    options: dict[str, Any] = {"logits_to_keep": count} if "logits_to_keep" in known else {}
    # The class's forward: accelerate puts one with its own autocast over it, on the instance.
    model = getattr(backbone.model, "_orig_mod", backbone.model)  # inside torch.compile's wrapper
    own = type(model).forward(model, input_ids=batch.ids, use_cache=False, **options)
    logits: Tensor = own.logits[0, -count:].float()
    return logits
