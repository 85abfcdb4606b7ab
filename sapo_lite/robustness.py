"""How much depends on the wording: tasks tested under every prompt held out (PAFT, arXiv 2502.12859)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from sapo_lite.backbone import Backbone
from sapo_lite.display import Display
from sapo_lite.evaluation import PUBLISHED_METRIC, evaluate
from sapo_lite.rundir import Stage
from sapo_lite.types import Candidate, Task

if TYPE_CHECKING:
    from sapo_lite.recipe import EvaluationConfig

AVERAGED = ("mean", "deviation", "worst", "best", "share")


@dataclass(frozen=True)
class Robustness:
    """Scores of one task under `n` prompts, in percent of the published metric, and what they come to.

    `deviation` is the standard deviation of a sample (over n - 1), None of a single prompt. `share` is
    the percentage of prompts that score `threshold` or more.
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
    """What scores by prompt, at least one, come to."""
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
    """Means over tasks, by name of the value; a task that has none is left out."""
    found = {name: [getattr(task, name) for task in tasks.values() if task] for name in AVERAGED}
    known = {name: [value for value in values if value is not None] for name, values in found.items()}
    return {name: fmean(values) for name, values in known.items() if values}


def measure_robustness(
    backbone: Backbone,
    tasks: Sequence[Task],
    held_out: Mapping[str, Sequence[Candidate]],
    config: "EvaluationConfig",
    stage: Stage,
    show: Display,
) -> dict[str, Robustness | None]:
    """Test all tasks on all their test examples under each of their first `config.robustness` prompts.

    `held_out` has the prompts by task id. The answers are kept in the stage's folder, prompt by prompt.
    Returns reports by short id: None for a task of which nothing is held out, none at all if not asked for.
    """
    if not config.robustness:
        return {}
    prompts = {task.id: held_out[task.id][: config.robustness] for task in tasks}
    missing = [task for task in tasks for p in prompts[task.id] if not stage.has(_file(task, p))]
    show.stage(f"testing under up to {config.robustness} prompts held out")
    with show.work("testing", sum(len(task.test) for task in missing), "answers") as meter:

        def score(task: Task, prompt: Candidate) -> float:
            def answers() -> dict[str, Any]:
                on_done = partial(meter.advance, note=task.short_id)
                return asdict(evaluate(backbone, task, [prompt.text], config, on_done))

            return stage.cached(_file(task, prompt), answers)["scores"][PUBLISHED_METRIC]

        by_task = {task.short_id: [score(task, prompt) for prompt in prompts[task.id]] for task in tasks}
    return {task: robustness(found, config.threshold) if found else None for task, found in by_task.items()}


def _file(task: Task, prompt: Candidate) -> str:
    """Where a stage keeps the answers to one prompt; the number is the candidate's."""
    return f"predictions/{task.short_id}-unseen-{prompt.index}"
