"""How much depends on the wording: tasks tested under every prompt held out (PAFT, arXiv 2502.12859)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

AVERAGED = ("mean", "deviation", "worst", "best", "share")


@dataclass(frozen=True)
class Robustness:
    """Scores of one task under `n` prompts, in percent of the published metric, and what they come to.

    `deviation` is the standard deviation of a sample (over n - 1), None of a single prompt. `share` is
    the percentage of prompts that score `threshold` or more.
    """

    scores: list[float]
    mean: float
    deviation: float | None
    worst: float
    best: float
    share: float
    threshold: float
    n: int


def robustness(scores: Sequence[float], threshold: float) -> Robustness:
    """What scores by prompt, at least one, come to."""
    return Robustness(
        scores=list(scores),
        mean=fmean(scores),
        deviation=stdev(scores) if len(scores) > 1 else None,
        worst=min(scores),
        best=max(scores),
        share=100 * sum(score >= threshold for score in scores) / len(scores),
        threshold=threshold,
        n=len(scores),
    )


def averages(tasks: Mapping[str, Robustness | None]) -> dict[str, float]:
    """Means over tasks, by name of the value; a task that has none is left out."""
    found = {name: [getattr(task, name) for task in tasks.values() if task] for name in AVERAGED}
    known = {name: [value for value in values if value is not None] for name, values in found.items()}
    return {name: fmean(values) for name, values in known.items() if values}
