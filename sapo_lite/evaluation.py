"""Testing: greedy answers, and their scores against the references."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sapo_lite.backbone import Backbone
from sapo_lite.generation import generate
from sapo_lite.types import Example, Task

if TYPE_CHECKING:
    from sapo_lite.recipe import EvaluationConfig

METRICS = ("rougeL", "exact_match", "rouge1")
PUBLISHED_METRIC = "rougeL"  # for every task, classification included (released code)


@dataclass(frozen=True)
class Evaluation:
    """Answers to a task's test examples, and their mean scores in percent, by metric."""

    predictions: list[str]
    scores: dict[str, float]


def evaluate(
    backbone: Backbone,
    task: Task,
    instructions: Sequence[str],
    config: "EvaluationConfig",
    on_done: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Answer all test examples of `task`, the i-th under instruction i modulo their number.

    `on_done` gets numbers of examples.
    """
    predictions = [""] * len(task.test)
    for place, instruction in enumerate(instructions):
        numbers = range(place, len(task.test), len(instructions))
        prompts = backbone.chat.encode_prompts(task, instruction, [task.test[n].input for n in numbers])
        answers = generate(
            backbone,
            prompts,
            max_new_tokens=config.max_new_tokens,
            batch_size=config.batch_size,
            on_done=on_done,
        )
        predictions[place :: len(instructions)] = answers
    return Evaluation(predictions, mean_scores(predictions, task.test))


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
