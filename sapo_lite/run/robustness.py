"""Robustness report of a run: all tasks are tested with every held-out prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from sapo_lite.evaluation.evaluate import evaluate
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.evaluation.robustness import Robustness, robustness
from sapo_lite.evaluation.rows import Evaluation
from sapo_lite.model.backbone import Backbone
from sapo_lite.run import paths
from sapo_lite.run.stage_folder import Stage
from sapo_lite.support.progress import Progress
from sapo_lite.types import Candidate, Task

if TYPE_CHECKING:
    from sapo_lite.recipe import EvaluationConfig


def measure_robustness(
    backbone: Backbone,
    tasks: Sequence[Task],
    held_out: Mapping[str, Sequence[Candidate]],
    config: "EvaluationConfig",
    stage: Stage,
    progress: Progress,
) -> dict[str, Robustness | None]:
    """Test all tasks on all test examples with each of their first `config.robustness` held-out prompts.

    held_out: prompts by task id
    stage: its folder caches the answers, prompt by prompt

    Returns reports by task key: None for a task without held-out prompts. Empty if `config.robustness` is 0.
    """
    if not config.robustness:
        return {}
    prompts = {task.id: held_out[task.id][: config.robustness] for task in tasks}
    missing = [task for task in tasks for p in prompts[task.id] if not stage.has(_file(task, p))]
    progress.stage(f"testing under up to {config.robustness} prompts held out")
    with progress.work("testing", sum(len(task.test) for task in missing), "answers") as meter:

        def score(task: Task, prompt: Candidate) -> float:
            def answers() -> dict[str, Any]:
                on_done = partial(meter.advance, note=task.name)
                return asdict(evaluate(backbone, task, [prompt.text], config, on_done))

            return stage.cached_as(Evaluation, _file(task, prompt), answers).scores[TASK_METRIC]

        by_task = {task.key: [score(task, prompt) for prompt in prompts[task.id]] for task in tasks}
    return {task: robustness(found, config.threshold) if found else None for task, found in by_task.items()}


def _file(task: Task, prompt: Candidate) -> str:
    """Name of the cached answers of a task with one held-out prompt."""
    return paths.predictions(task.key, f"unseen-{prompt.index}")
