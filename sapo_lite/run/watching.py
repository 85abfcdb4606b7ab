"""Watched sets and tasks of a run: tested at every stage, never trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from sapo_lite.data.watch_sets import HARNESS, is_set, read_watch_set, set_file
from sapo_lite.errors import DataError
from sapo_lite.evaluation.choices import score_choices
from sapo_lite.evaluation.evaluate import evaluate
from sapo_lite.evaluation.harness import load_harness_task, score_harness
from sapo_lite.evaluation.own_metrics import shown_name
from sapo_lite.evaluation.rows import WatchScores
from sapo_lite.model.backbone import Backbone
from sapo_lite.recipe import Recipe
from sapo_lite.run import paths
from sapo_lite.run.progress import RunProgress
from sapo_lite.run.stage_folder import Stage, Watched
from sapo_lite.run.usage import Usage
from sapo_lite.types import Task


@dataclass(frozen=True)
class WatchTest:
    """A test of one watched set or task with the model as it is.

    total, unit: its amount of work
    score: does it; the argument gets the amount done since its last call
    """

    total: int
    unit: str
    score: Callable[[Callable[[int], None]], WatchScores]


def open_watched(recipe: Recipe, backbone: Backbone, tasks: Sequence[Task]) -> dict[str, WatchTest]:
    """Tests by name: of the watched tasks, then of the sets and tasks of the harness in `sequence.watch`.

    tasks: watched tasks

    Raises:
        DataError: a task of the harness cannot be loaded, or a name is taken twice.
    """
    found: dict[str, WatchTest] = {}
    for task in tasks:
        fitted = backbone.chat.fit(task, [task.instruction])
        found[task.key] = WatchTest(len(task.test), "answers", partial(_test_task, recipe, backbone, fitted))
    for name in filter(is_set, recipe.sequence.watch):
        if name in found:
            raise DataError(f"sequence.watch has {name}: expected another name than that of a watched task")
        if name.startswith(HARNESS):
            file = set_file(name, recipe.sequence.folder)
            loaded = load_harness_task(name.removeprefix(HARNESS), file)
            limit = recipe.sequence.test_examples
            documents = sum(min(limit, len(task.eval_docs)) for task in loaded.values())
            score = partial(score_harness, backbone, loaded, limit)
            found[name] = WatchTest(documents, "documents", score)
        else:
            items = read_watch_set(name)
            choices = sum(len(item.choices) for item in items)
            found[name] = WatchTest(choices, "choices", partial(score_choices, backbone, items))
    return found


def _test_task(recipe: Recipe, backbone: Backbone, task: Task, on_done: Callable[[int], None]) -> WatchScores:
    found = evaluate(backbone, task, [task.instruction], recipe.evaluation, on_done)
    return WatchScores(shown_name(task.metric), found.rows, {})


def test_watched(
    tests: Mapping[str, WatchTest], stage: Stage, usage: Usage, progress: RunProgress
) -> dict[str, Watched]:
    """Scores of all watched sets and tasks after a stage; its folder keeps the answers."""
    found = {}
    for name, test in tests.items():
        progress.stage(f"testing what is watched: {name}")
        with usage.measure("evaluate"), progress.work("testing", test.total, test.unit) as meter:
            make = partial(_made, test, partial(meter.advance, note=name))
            scores = stage.cached_as(WatchScores, paths.watched(name), make)
        found[name] = Watched(scores.metric, scores.score, scores.parts)
    return found


def _made(test: WatchTest, on_done: Callable[[int], None]) -> dict[str, Any]:
    return asdict(test.score(on_done))
