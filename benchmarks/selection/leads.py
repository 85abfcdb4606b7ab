"""Leads benchmark: how near corrected leads come to the true ones, and how often their intervals hold these.

    python -m benchmarks.selection.leads [--trials 1000]       the table of docs/scoring.md (about 10 minutes)

A trial draws scoring examples from a population whose means are known, chooses the lowest loss, and compares
the leads of sapo_lite.prompts.confidence with those that the chosen candidate has in the population. Some
populations are made up; in the others, examples are drawn from recorded losses (tests/losses).
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.speed.racing import load
from sapo_lite.prompts.confidence import Difference, certainty
from sapo_lite.prompts.losses import CandidateLoss, lowest, shared
from sapo_lite.prompts.racing import race

Floats = NDArray[np.float64]
ROUNDS = 100  # of splits; a run has more, which changes nothing on average
SIZES = (80, 250)


@dataclass(frozen=True)
class Population:
    """Examples without end: `draw(n, rng)` gives losses [C, n] and tokens [n]; `means` [C] is per token."""

    draw: Callable[[int, np.random.Generator], tuple[Floats, NDArray[np.int64]]]
    means: Floats


def made_up(means: Sequence[float], *, skewed: bool = False) -> Population:
    """Independent noise of deviation 1 per token around these means, normal or log-normal, 1 to 4 tokens."""
    levels = np.array(means)

    def draw(n: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
        shape = (len(levels), n)
        noise = rng.normal(size=shape)
        if skewed:
            noise = (np.exp(noise) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)
        tokens = rng.integers(1, 5, n)
        return (levels[:, None] + noise) * tokens, tokens

    return Population(draw, levels)


def recorded(name: str) -> Population:
    """Examples drawn with replacement from a recorded matrix."""
    matrix = load(name)

    def draw(n: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
        drawn = rng.integers(0, matrix.losses.shape[1], n)
        return matrix.losses[:, drawn], matrix.tokens[drawn]

    return Population(draw, matrix.losses.sum(axis=1) / matrix.tokens.sum())


def _spread(candidates: int, deviation: float, seed: int) -> list[float]:
    return np.random.default_rng(seed).normal(0, deviation, candidates).tolist()


POPULATIONS: dict[str, Callable[[], Population]] = {
    "one clear winner": lambda: made_up([0.0, -0.8, *[0.0] * 19]),
    "one clear winner, skewed": lambda: made_up([0.0, -0.8, *[0.0] * 19], skewed=True),
    "two ahead": lambda: made_up([0.0, -0.8, -0.75, *[0.0] * 18]),
    "20 equals": lambda: made_up([0.5, *[0.0] * 20]),
    "21 near ties": lambda: made_up(_spread(21, 0.1, seed=1)),
    "21 apart": lambda: made_up(_spread(21, 0.3, seed=2)),
    "15 near ties, skewed": lambda: made_up(_spread(15, 0.1, seed=4), skewed=True),
    "recorded: stars": partial(recorded, "stars"),
    "recorded: oldest": partial(recorded, "oldest"),
    "recorded: translation": partial(recorded, "translation"),
    "recorded: stars, nearest": partial(recorded, "stars-nearest"),
}


@dataclass(frozen=True)
class Found:
    """Leads over one kind of rival in many trials, [T] each, in nats per token; below 0 is better.

    error: half of the corrected interval's width
    plain: as `error`, of the measured lead
    """

    true: Floats
    measured: Floats
    corrected: Floats
    error: Floats
    plain: Floats

    @property
    def bias(self) -> float:
        """Mean of corrected minus true."""
        return float(np.mean(self.corrected - self.true))

    @property
    def coverage(self) -> float:
        """Share of the corrected intervals that hold the true lead."""
        return float(np.mean(np.abs(self.corrected - self.true) <= self.error))

    @property
    def plain_coverage(self) -> float:
        return float(np.mean(np.abs(self.measured - self.true) <= self.plain))


@dataclass(frozen=True)
class Simulation:
    """Leads over the original (trials that chose another one) and over the runner-up, and wrong choices.

    wrong: whether another candidate is better in the population, bool [T]
    noise: whether the choice was said to be within noise, bool [T]
    """

    original: Found
    runner_up: Found
    wrong: NDArray[np.bool_]
    noise: NDArray[np.bool_]


def simulate(population: Population, n: int, trials: int, *, raced: bool = False) -> Simulation:
    rows: dict[bool, list[list[float]]] = {True: [], False: []}
    wrong, noise = [], []
    for trial in range(trials):
        scores = drawn(population, n, trial, raced=raced)
        best = lowest(scores)
        margin = certainty(scores, best.index, seed=trial, rounds=ROUNDS)
        for of_original, difference in ((True, margin.original), (False, margin.runner_up)):
            if difference is not None:
                rows[of_original].append(row(population, scores, best, difference))
        wrong.append(best.index != population.means.argmin())
        noise.append(margin.within_noise)
    original, runner_up = (Found(*np.array(rows[kind]).T) for kind in (True, False))
    return Simulation(original, runner_up, np.array(wrong), np.array(noise))


def drawn(population: Population, n: int, seed: int, *, raced: bool) -> list[CandidateLoss]:
    """Scores of n examples, of all candidates or as a race leaves them."""
    losses, tokens = population.draw(n, np.random.default_rng(seed))
    order: tuple[int, ...] = tuple(range(n))
    measured: Mapping[int, Sequence[float]] = dict(enumerate(losses.tolist()))
    if raced:
        finished = race(
            range(len(losses)), n, lambda c, places: losses[np.ix_(c, places)].tolist(), seed=seed
        )
        order, measured = finished.order, finished.losses
    lengths = tokens[list(order)].tolist()
    return [
        CandidateLoss(index, tuple(own), tuple(lengths[: len(own)]), order[: len(own)], n)
        for index, own in measured.items()
    ]


def row(
    population: Population, scores: Sequence[CandidateLoss], best: CandidateLoss, found: Difference
) -> list[float]:
    """True, measured and corrected lead, and half the widths of the intervals of the latter two."""
    other = next(score for score in scores if score.index == found.other)
    n, _ = shared(best, other)
    differences, tokens = np.subtract(best.nll_sum[:n], other.nll_sum[:n]), np.array(best.tokens[:n])
    mean = differences.sum() / tokens.sum()
    error = np.sqrt(((differences - mean * tokens) ** 2).sum() * n / (n - 1)) / tokens.sum()
    low, high = found.interval or (0.0, 0.0)
    true = population.means[best.index] - population.means[found.other]
    return [true, mean, found.mean, (high - low) / 2, 1.96 * error]


def table(trials: int, names: Sequence[str] = tuple(POPULATIONS)) -> Table:
    shown = Table(title=f"Leads in {trials} trials each, nats per token (below 0: better)")
    for heading in ("population", "examples", "lead over"):
        shown.add_column(heading, justify="left" if heading != "examples" else "right")
    for heading in ("true", "measured", "corrected", "measured holds", "corrected holds", "flagged if wrong"):
        shown.add_column(heading, justify="right")
    for name in names:
        for n, raced in ((80, False), (250, False), (250, True)):
            simulation = simulate(POPULATIONS[name](), n, trials, raced=raced)
            flagged = simulation.noise[simulation.wrong]
            for kind, found in (("original", simulation.original), ("runner-up", simulation.runner_up)):
                means = (f"{part.mean():+.3f}" for part in (found.true, found.measured, found.corrected))
                holds = (f"{share:.1%}" for share in (found.plain_coverage, found.coverage))
                last = f"{flagged.mean():.0%} of {len(flagged)}" if len(flagged) else "-"
                shown.add_row(name, f"{n}{' raced' if raced else ''}", kind, *means, *holds, last)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection.leads")
    parser.add_argument("--trials", type=int, default=1000, help="trials of each population and size (1000)")
    parser.add_argument("--populations", nargs="*", choices=list(POPULATIONS), default=list(POPULATIONS))
    options = parser.parse_args()
    Console(width=140).print(table(options.trials, options.populations))


if __name__ == "__main__":
    main()
