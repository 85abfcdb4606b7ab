"""The negative log-likelihood of answers: the one loss that scoring and training share.

Rows are right-padded and no mask is passed: under causal attention a token never sees what
stands to its right, so padding changes nothing, on every attention path. The vocabulary
projection is computed at answer rows only, in chunks, and the cross-entropy in float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sapo_lite.chat import Encoded

if TYPE_CHECKING:
    from sapo_lite.backbone import Backbone

# Rows of vocabulary logits alive at once: 256 x 151,936 x 4 bytes = 156 MB for Qwen3.
HEAD_ROWS = 256


IGNORE = -100  # the label value that transformers, TRL and torch leave out of the loss


def collate(examples: Sequence[Encoded]) -> dict[str, Tensor]:
    """Right-padded `input_ids` and `labels`, int64 [B, T]; labels are IGNORE outside answers."""
    length = max(len(e.ids) for e in examples)
    ids = torch.zeros(len(examples), length, dtype=torch.long)
    labels = torch.full_like(ids, IGNORE)
    for n, e in enumerate(examples):
        ids[n, : len(e.ids)] = torch.tensor(e.ids)
        labels[n, e.answer_start : len(e.ids)] = torch.tensor(e.answer_ids)
    return {"input_ids": ids, "labels": labels}


@dataclass(frozen=True)
class AnswerBatch:
    """B right-padded rows with A answer tokens in all.

    ids: int64 [B, T-1], what is fed; the last column predicts nothing
    rows, columns: int64 [A], where in `ids` each answer token is predicted
    targets: int64 [A], the answer tokens; `rows` also says whose they are
    """

    ids: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor

    @classmethod
    def from_labels(cls, input_ids: Tensor, labels: Tensor) -> "AnswerBatch":
        shifted = labels[:, 1:]
        rows, columns = (shifted != IGNORE).nonzero(as_tuple=True)
        return cls(input_ids[:, :-1], rows, columns, shifted[rows, columns])


def token_nll(backbone: "Backbone", batch: AnswerBatch) -> Tensor:
    """Negative log-likelihood of every answer token, in nats: float32 [A]. Differentiable."""
    with backbone.autocast():
        hidden = backbone.hidden_states(batch.ids)[batch.rows, batch.columns]  # [A, hidden size]

    def head_nll(h: Tensor, targets: Tensor) -> Tensor:
        with backbone.autocast():
            logits = backbone.head(h)
        return F.cross_entropy(logits.float(), targets, reduction="none")

    pieces = [
        # While training, logits are recomputed in the backward pass instead of being kept.
        checkpoint(head_nll, h, t, use_reentrant=False) if torch.is_grad_enabled() else head_nll(h, t)
        for h, t in zip(hidden.split(HEAD_ROWS), batch.targets.split(HEAD_ROWS), strict=True)
    ]
    return torch.cat(pieces)
