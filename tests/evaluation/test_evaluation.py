"""Scores of answers, worked by hand."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from sapo_lite.evaluation import evaluate as evaluation
from sapo_lite.evaluation.evaluate import evaluate
from sapo_lite.evaluation.metrics import METRICS, PUBLISHED_METRIC, mean_scores
from sapo_lite.model.chat import ChatFormat
from sapo_lite.recipe import EvaluationConfig
from sapo_lite.types import Example
from tiny import make_task, qwen3_tokenizer


def f1(matches: int, predicted: int, expected: int) -> float:
    precision, recall = matches / predicted, matches / expected
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(
    ("prediction", "reference", "rouge_l", "rouge1", "exact"),
    [
        ("positive", "positive", 1, 1, 1),
        ("negative", "positive", 0, 0, 0),
        # Word for word: all 3 predicted words are among the 6 expected ones, in their order.
        ("the cat sat", "the cat sat on the mat", f1(3, 3, 6), f1(3, 3, 6), 0),
        # 4 words are shared, of which 3 stand in the same order: cat is running.
        ("fast the cat is running", "a cat is running fast", f1(3, 5, 5), f1(4, 5, 5), 0),
        # A word predicted twice counts once.
        ("good good", "good film", f1(1, 2, 2), f1(1, 2, 2), 0),
        # Stemmed: running = runs, cats = cat; words of up to three letters stay as they are.
        ("running cats", "runs cat", 1, 1, 0),
        ("as", "a", 0, 0, 0),
        # Case and punctuation are nothing to ROUGE, and something to exact match.
        ("Positive.", "positive", 1, 1, 0),
        ("A", "a", 1, 1, 0),
        # Outer white space is nothing to either.
        (" \npositive\n", "positive ", 1, 1, 1),
        ("", "positive", 0, 0, 0),
        ("positive", "", 0, 0, 0),
        ("", "", 0, 0, 1),
        # The published metric sees Latin letters and digits only; labels are such in every task it is for.
        ("积极", "积极", 0, 0, 1),
        ("3.5", "3.5", 1, 1, 1),
        ("3 5", "3.5", 1, 1, 0),
    ],
)
def test_scores_of_one_answer(
    prediction: str, reference: str, rouge_l: float, rouge1: float, exact: float
) -> None:
    scores = {name: metric(prediction, reference) for name, metric in METRICS.items()}
    assert scores == {
        "rougeL": pytest.approx(rouge_l),
        "exact_match": exact,
        "rouge1": pytest.approx(rouge1),
    }


def test_means_are_over_examples_and_in_percent() -> None:
    examples = [Example("", answer) for answer in ("positive", "negative", "the cat sat on the mat", "yes")]
    predictions = ["positive", "positive", "the cat sat", "Yes"]
    assert mean_scores(predictions, examples) == {
        "rougeL": pytest.approx(100 * (1 + 0 + 2 / 3 + 1) / 4),
        "exact_match": 25.0,
        "rouge1": pytest.approx(100 * (1 + 0 + 2 / 3 + 1) / 4),
    }


def test_every_example_needs_its_prediction() -> None:
    with pytest.raises(ValueError, match="zip"):
        mean_scores(["positive"], [Example("", "positive"), Example("", "negative")])


def test_the_published_metric_is_among_those_stored() -> None:
    assert PUBLISHED_METRIC == "rougeL"
    assert list(METRICS) == ["rougeL", "exact_match", "rouge1"]


def test_all_test_examples_are_answered_behind_the_given_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(5)
    task = replace(task, train=())
    chat = ChatFormat(qwen3_tokenizer(), 192, 24)
    asked: dict[str, Any] = {}

    def generate(backbone: Any, prompts: list[list[int]], **settings: Any) -> list[str]:
        asked.update(settings, prompts=[chat.tokenizer.decode(ids) for ids in prompts])
        return [example.answer for example in task.test[:4]] + ["else"]

    monkeypatch.setattr(evaluation, "generate", generate)
    config = EvaluationConfig(max_new_tokens=7, batch_size=3)
    done: list[int] = []
    backbone: Any = SimpleNamespace(chat=chat)
    result = evaluate(backbone, task, ["Judge {0}."], config, done.append)
    assert asked.pop("prompts") == [chat.prompt(task, "Judge {0}.", e.input) for e in task.test]
    assert asked == {"max_new_tokens": 7, "batch_size": 3, "on_done": done.append}
    assert result.predictions[4] == "else"
    assert result.scores["exact_match"] == 100 * 4 / 5
