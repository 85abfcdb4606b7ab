"""Losses of all candidates relative to one of them, with intervals, for plots."""

import math
from dataclasses import dataclass

from scipy.special import stdtrit  # scipy.stats takes a second to import

from sapo_lite.prompts.losses import CandidateLoss, excess, shared


@dataclass(frozen=True)
class RelativeLoss:
    """Loss of a candidate minus that of another on their common examples, in nats per answer token.

    low, high: 95 % t interval of the paired difference, not corrected for the choice among many; None with
        fewer than two examples
    examples: number of common examples
    """

    mean: float
    low: float | None
    high: float | None
    examples: int


def relative_loss(score: CandidateLoss, other: CandidateLoss) -> RelativeLoss:
    """Compare the losses of two candidates that were scored on the same examples in the same order.

    The loss is a ratio, nats over tokens, so the error is that of a ratio: of what each example's difference
    deviates from the mean difference times its tokens.
    """
    n, weights = shared(score, other)
    mean = excess(score, other)
    if n < 2:
        return RelativeLoss(mean, None, None, n)
    weights = weights or (1.0,) * n
    deviations = [
        w * (a - b - mean * t)
        for w, a, b, t in zip(weights, score.nll_sum[:n], other.nll_sum[:n], other.tokens[:n], strict=True)
    ]
    tokens = math.fsum(w * t for w, t in zip(weights, other.tokens[:n], strict=True))
    error = math.sqrt(n / (n - 1) * math.fsum(d * d for d in deviations)) / tokens
    half = float(stdtrit(n - 1, 0.975)) * error
    return RelativeLoss(mean, mean - half, mean + half, n)
