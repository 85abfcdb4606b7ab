"""Robustness to the prompt: scores of a task under each held-out paraphrase (PAFT, arXiv 2502.12859)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

AVERAGED = ("mean", "deviation", "worst", "best", "share")


@dataclass(frozen=True)
class Robustness:
    """Scores of one task under `n` prompts, in percent of its metric, and their statistics.

    `deviation` is the sample standard deviation (over n - 1), None for a single prompt. `share` is the
    percentage of prompts that score `threshold` or more.
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
    """Statistics of the scores by prompt (at least one)."""
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
    """Means over tasks of each statistic; tasks without a value are left out."""
    found = {name: [getattr(task, name) for task in tasks.values() if task] for name in AVERAGED}
    known = {name: [value for value in values if value is not None] for name, values in found.items()}
    return {name: fmean(values) for name, values in known.items() if values}
