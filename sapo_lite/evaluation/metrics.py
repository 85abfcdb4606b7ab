"""Metrics: scores of an answer against its reference.

A metric is a function and an entry in METRICS. Every metric is computed for every task, stored in
`results.json` as a matrix R, and averaged to AP, BWT and FWT.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sapo_lite.types import Example

PUBLISHED_METRIC = "rougeL"  # for every task, classification included (released code)


def rouge_l(prediction: str, reference: str) -> float:
    """F1 of the longest common subsequence of words, with stemming."""
    return float(_rouge(prediction, reference)["rougeL"].fmeasure)


def exact_match(prediction: str, reference: str) -> float:
    """1 for texts that are equal up to outer white space, else 0."""
    return float(prediction.strip() == reference.strip())


def rouge_1(prediction: str, reference: str) -> float:
    """F1 of the common words, with stemming."""
    return float(_rouge(prediction, reference)["rouge1"].fmeasure)


# (prediction, reference) -> score in [0, 1].
METRICS: dict[str, Callable[[str, str], float]] = {
    PUBLISHED_METRIC: rouge_l,
    "exact_match": exact_match,
    "rouge1": rouge_1,
}


def mean_scores(predictions: Sequence[str], examples: Sequence[Example]) -> dict[str, float]:
    """Means over examples by metric, in percent."""
    pairs = [(p, e.answer) for p, e in zip(predictions, examples, strict=True)]
    return {name: 100 * sum(metric(*pair) for pair in pairs) / len(pairs) for name, metric in METRICS.items()}


@cache
def _rouge(prediction: str, reference: str) -> Any:
    return _scorer().score(reference, prediction)


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
