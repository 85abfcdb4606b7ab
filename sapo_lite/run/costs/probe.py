"""Rates of this machine with a recipe's model: three training steps, some scoring and some answers."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.errors import BackboneError
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.steps import Step
from sapo_lite.model.identity import model_identity
from sapo_lite.recipe import Recipe
from sapo_lite.run.context import stage_seed
from sapo_lite.run.costs.times import Rates
from sapo_lite.types import Task, TrainingRow, TrainingSet, learned_tasks

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone

_STEPS = 3  # the first one also compiles or fills caches, and is not counted
_SCORED, _ANSWER = 32, 17  # rows that are scored; tokens of an answer


def probe(recipe: Recipe, tasks: Sequence[Task]) -> Rates:
    """Measure the rates. The model is loaded; its weights are not trained for longer than the probe.

    Raises:
        BackboneError: the model is not on this disk: a probe downloads nothing.
    """
    from sapo_lite.model.load import load_backbone

    if not model_identity(recipe.model.name):
        raise BackboneError(
            f"--probe: expected {recipe.model.name} on this disk, found none; a probe downloads nothing. "
            f"Fetch it with `hf download {recipe.model.name}`, or plan without --probe."
        )
    backbone, task = load_backbone(recipe.model), learned_tasks(tasks)[0]
    task = backbone.chat.fit(task, [task.instruction])
    rows = [TrainingRow(task.instruction, example.input, example.answer) for example in task.train]
    trained = _training_rate(recipe, backbone, task, rows)
    return Rates(_scoring_rate(backbone, task, rows), trained, _step_seconds(recipe, backbone, task))


def _training_rate(recipe: Recipe, backbone: "Backbone", task: Task, rows: Sequence[TrainingRow]) -> float:
    """Tokens a second of optimiser steps of one micro-batch."""
    from sapo_lite.learning.trainer import train

    config, steps = recipe.training, list[Step]()
    size = config.micro_batch_size
    adapter = METHODS[recipe.adapter.method].build(
        backbone, recipe.adapter, tasks=1, checkpointing=config.gradient_checkpointing
    )
    adapter.open_block(0, seed=stage_seed(recipe, 1))
    few = config.model_copy(update={"epochs": 1, "batch_size": size, "checkpoint_every": 0})
    chosen = [rows[number % len(rows)] for number in range(_STEPS * size)]
    with tempfile.TemporaryDirectory() as folder:
        train(
            backbone,
            adapter,
            [TrainingSet(task, chosen)],
            few,
            checkpoints=Path(folder, "checkpoints"),
            seed=0,
            on_step=steps.append,
        )
    counted = steps[1:]
    return sum(step.tokens for step in counted) / sum(step.seconds for step in counted)


def _scoring_rate(backbone: "Backbone", task: Task, rows: Sequence[TrainingRow]) -> float:
    """Unique tokens a second of scoring: the prefix of a pack counts once."""
    from sapo_lite.model.batching import shared_prefix
    from sapo_lite.model.loss import answer_nll

    encoded = backbone.chat.encode(task, [rows[number % len(rows)] for number in range(_SCORED)])
    seconds = _seconds(lambda: answer_nll(backbone, encoded))
    return sum(len(row.ids) - shared_prefix(encoded) for row in encoded) / seconds


def _step_seconds(recipe: Recipe, backbone: "Backbone", task: Task) -> float:
    """Seconds of one decoding step: the time of long answers less that of answers of one token."""
    from sapo_lite.model.generation import generate

    size = recipe.evaluation.batch_size
    prompts = backbone.chat.encode_prompts(task, task.instruction, [row.input for row in task.test[:size]])

    def answer(tokens: int) -> list[str]:
        return generate(backbone, prompts, max_new_tokens=tokens, batch_size=size)

    first = _seconds(lambda: answer(1))
    answers: list[str] = []
    whole = _seconds(lambda: answers.extend(answer(_ANSWER)))
    steps = max(map(len, backbone.chat.encode_texts(answers)), default=0)
    return max(0.0, whole - first) / max(1, steps)


def _seconds(work: Callable[[], object]) -> float:
    """Seconds of the second time: the first one also compiles or fills caches."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
