"""Answers to the test examples of a task."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from sapo_lite.evaluation import evaluate as evaluation
from sapo_lite.evaluation.evaluate import evaluate
from sapo_lite.evaluation.rows import Row
from sapo_lite.model.chat import ChatFormat
from sapo_lite.recipe import EvaluationConfig
from tiny import make_task, qwen3_tokenizer


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
    assert result.scores["exact_match"] == 100 * 4 / 5
    right = [Row(example.input, example.answer, example.answer, 100.0) for example in task.test[:4]]
    assert result.rows[:4] == right
    assert result.rows[4] == Row(task.test[4].input, task.test[4].answer, "else", 0.0)
