"""Leads corrected for the choice: candidates are chosen on two thirds of the examples, measured on the rest.

The arithmetic behind sapo_lite.prompts.confidence, on arrays. S is the number of splits, n that of examples,
C that of candidates. A lead is a difference of losses in nats per answer token, below 0 if the first is
lower.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# How losses made a choice; "given" if they did not.
Rule = Literal["lowest", "highest", "given"]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

# Two thirds choose. Larger parts choose more like all examples do; but near ties the leads then vary by more
# than can be estimated, and intervals hold the true lead too rarely (85 % with nine tenths). With half of the
# examples, or a bootstrap, which knows about as much, leads come out too small by up to a quarter.
PARTS = 3


def splits(examples: int, rounds: int, seed: int) -> Floats:
    """Examples left out of the choice, 1 or 0, [S, n]: every round leaves out each example once."""
    parts = min(PARTS, examples)
    rng = np.random.default_rng([seed, examples])
    part = rng.permuted(np.tile(np.arange(examples) % parts, (rounds, 1)), axis=1)
    return (part[:, None, :] == np.arange(parts)[:, None]).reshape(-1, examples).astype(np.float64)


@dataclass(frozen=True)
class Leads:
    """Losses of candidates on common examples, and the splits of these.

    nats: [n, C], summed over answer tokens, weighted; of one candidate they may be subtracted from all
    tokens: [n], answer tokens, weighted
    left_out: [S, n], see `splits`
    """

    nats: Floats
    tokens: Floats
    left_out: Floats

    @cached_property
    def means(self) -> Floats:
        """Measured losses on all examples, [C]."""
        return np.asarray(self.nats.sum(axis=0) / self.tokens.sum())

    @cached_property
    def bag_means(self) -> Floats:
        """Losses on the examples that choose, [S, C]."""
        return np.asarray(self._bag @ self.nats / (self._bag @ self.tokens)[:, None])

    @property
    def _bag(self) -> Floats:
        """The examples that choose, [S, n]; a single one chooses by itself."""
        return self.left_out if len(self.tokens) == 1 else 1 - self.left_out

    @cached_property
    def errors(self) -> Floats:
        """Standard errors of all measured differences, [C, C]; infinite for a single example."""
        return self._errors(np.ones((self.nats.shape[1], len(self.tokens))), np.arange(self.nats.shape[1]))

    def _errors(self, weights: Floats, chosen: Indices) -> Floats:
        """Standard errors of the differences to each of the chosen, [K, C]; `weights`, [K, n], estimate them.

        All are those of n examples. A difference per token is a ratio of sums, so its error is that of the
        residuals.
        """
        n, found = len(self.tokens), np.full((len(chosen), self.nats.shape[1]), np.inf)
        if n == 1:
            return found
        residuals = self.nats - self.tokens[:, None] * self.means
        for one in np.unique(chosen):
            rows = chosen == one
            own = weights[rows] / weights[rows].sum(axis=1, keepdims=True)
            paired = residuals - residuals[:, [one]]
            found[rows] = np.sqrt(np.maximum(own @ paired**2 - (own @ paired) ** 2, 0.0))
        return np.asarray(found * n / np.sqrt(n - 1) / self.tokens.sum())

    @property
    def quantile(self) -> float:
        """A 95 % interval has so many standard errors to each side."""
        from scipy.special import stdtrit  # here, since results are read without it

        return float(stdtrit(max(1, len(self.tokens) - 1), 0.975))

    def choices(self, rule: Rule, chosen: int) -> Indices:
        """The candidate that each split chooses, [S]; of equal ones the first."""
        if rule == "given":
            return np.full(len(self.left_out), chosen)
        return np.asarray((self.bag_means if rule == "lowest" else -self.bag_means).argmin(axis=1))

    def runner_up(self, chosen: int, resolution: float) -> int:
        """The rival nearest to being as good as the chosen candidate, on all examples."""
        return int(self._nearest(np.array([chosen]), self.means[None], self.errors[[chosen]], resolution)[0])

    def runners_up(self, chosen: Indices, resolution: float) -> Indices:
        """The rival nearest to being as good as each split's choice, on the examples that choose, [S]."""
        errors = self._errors(self._bag, chosen)
        return self._nearest(chosen, self.bag_means, errors, resolution)

    def _nearest(self, chosen: Indices, means: Floats, errors: Floats, resolution: float) -> Indices:
        rows = np.arange(len(chosen))
        gaps = np.abs(means - means[rows, chosen][:, None])
        # Distance of the intervals from 0; 0 for a rival that may be as good.
        clear = np.where(gaps <= resolution, 0.0, np.maximum(gaps - self.quantile * errors, 0.0))
        gaps[rows, chosen] = clear[rows, chosen] = np.inf
        return np.lexsort((gaps, clear), axis=1)[:, 0]

    def lead(self, first: Indices, second: Indices) -> tuple[float, float]:
        """The mean lead of the first over the second, [S] each, where not chosen by; and its standard error.

        Splits in which both are the same do not count. The squared error is the mean of those of the pairs,
        as measured, and the variance of the pairs' measured leads over the splits: a choice that might have
        been another is one more source of error.
        """
        pairs = first != second
        first, second = first[pairs], second[pairs]
        ahead = self._nats_out[pairs, first] - self._nats_out[pairs, second]
        mean = float(ahead.sum() / self._tokens_out[pairs].sum())
        between = float(np.var(self.means[first] - self.means[second]))
        return mean, math.sqrt(float(np.mean(self.errors[first, second] ** 2)) + between)

    @cached_property
    def _nats_out(self) -> Floats:
        return self.left_out @ self.nats

    @cached_property
    def _tokens_out(self) -> Floats:
        return self.left_out @ self.tokens
