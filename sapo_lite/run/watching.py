"""Watched sets and tasks of a run: tested at every stage, never trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial

from sapo_lite.data.watch_sets import HARNESS, is_set, read_watch_set, set_file
from sapo_lite.errors import DataError
from sapo_lite.evaluation.choices import WatchScores, score_choices
from sapo_lite.evaluation.evaluate import evaluate
from sapo_lite.evaluation.harness import load_harness_task, score_harness
from sapo_lite.evaluation.metrics import METRICS
from sapo_lite.model.backbone import Backbone
from sapo_lite.recipe import Recipe
from sapo_lite.run import paths
from sapo_lite.run.progress import RunProgress
from sapo_lite.run.stage_folder import Stage, Watched
from sapo_lite.run.usage import Usage
from sapo_lite.types import Task

# Tests one watched set or task with the model as it is; the argument gets the rows done since its last call.
Test = Callable[[Callable[[int], None]], WatchScores]


def row_scores(task: Task, predictions: Sequence[str]) -> list[float]:
    """Scores of the answers to the task's test examples by the task's metric, in percent."""
    metric = METRICS[task.metric]
    return [100 * metric(p, e.answer) for p, e in zip(predictions, task.test, strict=True)]


def open_watched(recipe: Recipe, backbone: Backbone, tasks: Sequence[Task]) -> dict[str, Test]:
    """Tests by name: of the watched tasks, then of the sets and tasks of the harness in `sequence.watch`.

    tasks: watched tasks

    Raises:
        DataError: a task of the harness cannot be loaded, or a name is taken twice.
    """
    found: dict[str, Test] = {}
    for task in tasks:
        fitted = backbone.chat.fit(task, [task.instruction])
        found[task.key] = partial(_test_task, recipe, backbone, fitted)
    for name in filter(is_set, recipe.sequence.watch):
        if name in found:
            raise DataError(f"sequence.watch has {name}: expected another name than that of a watched task")
        if name.startswith(HARNESS):
            file = set_file(name, recipe.sequence.folder)
            loaded = load_harness_task(name.removeprefix(HARNESS), file)
            found[name] = partial(_test_harness, backbone, loaded, recipe.sequence.test_examples)
        else:
            found[name] = partial(score_choices, backbone, read_watch_set(name))
    return found


def _test_task(recipe: Recipe, backbone: Backbone, task: Task, on_done: Callable[[int], None]) -> WatchScores:
    answers = evaluate(backbone, task, [task.instruction], recipe.evaluation, on_done).predictions
    return WatchScores(task.metric, answers, row_scores(task, answers), {})


def _test_harness(
    backbone: Backbone, loaded: Mapping[str, object], limit: int, _on_done: Callable[[int], None]
) -> WatchScores:
    return score_harness(backbone, dict(loaded), limit)


def test_watched(
    tests: Mapping[str, Test], stage: Stage, usage: Usage, progress: RunProgress
) -> dict[str, Watched]:
    """Scores of all watched sets and tasks after a stage; its folder keeps the answers."""
    found = {}
    for name, test in tests.items():
        progress.stage(f"testing what is watched: {name}")
        with usage.measure("evaluate"):
            scores = stage.cached_as(
                WatchScores, paths.watched(name), lambda test=test: asdict(test(_silent))
            )
        found[name] = Watched(scores.metric, scores.score, scores.parts)
    return found


def _silent(_count: int) -> None:
    pass
