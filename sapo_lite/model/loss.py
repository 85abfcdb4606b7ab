"""The negative log-likelihood of answers: the one loss of scoring and training.

The vocabulary projection is computed in chunks and at answer tokens only, the cross-entropy in float32.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import AnswerBatch, in_batches
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.footprint import HEAD_ROWS


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
        checkpoint(head_nll, h, t, use_reentrant=False) if torch.is_grad_enabled() else head_nll(h, t)
        for h, t in zip(answers.split(HEAD_ROWS), batch.targets.split(HEAD_ROWS), strict=True)
    ]
    return torch.cat(pieces)


def answer_nll(
    backbone: Backbone, encoded: Sequence[EncodedRow], batch_tokens: int | None = None
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Summed answer NLL in nats and number of answer tokens of each row, in the given order."""
    sums = torch.zeros(len(encoded), dtype=torch.float64, device=backbone.device)

    def add(batch: AnswerBatch) -> None:
        sums.index_add_(0, batch.owners, token_nll(backbone, batch).double())

    with backbone.inference():
        in_batches(backbone, encoded, add, tokens=batch_tokens)
    return tuple(sums.tolist()), tuple(len(e.answer_ids) for e in encoded)


def greedy_answer_nll(
    backbone: Backbone, encoded: Sequence[EncodedRow]
) -> tuple[tuple[float, ...], tuple[bool, ...]]:
    """Summed answer NLL in nats of each row, and whether all its answer tokens are the most likely ones."""
    sums = torch.zeros(len(encoded), dtype=torch.float64, device=backbone.device)
    missed = torch.zeros_like(sums)

    def add(batch: AnswerBatch) -> None:
        states = backbone.answer_states(batch.ids, batch.rows, batch.columns, batch.layout)
        pieces = []
        for h, targets in zip(states.split(HEAD_ROWS), batch.targets.split(HEAD_ROWS), strict=True):
            with backbone.autocast():
                logits = backbone.head(h).float()
            nll = F.cross_entropy(logits, targets, reduction="none")
            pieces.append(torch.stack([nll.double(), (logits.argmax(-1) != targets).double()]))
        nll, misses = torch.cat(pieces, dim=1)
        sums.index_add_(0, batch.owners, nll)
        missed.index_add_(0, batch.owners, misses)

    with backbone.inference():
        in_batches(backbone, encoded, add)
    return tuple(sums.tolist()), tuple(count == 0 for count in missed.tolist())
