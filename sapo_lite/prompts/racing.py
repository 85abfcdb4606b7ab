"""Racing: find the candidate with the lowest loss without scoring all candidates on all examples.

A clearly worse candidate shows on a few examples. So all candidates are scored on
the first examples of one random order, those whose paired excess over the leader
is beyond chance are dropped, and the others go on. Answer tokens are equal for
all candidates of a task, so the lowest sum of losses is the lowest token-weighted mean.

    measured = race(range(21), total=250, measure=losses_of, seed=0)
    measured.winner

To find the highest loss, negate the losses.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

# Probability that a race drops the best candidate, if means of paired differences follow the t distribution.
# benchmarks/speed/racing.py counts how often it happens on recorded losses. The means do not follow it if a
# candidate's whole advantage is in few examples, say in a label that one in thirty has.
ERROR = 0.01


@dataclass(frozen=True)
class Round:
    """End of a round: every remaining candidate has losses on the first `examples` of the order.

    `number` counts from 1 to `of`; the race may end earlier. The `dropped` candidates are not scored again;
    those `left` go on.
    """

    number: int
    of: int
    examples: int
    dropped: tuple[int, ...]
    left: tuple[int, ...]


@dataclass(frozen=True)
class Race:
    """Result of a race.

    order: all positions, in the order of measurement
    losses: candidate -> its losses on the first positions of the order, until it was dropped
    left: the candidates not dropped: one, or exact ties on all examples
    """

    order: tuple[int, ...] = field(repr=False)
    losses: Mapping[int, tuple[float, ...]] = field(repr=False)
    left: tuple[int, ...]

    @property
    def winner(self) -> int:
        """The remaining candidate; among exact ties, the one with the earlier index."""
        return leader({candidate: self.losses[candidate] for candidate in self.left})


def race(
    candidates: Sequence[int],
    total: int,
    measure: Callable[[int, Sequence[int]], Sequence[float]],
    *,
    seed: int | str,
    on_round: Callable[[Round], None] = lambda _: None,
) -> Race:
    """Race the candidates over `total` examples in a random order of `seed`, until one is left.

    `measure(candidate, positions)` returns the losses at these positions, in their order. It is called at
    most once for a pair of candidate and position, and not at all for a single candidate. `on_round` is
    called at the end of every round.
    """
    order = tuple(random.Random(seed).sample(range(total), total))
    losses: dict[int, list[float]] = {candidate: [] for candidate in candidates}
    ends = rounds(total)
    comparisons = (len(losses) - 1) * len(ends)
    left, done = tuple(losses), 0
    for number, end in enumerate(ends, start=1):
        if len(left) < 2:
            break
        for candidate in left:
            losses[candidate].extend(measure(candidate, order[done:end]))
        kept = tuple(survivors({c: losses[c] for c in left}, total, comparisons=comparisons))
        on_round(Round(number, len(ends), end, tuple(c for c in left if c not in kept), kept))
        left, done = kept, end
    return Race(order, {candidate: tuple(own) for candidate, own in losses.items()}, left)


def rounds(examples: int) -> list[int]:
    """Numbers of examples measured at the end of each round: 32, 64, 96, 128, 192, 256, 384, ...

    The last round ends with all examples. Fewer than 32 are too few to estimate a standard deviation.
    """
    steps = [start << doublings for start in (32, 96) for doublings in range(examples.bit_length())]
    return [*sorted(step for step in steps if step < examples), examples]


def survivors(losses: Mapping[int, Sequence[float]], total: float, *, comparisons: int) -> list[int]:
    """The candidates that stay: their mean excess over the leader may come from the choice of examples.

    losses: candidate -> losses on the same n of `total` examples, drawn at random; n > 1 or n = total.
        Use total = math.inf if the examples are a sample of an unlimited population.
    comparisons: in a race of C candidates, (C - 1) x rounds

    A candidate is dropped when its mean excess passes

        t(1 - ERROR / comparisons, n - 1) x sd / sqrt(n) x sqrt(1 - n / total)

    with sd that of the paired differences. In every round the best candidate may meet any of C - 1
    leaders, so the probabilities of losing it sum to ERROR. The last factor is for drawing without
    replacement; once all examples are drawn, only exact ties stay.
    """
    import numpy as np  # here, since plans ask for `rounds` alone
    from scipy.special import stdtrit

    first = leader(losses)
    lowest, measured = math.fsum(losses[first]), len(losses[first])
    if measured == total:
        return [candidate for candidate, own in losses.items() if math.fsum(own) == lowest]
    # t(1 - p) = -t(p), which keeps the digits that 1 - p loses.
    t = -float(stdtrit(measured - 1, ERROR / comparisons))
    errors = t * math.sqrt((1 - measured / total) / measured)

    def may_be_chance(own: Sequence[float]) -> bool:
        deviation = float(np.std(np.subtract(own, losses[first]), ddof=1))
        return (math.fsum(own) - lowest) / measured <= errors * deviation

    return [candidate for candidate, own in losses.items() if may_be_chance(own)]


def leader(losses: Mapping[int, Sequence[float]]) -> int:
    """The candidate with the lowest sum, exactly rounded (order does not matter); a tie: the earlier one."""
    return min(losses, key=lambda candidate: (math.fsum(losses[candidate]), candidate))
