"""Scores of answers against their references."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sapo_lite.types import Example

METRICS = ("rougeL", "exact_match", "rouge1")


PUBLISHED_METRIC = "rougeL"  # for every task, classification included (released code)


def mean_scores(predictions: Sequence[str], examples: Sequence[Example]) -> dict[str, float]:
    """Means over examples, in percent: ROUGE-L F1 and ROUGE-1 F1 with stemming, exact match."""
    rows = [answer_scores(p, e.answer) for p, e in zip(predictions, examples, strict=True)]
    return {metric: 100 * sum(row[metric] for row in rows) / len(rows) for metric in METRICS}


@cache
def answer_scores(prediction: str, reference: str) -> dict[str, float]:
    """Scores of one answer, each in [0, 1]. Exact match ignores outer white space only."""
    rouge = _rouge().score(reference, prediction)
    return {
        "rougeL": rouge["rougeL"].fmeasure,
        "exact_match": float(prediction.strip() == reference.strip()),
        "rouge1": rouge["rouge1"].fmeasure,
    }


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
