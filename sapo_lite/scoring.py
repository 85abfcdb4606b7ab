"""Losses of candidate instructions under the model as it is before the update (SAPO, section 3).

Forward passes only. Per-example sums are kept, so the result does not depend on how examples
were batched, and every mean in use can be derived from it.
"""

from collections.abc import Callable, Sequence

import torch

from sapo_lite.answer_loss import token_nll
from sapo_lite.backbone import Backbone
from sapo_lite.chat import Encoded
from sapo_lite.packing import batches
from sapo_lite.types import Candidate, CandidateScore, Task, TrainRow


def score(
    backbone: Backbone,
    task: Task,
    candidates: Sequence[Candidate],
    *,
    examples: int,
    on_score: Callable[[CandidateScore], None] = lambda _: None,
) -> list[CandidateScore]:
    """Answer losses of every candidate on the first `examples` training examples of `task`.

    `on_score` is called as each candidate is finished. LoRA, if attached, acts at full scale
    with dropout off.
    """
    scores = []
    for candidate in candidates:
        rows = [TrainRow(candidate.text, e.input, e.answer) for e in task.train[:examples]]
        nll_sum, tokens = answer_nll(backbone, backbone.chat.encode(task, rows))
        scores.append(CandidateScore(candidate.index, nll_sum, tokens))
        on_score(scores[-1])
    return scores


def answer_nll(
    backbone: Backbone, encoded: Sequence[Encoded], batch_tokens: int | None = None
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Summed answer NLL in nats, and number of answer tokens, of each row, in the order given."""
    sums = torch.zeros(len(encoded), dtype=torch.float64, device=backbone.device)
    with backbone.inference():
        for batch in batches(backbone, encoded, tokens=batch_tokens):
            sums.index_add_(0, batch.owners, token_nll(backbone, batch).double())
    return tuple(sums.tolist()), tuple(len(e.answer_ids) for e in encoded)


def lowest(scores: Sequence[CandidateScore]) -> CandidateScore:
    """The score with the lowest token-weighted mean loss; a tie goes to the earlier index."""
    return min(scores, key=lambda s: (s.token_mean, s.index))


def highest(scores: Sequence[CandidateScore]) -> CandidateScore:
    """The score with the highest token-weighted mean loss; a tie goes to the earlier index."""
    return min(scores, key=lambda s: (-s.token_mean, s.index))
