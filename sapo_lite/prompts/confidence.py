"""Confidence of a choice: paired differences of two candidates' losses on their common examples.

The intervals answer one question: would other examples of this task have led to another choice? They do not
cover the effect of the choice on training, and they do not correct for picking the luckiest of many
candidates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sapo_lite.prompts.losses import CandidateLoss

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone

RESAMPLES = 2000
_PERCENTILES = (2.5, 97.5)  # the bounds of a 95 % interval


@dataclass(frozen=True)
class Difference:
    """Loss of the chosen candidate minus that of another one, in nats per answer token.

    Token-weighted, even if another mean decided (CandidateLoss.reduction).

    examples: number of common examples; mean and interval are over these
    interval: 95 % bounds; None for a single example
    """

    other: int
    mean: float
    interval: tuple[float, float] | None
    examples: int


@dataclass(frozen=True)
class Margin:
    """Margin of the chosen candidate over its strongest rival and over the original.

    runner_up: the rival closest to being as good, see `certainty`
    original: compared with the original instruction; None if that was chosen
    within_noise: whether the runner-up may be as good
    """

    chosen: int
    runner_up: Difference
    original: Difference | None
    within_noise: bool


def certainty(
    scores: Sequence[CandidateLoss], chosen: int, *, resolution: float = 0.0, seed: int = 0
) -> Margin:
    """Compare the chosen candidate with each other one, on the examples that both have.

    A rival may be as good if its interval includes 0, or if its mean differs by at most `resolution` (nats
    per token), the possible error of the arithmetic. The runner-up is the one of these with the nearest mean;
    if there is none, the rival whose interval is nearest to 0. So it need not be second in rank, and `chosen`
    may also be the highest loss. After a race, only the candidates that stayed longest are rivals: the race
    itself compared the others.

    Raises:
        ValueError: there is no rival, or two candidates were scored on different examples.
    """
    by_index = {score.index: score for score in scores}
    ours = by_index.pop(chosen)
    if not by_index:
        raise ValueError(f"expected at least two candidates to compare, found only #{chosen}")
    shared = {index: _shared(ours, theirs) for index, theirs in by_index.items()}
    draws = {n: _draws(n, seed) for n in set(shared.values())}
    differences = {i: _difference(ours, by_index[i], draws[n]) for i, n in shared.items()}
    rivals = [difference for i, difference in differences.items() if shared[i] == max(shared.values())]

    def clearance(difference: Difference) -> float:
        """Distance of the interval from 0; 0 for a rival that may be as good."""
        if difference.interval is None or abs(difference.mean) <= resolution:
            return 0.0
        low, high = difference.interval
        return max(low, -high, 0.0)

    runner_up = min(rivals, key=lambda d: (clearance(d), abs(d.mean), d.other))
    return Margin(chosen, runner_up, differences.get(0), within_noise=clearance(runner_up) == 0.0)


def _shared(ours: CandidateLoss, theirs: CandidateLoss) -> int:
    """Number of common examples: both lists are beginnings of the same order."""
    n = min(len(ours.examples), len(theirs.examples))
    if n == 0 or ours.examples[:n] != theirs.examples[:n]:
        raise ValueError(
            f"candidates #{ours.index} and #{theirs.index}: expected scores of the same examples in the "
            "same order, found different ones; score all candidates in one go"
        )
    return n


def _draws(n: int, seed: int) -> NDArray[np.int64]:
    """Bootstrap counts: how often each of n examples is in each resample, int64 [RESAMPLES, n]."""
    return np.random.default_rng([seed, n]).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)


def _difference(ours: CandidateLoss, theirs: CandidateLoss, draws: NDArray[np.int64]) -> Difference:
    """Paired difference per token, a ratio of sums, and its bootstrap percentile interval."""
    n = draws.shape[1]
    nats = np.subtract(ours.nll_sum[:n], theirs.nll_sum[:n])
    tokens = np.asarray(ours.tokens[:n])
    interval = None
    if n > 1:
        low, high = np.percentile((draws @ nats) / (draws @ tokens), _PERCENTILES)
        interval = (float(low), float(high))
    return Difference(theirs.index, math.fsum(nats) / int(tokens.sum()), interval, n)


def statement(certainty: Margin) -> str:
    """The margin in one sentence for a terminal. Bounds below 0 favour the other candidate."""
    runner_up, original = certainty.runner_up, certainty.original
    name = "the original" if runner_up.other == 0 else f"the runner-up #{runner_up.other}"
    shared = " shared example" if runner_up.examples == 1 else " shared examples"
    parts = [_against(runner_up, name, " nats per token", shared)]
    if original is not None and runner_up.other != 0:
        parts.append(_against(original, "the original"))
    noise = f"; within noise: {name} may be as good" if certainty.within_noise else ""
    return ", ".join(parts) + noise


def _against(difference: Difference, name: str, unit: str = "", examples: str = "") -> str:
    """ "0.0312 below the original (95 %: 0.0110 to 0.0520 on 96)"; bounds in the gap's unit."""
    place = f"on {difference.examples}{examples}"
    below = difference.mean < 0
    if difference.interval is not None:
        low, high = difference.interval
        near, far = (-high, -low) if below else (low, high)
        place = f"95 %: {near:z.4f} to {far:z.4f} {place}"
    if difference.mean == 0:
        return f"equal to {name} ({place})"
    return f"{abs(difference.mean):.4f}{unit} {'below' if below else 'above'} {name} ({place})"


# Largest measured change of a candidate's mean by bfloat16 rounding, in nats per token.
BFLOAT16_RESOLUTION = 0.008


def resolution(backbone: "Backbone") -> float:
    """Largest change of a candidate's mean that rounding may cause, in nats per token."""
    import torch  # here, since finished runs are read without it

    return BFLOAT16_RESOLUTION if backbone.dtype is torch.bfloat16 else 0.0
