"""Metrics: scores of an answer against its reference.

A metric is a function and an entry in METRICS. Every metric is computed for every task, stored in
`results.json` as a matrix R, and averaged to AP, BWT and FWT. A task's own metric (`Task.metric`) is one of
them, or a function of the user (sapo_lite.evaluation.own_metrics), and is stored as TASK_METRIC.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import starmap
from typing import Any, Literal

from sapo_lite.data.labels import AROUND, label_of
from sapo_lite.data.scripts import HAN, KANA
from sapo_lite.evaluation.numbers import last_number
from sapo_lite.evaluation.own_metrics import own_metric
from sapo_lite.types import Task

PUBLISHED_METRIC = "rougeL"  # for every task, classification included (released code)
TASK_METRIC = "task_metric"

# (prediction, reference, labels) -> score in [0, 1]. Texts are in NFC; labels are empty for free answers.
Metric = Callable[[str, str, Sequence[str]], float]


def rouge_l(prediction: str, reference: str, labels: Sequence[str]) -> float:
    """F1 of the longest common subsequence of words (a-z, 0-9), with stemming: as released."""
    return float(_rouge(prediction, reference)["rougeL"].fmeasure)


def exact_match(prediction: str, reference: str, labels: Sequence[str]) -> float:
    """1 for texts that are equal up to outer white space, else 0."""
    return float(prediction.strip() == reference.strip())


def loose_exact_match(prediction: str, reference: str, labels: Sequence[str]) -> float:
    """1 for texts that are equal without case, ASCII punctuation and white space between words, else 0.

    This is SQuAD's normalisation as the released code has it: articles stay.
    """
    return float(_normalised(prediction) == _normalised(reference))


def rouge_1(prediction: str, reference: str, labels: Sequence[str]) -> float:
    """F1 of the common words (a-z, 0-9), with stemming: as released."""
    return float(_rouge(prediction, reference)["rouge1"].fmeasure)


def accuracy(prediction: str, reference: str, labels: Sequence[str]) -> float:
    """1 if the answer is the reference's label, else 0; for a reference that is no label, exact match."""
    right = label_of(reference, labels)
    if right is None:
        return exact_match(prediction, reference, labels)
    return float(label_of(prediction, labels) == right)


def token_f1(prediction: str, reference: str, labels: Sequence[str]) -> float:
    """F1 of the common words of any script, without case and outer punctuation."""
    found, expected = _words(prediction), _words(reference)
    if not found or not expected:
        return float(found == expected)
    return 2 * (found & expected).total() / (found.total() + expected.total())


def chrf(prediction: str, reference: str, labels: Sequence[str]) -> float:
    """chrF of one answer: F2 of its character sequences of up to 6, without white space (sacrebleu)."""
    if prediction.split() == reference.split():
        return 1.0
    return float(_chrf().sentence_score(prediction, [reference]).score) / 100


def numeric(prediction: str, reference: str, labels: Sequence[str]) -> float:
    """1 if the last numbers of both texts are equal; for a reference without a number, exact match."""
    right = last_number(reference)
    if right is None:
        return exact_match(prediction, reference, labels)
    found = last_number(prediction)
    return float(found is not None and not right.isdisjoint(found))


def similarity(prediction: str, reference: str, labels: Sequence[str]) -> float:
    """Edit similarity of code as TRACE has it for Py150: fuzz.ratio in whole percent, literals unwrapped."""
    from rapidfuzz.fuzz import ratio

    one, other = _code(prediction), _code(reference)
    return round(ratio(one, other)) / 100 if one and other else 0.0


METRICS: dict[str, Metric] = {
    PUBLISHED_METRIC: rouge_l,
    "exact_match": exact_match,
    "rouge1": rouge_1,
    "accuracy": accuracy,
    "token_f1": token_f1,
    "chrf": chrf,
    "numeric": numeric,
    "similarity": similarity,
}


# By the values of evaluation.exact_match.
ExactMatch = Literal["strict", "squad"]
_EXACT_MATCH: dict[ExactMatch, Metric] = {"strict": exact_match, "squad": loose_exact_match}


def score_of(task: Task, exact: ExactMatch = "strict") -> Callable[[str, str], float]:
    """The score, in [0, 1], of an answer against a reference by the task's own metric."""
    return _applied(_metrics(exact).get(task.metric) or own_metric(task.metric), task)


def all_scores(
    answers: Sequence[str], task: Task, exact: ExactMatch = "strict"
) -> tuple[dict[str, float], list[float]]:
    """Scores of answers to the task's test examples, in percent.

    Returns means by metric (METRICS, and TASK_METRIC of the task's own), and the score of each answer by the
    task's own metric.
    """
    pairs, own = _pairs(answers, task), _own_scores(answers, task, exact)

    def mean(scores: Iterable[float]) -> float:
        return 100 * sum(scores) / len(pairs)

    means = {name: mean(starmap(_applied(metric, task), pairs)) for name, metric in _metrics(exact).items()}
    return {**means, TASK_METRIC: mean(own)}, [100 * score for score in own]


def mean_scores(answers: Sequence[str], task: Task, exact: ExactMatch = "strict") -> dict[str, float]:
    """Means over the task's test examples, in percent: of METRICS, and TASK_METRIC of the task's own."""
    return all_scores(answers, task, exact)[0]


def row_scores(answers: Sequence[str], task: Task, exact: ExactMatch = "strict") -> list[float]:
    """Scores of the answers to the task's test examples by the task's own metric, in percent."""
    return [100 * score for score in _own_scores(answers, task, exact)]


def _own_scores(answers: Sequence[str], task: Task, exact: ExactMatch) -> list[float]:
    return list(starmap(score_of(task, exact), _pairs(answers, task)))


def _pairs(answers: Sequence[str], task: Task) -> list[tuple[str, str]]:
    return [(answer, example.answer) for answer, example in zip(answers, task.test, strict=True)]


def _metrics(exact: ExactMatch) -> dict[str, Metric]:
    """METRICS with this kind of exact match."""
    return METRICS | {"exact_match": _EXACT_MATCH[exact]}


def _applied(metric: Metric, task: Task) -> Callable[[str, str], float]:
    return lambda prediction, reference: metric(_nfc(prediction), _nfc(reference), task.labels)


def _normalised(text: str) -> str:
    return " ".join("".join(c for c in text.lower() if c not in string.punctuation).split())


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@cache
def _rouge(prediction: str, reference: str) -> Any:
    return _scorer().score(reference, prediction)


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rougeL"], use_stemmer=True)


@cache
def _chrf() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()


def _words(text: str) -> Counter[str]:
    """Words in lower case without outer punctuation, which keep their signs (C++, -1); Chinese and Japanese
    characters one by one."""
    chunks = re.split(r"[\s。，、；：！？]+", unicodedata.normalize("NFKC", text).casefold())
    words = (re.findall(rf"[{HAN}{KANA}]|[^{HAN}{KANA}]+", chunk.strip(AROUND) or chunk) for chunk in chunks)
    return Counter(word for found in words for word in found)


def _code(text: str) -> str:
    """Code with the literals of Py150 in place of their marks, as TRACE unwraps them."""
    text = text.replace("<NUM_LIT>", "0").replace("<STR_LIT>", "").replace("<CHAR_LIT>", "")
    return re.sub(r"<(?:STR|NUM|CHAR)_LIT:(.*?)>", r"\1", text, flags=re.DOTALL)
