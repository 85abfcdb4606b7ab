"""Losses of candidate instructions under the model as it is before the update (SAPO, section 3).

Forward passes only. Per-example sums are kept, so the result does not depend on how examples
were batched, and every mean in use can be derived from it.
"""

import math
from collections.abc import Callable, Sequence

import torch

from sapo_lite.answer_loss import token_nll
from sapo_lite.backbone import Backbone
from sapo_lite.chat import Encoded
from sapo_lite.errors import BackboneError
from sapo_lite.packing import AnswerBatch, in_batches
from sapo_lite.racing import Round, race
from sapo_lite.types import Candidate, CandidateScore, Reduction, Task, TrainRow, ranked


def score(
    backbone: Backbone,
    task: Task,
    candidates: Sequence[Candidate],
    *,
    examples: int,
    reduction: Reduction = "token_mean",
    on_score: Callable[[CandidateScore], None] = lambda _: None,
) -> list[CandidateScore]:
    """Answer losses of every candidate on the first `examples` training examples of `task`.

    `on_score` is called as each candidate is finished. LoRA, if attached, acts at full scale
    with dropout off.
    """
    everything = range(len(task.train[:examples]))
    scores = []
    for candidate in candidates:
        nll_sum, tokens = _losses(backbone, task, candidate, everything)
        scores.append(
            CandidateScore(candidate.index, nll_sum, tokens, tuple(everything), len(everything), reduction)
        )
        on_score(scores[-1])
    return scores


def race_scores(
    backbone: Backbone,
    task: Task,
    candidates: Sequence[Candidate],
    *,
    examples: int,
    seed: int,
    on_score: Callable[[CandidateScore], None] = lambda _: None,
    on_round: Callable[[Round], None] = lambda _: None,
) -> list[CandidateScore]:
    """Like `score`, for who wants to know the lowest loss only: the others are measured until they
    are clearly not it (sapo_lite.racing), and their scores stay partial.

    `on_score` is called whenever a candidate's losses have grown. A lone candidate has nobody to race.
    """
    if len(candidates) < 2:
        return score(backbone, task, candidates, examples=examples, on_score=on_score)
    by_index = {candidate.index: candidate for candidate in candidates}
    total = len(task.train[:examples])
    measured: dict[int, CandidateScore] = {}

    def measure(index: int, positions: Sequence[int]) -> Sequence[float]:
        nll_sum, tokens = _losses(backbone, task, by_index[index], positions)
        before = measured.get(index, CandidateScore(index, (), (), (), total))
        measured[index] = CandidateScore(
            index, before.nll_sum + nll_sum, before.tokens + tokens, (*before.examples, *positions), total
        )
        on_score(measured[index])
        return nll_sum

    race(list(by_index), total, measure, seed=seed, on_round=on_round)
    return [measured[index] for index in by_index]


def _losses(
    backbone: Backbone, task: Task, candidate: Candidate, positions: Sequence[int]
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    chosen = [task.train[position] for position in positions]
    rows = [TrainRow(candidate.text, example.input, example.answer) for example in chosen]
    nll_sum, tokens = answer_nll(backbone, backbone.chat.encode(task, rows))
    if bad := [p for p, nll in zip(positions, nll_sum, strict=True) if not math.isfinite(nll)]:
        raise BackboneError(
            f"{task.id}: the losses of training examples {bad[:10]} (0-based) under candidate "
            f"{candidate.index} are no numbers. Expected finite ones: check the model, or score with "
            "model.dtype = 'float32'."
        )
    return nll_sum, tokens


def answer_nll(
    backbone: Backbone, encoded: Sequence[Encoded], batch_tokens: int | None = None
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Summed answer NLL in nats, and number of answer tokens, of each row, in the order given."""
    sums = torch.zeros(len(encoded), dtype=torch.float64, device=backbone.device)

    def add(batch: AnswerBatch) -> None:
        sums.index_add_(0, batch.owners, token_nll(backbone, batch).double())

    with backbone.inference():
        in_batches(backbone, encoded, add, tokens=batch_tokens)
    return tuple(sums.tolist()), tuple(len(e.answer_ids) for e in encoded)


def lowest(scores: Sequence[CandidateScore]) -> CandidateScore:
    """The score of the lowest loss; a tie goes to the earlier index. Who left a race early cannot win it."""
    return ranked(scores)[0]


def highest(scores: Sequence[CandidateScore]) -> CandidateScore:
    """The score of the highest loss; a tie goes to the earlier index."""
    return min(scores, key=lambda s: (-s.loss, s.index))
