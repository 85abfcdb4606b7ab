"""Racing: find the candidate with the lowest loss without scoring all candidates on all examples.

A clearly worse candidate shows on a few examples. So all candidates are scored on
the first examples of one random order, those whose paired excess over the leader
is beyond chance are dropped, and the others go on. The order is stratified by
answer, so that no label is missing when candidates are dropped. Answer tokens are equal for
all candidates of a task, so the lowest sum of losses is the lowest token-weighted mean.

    finished = race(range(21), total=250, measure=losses_of, seed=0)
    finished.winner

To find the highest loss, negate the losses.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sapo_lite.prompts.strata import stratified_order

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Probability that a race drops the best candidate, if means of paired differences follow the t distribution.
# benchmarks/speed/racing.py counts how often it happens on recorded losses, and where a candidate's whole
# advantage is in a rare label. The means do not follow it if the advantage is in few examples that their
# answers do not tell from the others.
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
    measure: Callable[[Sequence[int], Sequence[int]], Sequence[Sequence[float]]],
    *,
    seed: int | str,
    strata: Sequence[int] = (),
    on_round: Callable[[Round], None] = lambda _: None,
) -> Race:
    """Race the candidates over `total` examples in a random order of `seed`, until one is left.

    `strata` has a number for every example (sapo_lite.prompts.strata); without, all are of one kind.

    `measure(candidates, positions)` returns the losses of these candidates at these positions, both in their
    order. It is called once a round, so that the candidates can be measured together; never twice for a pair
    of candidate and position, and not at all for a single candidate. `on_round` is called at the end of every
    round.
    """
    kinds = strata or (0,) * total
    order = stratified_order(kinds, seed)
    losses: dict[int, list[float]] = {candidate: [] for candidate in candidates}
    ends = rounds(total)
    comparisons = (len(losses) - 1) * len(ends)
    left, done = tuple(losses), 0
    for number, end in enumerate(ends, start=1):
        if len(left) < 2:
            break
        for candidate, own in zip(left, measure(left, order[done:end]), strict=True):
            losses[candidate].extend(own)
        measured = {c: losses[c] for c in left}
        groups = _groups([kinds[position] for position in order], end)
        kept = tuple(survivors(measured, total, comparisons=comparisons, groups=groups))
        on_round(Round(number, len(ends), end, tuple(c for c in left if c not in kept), kept))
        left, done = kept, end
    return Race(order, {candidate: tuple(own) for candidate, own in losses.items()}, left)


def rounds(examples: int) -> list[int]:
    """Numbers of examples measured at the end of each round: 32, 64, 96, 128, 192, 256, 384, ...

    The last round ends with all examples. Fewer than 32 are too few to estimate a standard deviation.
    """
    steps = [start << doublings for start in (32, 96) for doublings in range(examples.bit_length())]
    return [*sorted(step for step in steps if step < examples), examples]


@dataclass(frozen=True)
class Group:
    """The measured examples of one stratum.

    places: their places among the measured examples, int64
    share: the stratum's share of all examples, above 0 to 1
    unseen: the share of the stratum that is not measured, 0 to 1
    """

    places: "NDArray[np.int64]"
    share: float
    unseen: float


def _groups(kinds: Sequence[int], measured: int) -> list[Group]:
    """The strata of the first `measured` examples; kinds: stratum of every example, as they are measured."""
    import numpy as np

    whole = np.asarray(kinds)
    found = []
    for kind in sorted(set(kinds)):
        places = np.flatnonzero(whole == kind)
        seen = places[places < measured]
        found.append(Group(seen, len(places) / len(whole), 1 - len(seen) / len(places)))
    return found


def survivors(
    losses: Mapping[int, Sequence[float]],
    total: float,
    *,
    comparisons: int,
    groups: Sequence[Group] = (),
) -> list[int]:
    """The candidates that stay: their mean excess over the leader may come from the choice of examples.

    losses: candidate -> losses on the same n of `total` examples, drawn at random; n > 1 or n = total.
        Use total = math.inf if the examples are a sample of an unlimited population.
    comparisons: in a race of C candidates, (C - 1) x rounds
    groups: the strata, if the examples were drawn by strata: two of each at least, or all there are

    A candidate is dropped when its mean excess passes

        t(1 - ERROR / comparisons, n - 1) x sd / sqrt(n) x sqrt(1 - n / total)

    with sd that of the paired differences. In every round the best candidate may meet any of C - 1
    leaders, so the probabilities of losing it sum to ERROR. The last factor is for drawing without
    replacement; once all examples are drawn, only exact ties stay. With strata, means and squared errors are
    those of the strata, weighted by their shares and the squares of these, and the degrees of freedom are
    Satterthwaite's.
    """
    import numpy as np  # here, since plans ask for `rounds` alone

    measured = len(next(iter(losses.values())))
    if measured == total:
        lowest = math.fsum(losses[leader(losses)])
        return [candidate for candidate, own in losses.items() if math.fsum(own) == lowest]
    groups = groups or [Group(np.arange(measured), 1.0, 1 - measured / total)]
    first = losses[leader(losses, groups)]

    def may_be_chance(own: Sequence[float]) -> bool:
        excess, limit = _excess(np.subtract(own, first), groups, ERROR / comparisons)
        return excess <= limit

    return [candidate for candidate, own in losses.items() if may_be_chance(own)]


def _excess(differences: "NDArray[np.float64]", groups: Sequence[Group], error: float) -> tuple[float, float]:
    """The mean of paired differences, and the limit that chance alone passes with probability `error`."""
    from scipy.special import stdtrit

    excess = variance = spread = 0.0
    for group in groups:
        own = differences[group.places]
        excess += group.share * math.fsum(own) / len(own)
        if group.unseen:
            part = group.share**2 * group.unseen * float(own.var(ddof=1)) / len(own)
            variance += part
            spread += part**2 / (len(own) - 1)
    # t(1 - p) = -t(p), which keeps the digits that 1 - p loses.
    t = -float(stdtrit(variance**2 / spread, error)) if spread else 0.0
    return excess, t * math.sqrt(variance)


def leader(losses: Mapping[int, Sequence[float]], groups: Sequence[Group] = ()) -> int:
    """The candidate with the lowest sum, exactly rounded (order does not matter); a tie: the earlier one.

    With strata, the lowest sum of their means, weighted by their shares.
    """

    def total(own: Sequence[float]) -> float:
        if len(groups) < 2:
            return math.fsum(own)
        return math.fsum(g.share / len(g.places) * own[i] for g in groups for i in g.places)

    return min(losses, key=lambda candidate: (total(losses[candidate]), candidate))
