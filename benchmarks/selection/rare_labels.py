"""Rare-label benchmark: races in which the best candidate's whole advantage is in a label of few examples.

    python -m benchmarks.selection.rare_labels [--races 400]

The best of 21 candidates alone masters a label of 5, 8 or 12 among 250 examples: there the others have 6, 4
or 3 nats more, and everywhere else 0.02 nats less, with noise of a small deviation. Races in a simple random
order lose it; those of a run, in an order stratified by answer, should not.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from sapo_lite.prompts.racing import leader, race
from sapo_lite.prompts.strata import strata

CANDIDATES, EXAMPLES = 21, 250
RARE = {5: 6.0, 8: 4.0, 12: 3.0}  # examples with the label: nats that the others have more there
DEVIATIONS = (0.01, 0.05, 0.2)
ELSEWHERE = -0.02


@dataclass(frozen=True)
class Races:
    """Shares of the races that lost the lowest loss, and of the work that was done, 0 to 1."""

    lost: float
    work: float


def losses(examples: int, deviation: float, seed: int) -> NDArray[np.float64]:
    """Losses [C, N] in nats; the first `examples` have the rare label, candidate 0 masters it."""
    found = np.random.default_rng(seed).normal(0, deviation, (CANDIDATES, EXAMPLES))
    found[1:, :examples] += RARE[examples]
    found[1:, examples:] += ELSEWHERE
    return found


def simulate(examples: int, deviation: float, races: int, *, stratified: bool) -> Races:
    answers = ["rare"] * examples + ["yes", "no"] * ((EXAMPLES - examples) // 2 + 1)
    kinds = strata(answers[:EXAMPLES], [1] * EXAMPLES) if stratified else ()
    lost = done = 0
    for seed in range(races):
        matrix = losses(examples, deviation, seed)

        def measure(
            candidates: Sequence[int], positions: Sequence[int], matrix: NDArray[np.float64] = matrix
        ) -> list[list[float]]:
            found: list[list[float]] = matrix[np.ix_(candidates, positions)].tolist()
            return found

        finished = race(range(CANDIDATES), EXAMPLES, measure, seed=seed, strata=kinds)
        lost += finished.winner != leader(dict(enumerate(matrix.tolist())))
        done += sum(len(own) for own in finished.losses.values())
    return Races(lost / races, done / races / CANDIDATES / EXAMPLES)


def table(races: int) -> Table:
    shown = Table(title=f"The best candidate masters a rare label: {races} races each")
    for heading in ("examples", "deviation", "random order: lost", "work", "by answer: lost", "work"):
        shown.add_column(heading, justify="right")
    for examples in RARE:
        for deviation in DEVIATIONS:
            both = [simulate(examples, deviation, races, stratified=chosen) for chosen in (False, True)]
            cells = [text for found in both for text in (f"{found.lost:.1%}", f"{found.work:.0%}")]
            shown.add_row(f"{examples} of {EXAMPLES}", f"{deviation:g}", *cells)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection.rare_labels")
    parser.add_argument("--races", type=int, default=400, help="races of each kind (400)")
    Console(width=120).print(table(parser.parse_args().races))


if __name__ == "__main__":
    main()
