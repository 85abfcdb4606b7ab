"""Start-up check of the model: logits == head(hidden states), batched == alone, packed == unpacked.

It runs once, on rows of the run itself. The rest of the code relies on three facts, and would silently give
wrong losses without them: logits are what the head makes of the decoder's states, a row's loss does not
depend on the other rows of its batch, and packs give the losses of plain forward passes. Faults show where
rows differ most (a sliding window that is shorter than a row, positions that are scaled beyond a length), so
the shortest and the longest row are always compared.
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
from sapo_lite.model.batching import AnswerBatch, Group, batches, packed, padded, shared_prefix
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.loss import token_nll
from sapo_lite.model.memory import out_of_memory, token_budget
from sapo_lite.model.rounding import beyond_rounding, tolerance

# Number of rows that are compared one by one: few enough for any machine. Other rows fill up the pack.
ROWS = 4
# Largest allowed change of a loss when only other rows of its pack change. Measured: exactly 0, also in
# bfloat16.
LEAK = 1e-6

# Largest allowed relative difference between logits and the model's own. Measured: bit-identical in all
# trials, also in bfloat16. Virtual tokens or other work of an adapter that the backbone leaves out cause
# more. Unsloth's CUDA forward was not tried; it may round in other places.
_TOLERANCE, _FUSED_TOLERANCE = 2e-3, 1e-2


def extremes(rows: Sequence[EncodedRow]) -> list[EncodedRow]:
    """The shortest and the longest row, or the only one."""
    by_length = sorted(rows, key=lambda row: len(row.ids))
    return [by_length[0], by_length[-1]] if len(by_length) > 1 else by_length


def check_batches(backbone: Backbone, rows: Sequence[EncodedRow]) -> str | None:
    """Compare the shortest and the longest row in one padded batch with the rows alone.

    Returns the difference in words, or None. If there is one, compute rows one by one (`read_rows_alone`).
    """
    compared = extremes(rows)
    if len(compared) < 2:
        return None
    shortest, longest = (len(row.ids) - 1 for row in compared)  # the last token is not fed
    limit = _longrope_limit(backbone)
    if shortest <= limit < longest:  # known without a trial, which might pass for rounding in bfloat16
        return f"its positions change as soon as one is longer than {limit:.0f} tokens"
    return tried(partial(_padding_difference, backbone, compared))


def read_rows_alone(backbone: Backbone) -> None:
    """From now on every forward pass for losses has one row."""
    backbone.packs = False
    backbone.budget_share = 0.0


def check_packs(backbone: Backbone, rows: Sequence[EncodedRow], *, gradients: bool) -> str | None:
    """Compare packs of the rows with the rows alone; if they differ, switch packs off.

    Losses are compared in a pack as full as the run will use, made of the shortest rows, the longest one and
    the first others. With `gradients`, the gradients of all trainable weights are compared too, in a pack of
    only the compared rows. Returns a notice for the user if packs are switched off.
    """
    if not backbone.packs:
        return "this model's attention does not reach over whole rows: using padded batches, which are slower"
    compared = _compared(rows)
    # Pairs of trials: the second one runs if memory does not suffice for the first.
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
    backbone.model.eval()  # dropout would draw different masks for packs
    try:
        difference = next(filter(None, starmap(tried, trials)), None)
    finally:
        backbone.model.train(was_training)
    if difference is None:
        return None
    backbone.packs = False
    return f"this model does not take packs ({difference}): using padded batches, which are slower"


def tried(*trials: Callable[[], str | None]) -> str | None:
    """Result of the first trial that fits in memory: a difference beyond rounding, or an error, in words."""
    for trial in trials:
        try:
            return trial()
        except Exception as error:  # an untried model may raise anything
            if not out_of_memory(error):
                return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None  # too little memory proves nothing about the model


def _compared(rows: Sequence[EncodedRow]) -> list[EncodedRow]:
    """At most ROWS rows, in order of length: the two shortest, the longest and the first others."""
    by_length = sorted(rows, key=lambda row: len(row.ids))
    ends = by_length if len(rows) < ROWS else [*by_length[:2], by_length[-1]]
    others = [row for row in rows if not any(row is end for end in ends)]
    return sorted([*ends, *others[: ROWS - len(ends)]], key=lambda row: len(row.ids))


def _shortest_second(rows: Sequence[EncodedRow]) -> list[EncodedRow]:
    """Rows in order of length with the first two swapped.

    A chunk of the pack's attention that holds several rows holds at least the two shortest. In this order the
    shortest row has another row before it in the chunk.
    """
    return [*rows[1:2], *rows[:1], *rows[2:]]


def _padding_difference(backbone: Backbone, rows: Sequence[EncodedRow]) -> str | None:
    batch = padded(rows, range(len(rows))).to(backbone.device)
    with backbone.inference():
        return _apart(backbone, _summed(backbone, batch, len(rows)), partial(_alone, backbone, rows))


def _longrope_limit(backbone: Backbone) -> float:
    """Length in tokens above which LongRoPE rotates a batch differently; infinite in other models."""
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
    for order, groups in ((chosen, 1), (_shortest_second(chosen), 2)):
        batch = packed(order, _in_groups(len(order), groups, prefix)).to(backbone.device)
        own = [next(n for n, row in enumerate(order) if row is one) for one in compared]
        with torch.no_grad():
            together.append(_summed(backbone, batch, len(order))[own])
    with torch.no_grad():
        return _apart(backbone, torch.cat(together), lambda: _alone(backbone, compared).repeat(2))


def _in_groups(rows: int, groups: int, prefix: int) -> list[Group]:
    """Rows 0, 1, ... in groups of like size, each with the prefix of its own: a pack may hold several."""
    count = math.ceil(rows / groups)
    return [Group(prefix, range(start, min(start + count, rows))) for start in range(0, rows, count)]


def _filled(
    backbone: Backbone, rows: Sequence[EncodedRow], compared: Sequence[EncodedRow], prefix: int
) -> list[EncodedRow]:
    """The compared rows and as many others as a pack holds, in the pack's order (by length)."""
    room = backbone.budget_share * token_budget(backbone) - 2 * prefix  # once for each of two groups
    room -= sum(len(row.ids) - 1 - prefix for row in compared)
    chosen = list(compared)
    for row in rows:
        length = len(row.ids) - 1 - prefix
        if length <= room and not any(row is one for one in compared):
            chosen.append(row)
            room -= length
    return sorted(chosen, key=lambda row: len(row.ids))


def _apart(backbone: Backbone, together: Tensor, alone: Callable[[], Tensor]) -> str | None:
    def error(found: Tensor, exact: Tensor) -> float:
        return ((found - exact).abs() / exact.abs().clamp(min=1.0)).max().item()

    return beyond_rounding(backbone, "losses", tolerance(backbone)[0], error, together, alone)


def _gradient_difference(
    backbone: Backbone, rows: Sequence[EncodedRow], weights: Sequence[Tensor]
) -> str | None:
    def error(found: Tensor, exact: Tensor) -> float:
        return ((found - exact).norm() / exact.norm().clamp(min=1e-12)).item()

    gradient = _gradient(backbone, rows, weights, pack=True)
    alone = partial(_gradient, backbone, rows, weights, pack=False)
    return beyond_rounding(backbone, "gradients", tolerance(backbone)[1], error, gradient, alone)


def _leak(backbone: Backbone, rows: Sequence[EncodedRow]) -> str | None:
    """Whether the shortest row's loss changes when the other rows of its pack do."""
    prefix = shared_prefix(rows)
    order = _shortest_second(rows)
    own = min(1, len(rows) - 1)
    others = [EncodedRow(row.ids[:prefix] + row.ids[prefix:][::-1], row.answer_start) for row in order]
    losses = []
    for beside in (order, others):
        batch = packed([*beside[:own], rows[0], *beside[own + 1 :]], [Group(prefix, range(len(rows)))])
        with torch.no_grad():
            losses.append(_summed(backbone, batch.to(backbone.device), len(rows))[own])
    leak = ((losses[0] - losses[1]).abs() / losses[0].abs().clamp(min=1.0)).item()
    return None if leak <= LEAK else f"a row's loss changes by {leak:.2g} with the rows beside it"


def _alone(backbone: Backbone, rows: Sequence[EncodedRow]) -> Tensor:
    """Summed NLL of each row, one row a batch, without padding: float32 [rows]."""
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
    half = math.ceil(len(rows) / 2)
    groups = [range(half), range(half, len(rows))]  # a pack may hold several
    # If packs are off: one row a batch.
    for batch in batches(backbone, rows, groups=groups, pack=pack, tokens=None if pack else 1):
        losses = losses + token_nll(backbone, batch).sum()
    gradients = torch.autograd.grad(losses, weights, allow_unused=True)
    return torch.cat([g.flatten().float().cpu() for g in gradients if g is not None])


def require_plain_logits(backbone: Backbone, rows: Sequence[EncodedRow]) -> None:
    """Compare logits with the model's own at the answers of the shortest and the longest row.

    The backbone calls decoder and head separately, since only logits at answers are needed. An adapter that
    puts virtual tokens before the input, or that acts only from a certain token on, does more than that.

    Raises:
        BackboneError: they differ, or decoder and head cannot run separately.
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
        # Also true for NaN.
        if own.shape != ours.shape or not (own - ours).norm() <= tolerance * own.norm():
            raise BackboneError(
                f"{name} cannot be scored: expected the logits of its own forward pass, found others "
                "(adapters that add virtual tokens or act on a part of the input alone are not supported)"
            )


def _own_logits(backbone: Backbone, batch: AnswerBatch) -> Tensor:
    """Logits of one row at its answer from the whole model, wrappers included: float32 [A, vocabulary]."""
    count = len(batch.columns)
    # Otherwise the model computes logits of the whole vocabulary at every token of a long row.
    known = signature(type(backbone.causal_lm).forward).parameters
    options: dict[str, Any] = {"logits_to_keep": count} if "logits_to_keep" in known else {}
    # The forward of the class: accelerate replaces the instance's by one with its own autocast.
    model = getattr(backbone.model, "_orig_mod", backbone.model)  # inside torch.compile's wrapper
    own = type(model).forward(model, input_ids=batch.ids, use_cache=False, **options)
    logits: Tensor = own.logits[0, -count:].float()
    return logits
