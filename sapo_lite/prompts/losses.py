"""Losses of candidate instructions before an update, per example, and means and ranks computed from them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Reduction = Literal["token_mean", "batch_mean"]


# Examples in a batch of the released code's scoring, on each of its GPUs.
RELEASED_BATCH = 8


@dataclass(frozen=True)
class CandidateLoss:
    """Pre-update losses of one candidate (SAPO, section 3), kept per example.

    `nll_sum[i]` is the summed negative log-likelihood, in nats, of the answer tokens of training
    example `examples[i]`; `tokens[i]` is the number of these tokens. Every mean in use can be computed from
    them. A candidate that was scored in full has `total` examples, in the order of the file. One that left a
    race early has fewer, in the order of the race, which is the same for all candidates. A race measures more
    of a rare kind of answer than its share; `weights[i]` then says how much example i counts in all means, 1
    on average. Without weights all count alike.
    """

    index: int
    nll_sum: tuple[float, ...] = field(repr=False)
    tokens: tuple[int, ...] = field(repr=False)
    examples: tuple[int, ...] = field(repr=False)
    total: int
    reduction: Reduction = "token_mean"
    weights: tuple[float, ...] = field(default=(), repr=False)

    @property
    def partial(self) -> bool:
        """Whether the losses are those of some of the examples only."""
        return len(self.examples) < self.total

    @property
    def loss(self) -> float:
        """The mean used for the choice, in nats per answer token."""
        return self.token_mean if self.reduction == "token_mean" else self.batch_mean

    @property
    def token_mean(self) -> float:
        """Nats per answer token over all tokens (independent of batching)."""
        return _mean(self.nll_sum, self.tokens, self.weights)

    @property
    def batch_mean(self) -> float:
        """Mean of the token means of batches of 8 in scoring order, as in SAPO's released code.

        A smaller last batch is weighted by its examples, as in transformers' Trainer.evaluate.
        """
        starts = range(0, len(self.examples), RELEASED_BATCH)
        batches = [slice(start, start + RELEASED_BATCH) for start in starts]
        means = [sum(self.nll_sum[b]) / sum(self.tokens[b]) * len(self.tokens[b]) for b in batches]
        return sum(means) / len(self.examples)


def lowest(scores: Sequence[CandidateLoss]) -> CandidateLoss:
    """The candidate with the lowest loss; a tie goes to the earlier index. A dropped one never wins."""
    return ranked(scores)[0]


def highest(scores: Sequence[CandidateLoss]) -> CandidateLoss:
    """The candidate with the highest loss; a tie goes to the earlier index."""
    return min(scores, key=lambda s: (-s.loss, s.index))


def ranked(scores: Sequence[CandidateLoss]) -> list[CandidateLoss]:
    """The winner, then the others by their expected loss on the winner's examples; ties by index.

    The winner has the lowest loss of those with the most examples: one dropped early cannot win.
    """
    winner = min(scores, key=lambda s: (-len(s.examples), s.loss, s.index))
    return sorted(scores, key=lambda s: (s is not winner, comparable_loss(s, winner), s.index))


def comparable_loss(score: CandidateLoss, winner: CandidateLoss) -> float:
    """A candidate's estimated loss on the winner's examples, in nats per answer token.

    Losses on fewer examples cannot be compared directly. So the difference on the common examples is added to
    the winner's loss.
    """
    same = len(score.examples) == len(winner.examples)
    return score.loss if same else winner.loss + excess(score, winner)


def excess(score: CandidateLoss, over: CandidateLoss) -> float:
    """Loss of one candidate minus another's, in nats per answer token, on their common examples."""
    if not (score.partial or over.partial):
        return score.loss - over.loss
    n, weights = shared(score, over)
    tokens = over.tokens[:n]
    return _mean(score.nll_sum[:n], tokens, weights) - _mean(over.nll_sum[:n], tokens, weights)


def shared(one: CandidateLoss, other: CandidateLoss) -> tuple[int, tuple[float, ...]]:
    """Number and weights of the common examples: both lists are beginnings of the same order."""
    shorter = min(one, other, key=lambda score: len(score.examples))
    return len(shorter.examples), shorter.weights


def _mean(nll_sum: Sequence[float], tokens: Sequence[int], weights: Sequence[float]) -> float:
    """Nats per answer token. Without weights, all examples count alike."""
    if not weights:
        return math.fsum(nll_sum) / sum(tokens)
    nats, count = (math.fsum(w * x for w, x in zip(weights, own, strict=True)) for own in (nll_sum, tokens))
    return nats / count


def scores_to_json(scores: Sequence[CandidateLoss]) -> list[dict[str, Any]]:
    """One JSON object for each candidate; `partial` marks one that left a race early."""
    return [{**asdict(score), "partial": score.partial} for score in scores]


def scores_from_json(saved: Sequence[dict[str, Any]]) -> list[CandidateLoss]:
    return [
        CandidateLoss(
            s["index"],
            tuple(s["nll_sum"]),
            tuple(s["tokens"]),
            tuple(s["examples"]),
            s["total"],
            s["reduction"],
            tuple(s.get("weights", ())),
        )
        for s in saved
    ]
