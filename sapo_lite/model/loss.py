"""The negative log-likelihood of answers: the one loss of scoring and training.

The vocabulary projection is computed in chunks and at answer tokens only, the cross-entropy in float32.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import Tensor

from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import AnswerBatch, in_batches
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.footprint import HEAD_ROWS
from sapo_lite.model.ranks import LEAST


def token_nll(backbone: "Backbone", batch: AnswerBatch, temperature: float = 1.0) -> Tensor:
    """Negative log-likelihood of every answer token, in nats: float32 [A]. Differentiable.

    At a temperature other than 1: under the distribution that sampling at that temperature uses.
    """
    answers = backbone.answer_states(batch.ids, batch.rows, batch.columns, batch.layout)

    def head_nll(h: Tensor, targets: Tensor) -> Tensor:
        with backbone.autocast():
            logits = backbone.head(h)
        return F.cross_entropy(logits.float() / temperature, targets, reduction="none")

    pieces = [
        # In training, logits are recomputed in the backward pass and not kept.
        _checkpoint(head_nll, h, t) if torch.is_grad_enabled() else head_nll(h, t)
        for h, t in zip(answers.split(HEAD_ROWS), batch.targets.split(HEAD_ROWS), strict=True)
    ]
    return torch.cat(pieces)


def _checkpoint(work: Callable[..., Tensor], *given: Tensor) -> Tensor:
    """The result of `work`, computed again in the backward pass instead of kept.

    Unsloth replaces torch's function by one that offloads and is reentrant, so that `autograd.grad` raises.
    """
    ours = torch.utils.checkpoint
    function: Any = getattr(ours, "_unsloth_pristine_checkpoint", ours.checkpoint)
    result: Tensor = function(work, *given, use_reentrant=False)
    return result


def answer_nll(
    backbone: Backbone,
    encoded: Sequence[EncodedRow],
    batch_tokens: int | None = None,
    *,
    groups: Sequence[Sequence[int]] | None = None,
    on_rows: Callable[[int], None] = lambda _: None,
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Summed answer NLL in nats and number of answer tokens of each row, in the given order.

    groups: numbers of rows that share a beginning, as for `batches`
    on_rows: called with the number of rows of every batch once its pass is begun: a GPU may still be at it
    """
    ranks = backbone.ranks
    whose = [] if ranks is None else ranks.divide([len(row.ids) for row in encoded], LEAST)
    if ranks is None or len(whose) == 1:
        return _answer_nll(backbone, encoded, batch_tokens, groups, on_rows)
    parts = [_Part([encoded[n] for n in own], _within(groups, own), batch_tokens) for own in whose]
    found, _ = ranks.map(_on_a_rank, parts, partial(_on_a_rank, backbone, parts[0], on_rows))
    on_rows(len(encoded) - len(whose[0]))
    nll_sum, tokens = zip(*found, strict=True)
    return tuple(chain(*nll_sum)), tuple(chain(*tokens))


@dataclass(frozen=True)
class _Part:
    """Rows that a rank scores, as for `answer_nll`."""

    encoded: list[EncodedRow]
    groups: list[list[int]] | None
    batch_tokens: int | None


def _within(groups: Sequence[Sequence[int]] | None, own: range) -> list[list[int]] | None:
    """The groups among a part of the rows."""
    if groups is None:
        return None
    return [[n - own.start for n in group if n in own] for group in groups]


def _on_a_rank(
    backbone: Backbone, part: _Part, on_rows: Callable[[int], None] = lambda _: None
) -> tuple[Any, None]:
    return _answer_nll(backbone, part.encoded, part.batch_tokens, part.groups, on_rows), None


def _answer_nll(
    backbone: Backbone,
    encoded: Sequence[EncodedRow],
    batch_tokens: int | None,
    groups: Sequence[Sequence[int]] | None,
    on_rows: Callable[[int], None],
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    def measure(batch: AnswerBatch) -> Tensor:
        return token_nll(backbone, batch)[None]

    (sums,) = _row_sums(backbone, encoded, measure, 1, batch_tokens, groups, on_rows)
    return tuple(sums), tuple(len(e.answer_ids) for e in encoded)


def greedy_answer_nll(
    backbone: Backbone, encoded: Sequence[EncodedRow]
) -> tuple[tuple[float, ...], tuple[bool, ...]]:
    """Summed answer NLL in nats of each row, and whether all its answer tokens are the most likely ones."""

    def measure(batch: AnswerBatch) -> Tensor:
        states = backbone.answer_states(batch.ids, batch.rows, batch.columns, batch.layout)
        pieces = []
        for h, targets in zip(states.split(HEAD_ROWS), batch.targets.split(HEAD_ROWS), strict=True):
            with backbone.autocast():
                logits = backbone.head(h).float()
            nll = F.cross_entropy(logits, targets, reduction="none")
            pieces.append(torch.stack([nll, (logits.argmax(-1) != targets).float()]))
        return torch.cat(pieces, dim=1)

    nll, missed = _row_sums(backbone, encoded, measure, 2)
    return tuple(nll), tuple(count == 0 for count in missed)


def _row_sums(
    backbone: Backbone,
    encoded: Sequence[EncodedRow],
    measure: Callable[[AnswerBatch], Tensor],
    kinds: int,
    tokens: int | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    on_rows: Callable[[int], None] = lambda _: None,
) -> list[list[float]]:
    """Sums for each row of what `measure` finds at the A answer tokens of a batch: [kinds, A].

    Where packs give something that is no number and padded batches do, packs are switched off: a kernel may
    fail at some lengths only, which the start-up check does not meet.
    """
    if without := sum(not row.answer_ids for row in encoded):  # no batch has them
        on_rows(without)
    sums = torch.zeros(kinds, len(encoded), dtype=torch.float64, device=backbone.device)

    def add(batch: AnswerBatch, notify: bool = True) -> None:
        sums.index_add_(1, batch.owners, measure(batch).double())
        if notify:
            on_rows(batch.count)

    with backbone.inference():
        in_batches(backbone, encoded, add, groups=groups, tokens=tokens)
        found: list[list[float]] = sums.tolist()
        wrong = [
            n for n, column in enumerate(zip(*found, strict=True)) if not all(map(math.isfinite, column))
        ]
        if wrong and backbone.packs:
            sums[:, wrong] = 0
            in_batches(backbone, encoded, partial(add, notify=False), rows=wrong, pack=False, tokens=tokens)
            found = sums.tolist()
            if all(math.isfinite(row[n]) for row in found for n in wrong):
                backbone.stop_packing()
    return found
