"""Testing: greedy answers, and their scores against the references."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sapo_lite.evaluation.metrics import all_scores
from sapo_lite.evaluation.rows import Evaluation, Row
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.generation import generate
from sapo_lite.types import Task

if TYPE_CHECKING:
    from sapo_lite.recipe import EvaluationConfig


def evaluate(
    backbone: Backbone,
    task: Task,
    instructions: Sequence[str],
    config: "EvaluationConfig",
    on_done: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Answer all test examples of `task`; example i has instruction i modulo the number of instructions.

    `on_done` gets the number of examples done since its last call.
    """
    answers = [""] * len(task.test)
    for place, instruction in enumerate(instructions):
        numbers = range(place, len(task.test), len(instructions))
        prompts = backbone.chat.encode_prompts(task, instruction, [task.test[n].input for n in numbers])
        answers[place :: len(instructions)] = generate(
            backbone,
            prompts,
            max_new_tokens=config.max_new_tokens,
            batch_size=config.batch_size,
            on_done=on_done,
        )
    means, scores = all_scores(answers, task, config.exact_match)
    rows = [Row(e.input, e.answer, a, s) for e, a, s in zip(task.test, answers, scores, strict=True)]
    return Evaluation(rows, means)
