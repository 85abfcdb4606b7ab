"""When to stop scoring a candidate: a race on the losses of the same examples.

The candidate of the lowest loss on all examples is wanted, but a clearly worse one shows itself
on a few. So all are measured on the first examples of one random order, those whose paired excess
over the leader is beyond chance are dropped, and the others race on. Answer tokens are equal for
all candidates of a task, so the lowest sum of losses is the lowest token-weighted mean.

    measured = race(range(21), total=250, measure=losses_of, seed=0)
    measured.winner

Whoever looks for the highest loss gives losses with their signs changed.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

# Chance that a race drops the candidate it looks for, as far as means of paired differences follow
# the t distribution: benchmarks/speed/racing.py counts how often it happens on recorded losses. They do not
# where all of a candidate's advantage is in few examples, say in a label that one in thirty has.
ERROR = 0.01


@dataclass(frozen=True)
class Round:
    """The end of a round: everyone who was in has losses of the first `examples` of the order.

    `number` counts from 1 up to `of`, or fewer where one is left earlier. Those `dropped` are not
    measured again; those `left` race on.
    """

    number: int
    of: int
    examples: int
    dropped: tuple[int, ...]
    left: tuple[int, ...]


@dataclass(frozen=True)
class Race:
    """What a race measured.

    order: all positions, as they were to be measured
    losses: candidate -> its losses on the first positions of the order, as many as it was in for
    left: who was not dropped: one, or exact ties on all examples
    """

    order: tuple[int, ...] = field(repr=False)
    losses: Mapping[int, tuple[float, ...]] = field(repr=False)
    left: tuple[int, ...]

    @property
    def winner(self) -> int:
        """The one left; of exact ties, the earlier index."""
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

    `measure(candidate, positions)` gives the losses at these positions, in their order; no pair of
    candidate and position is asked for twice. A lone candidate is not measured at all.
    `on_round` sees the end of every round.
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
    """How many examples have been measured at the end of each round: 32, 64, 96, 128, 192, 256, 384, ...

    The last round ends with all of them. Fewer than 32 say too little about a standard deviation.
    """
    steps = [start << doublings for start in (32, 96) for doublings in range(examples.bit_length())]
    return [*sorted(step for step in steps if step < examples), examples]


def survivors(losses: Mapping[int, Sequence[float]], total: float, *, comparisons: int) -> list[int]:
    """Who stays in: those whose mean excess over the leader may be due to the choice of examples.

    losses: candidate -> losses on the same n of `total` examples, drawn at random; n > 1 or n = total.
        A total of math.inf is for examples that stand for all that there might be.
    comparisons: in a race of C candidates, (C - 1) x rounds

    A candidate is dropped when its mean excess passes

        t(1 - ERROR / comparisons, n - 1) x sd / sqrt(n) x sqrt(1 - n / total)

    with sd that of the paired differences. In every round the best candidate may meet any of C - 1
    leaders, so the chances of losing it sum to ERROR. The last factor is for drawing without
    replacement; when nothing is left to draw, only exact ties stay.
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
    """The candidate of the lowest sum, exactly rounded so that order does not matter; ties: the earlier."""
    return min(losses, key=lambda candidate: (math.fsum(losses[candidate]), candidate))
