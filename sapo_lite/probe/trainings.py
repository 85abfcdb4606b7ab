"""What a probe measures: the candidates of a task in a state, and all tasks after training with each."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from sapo_lite.evaluation.evaluate import evaluate
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.learning.gradient import gradient_norm
from sapo_lite.probe.clusters import clusters_of
from sapo_lite.probe.results import ProbedCandidate, ProbeResults, ProbeTraining, Scores, write_probe
from sapo_lite.probe.state import State
from sapo_lite.prompts.choice import describe_choice
from sapo_lite.prompts.losses import CandidateLoss, scores_to_json
from sapo_lite.recipe import Recipe
from sapo_lite.run import paths
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind
from sapo_lite.run.measuring import measure_losses
from sapo_lite.run.pipeline import learn_stages
from sapo_lite.run.progress import RunProgress, Silent
from sapo_lite.run.stage_folder import Stage, StageScores, Watched
from sapo_lite.run.testing import finish_stage
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.run.usage import Usage
from sapo_lite.support.library_logs import chatter_to
from sapo_lite.types import Candidate, Task

_ACCURACIES = "accuracies"


class Watcher(Protocol):
    """Callbacks for trainings: before a new one, and after each; `took` is 0 if it was there already."""

    def started(self, state: State, candidate: Candidate, order: int) -> None: ...

    def finished(self, state: State, took: float) -> None: ...


def training_name(candidate: int, order: int) -> str:
    """Name of the file of one training in the folder of a probe, without its ending."""
    return f"candidate-{candidate:02d}-order-{order}"


def probe_states(
    recipe: Recipe,
    tasks: Sequence[Task],
    run: RunFolder,
    folders: Mapping[int, Path],
    orders: int,
    *,
    accuracy: bool,
    watcher: Watcher,
    progress: RunProgress,
    pull: bool,
) -> dict[int, ProbeResults]:
    """Learn a run as far as its last state that is probed, and probe its states.

    tasks: of the run, to which its folder is bound
    folders: folder of each probe, by the number of tasks that are learned before it
    """
    reached, found = learn_stages(recipe, tasks, run, progress, pull=pull, until=max(folders)), {}
    for learned, path in folders.items():
        with RunFolder(path) as folder, chatter_to(path / paths.LOG):
            bind(folder, recipe, tasks)
            context = replace(reached.context, usage=Usage(folder))
            state = State(replace(reached, context=context), learned)
            progress.stage(f"scoring the candidates of {state.task.name}")
            results = _measure(state, Stage(path), orders, accuracy=accuracy, watcher=watcher)
            write_probe(path, results)
            found[learned] = results
    return found


def _measure(state: State, folder: Stage, orders: int, *, accuracy: bool, watcher: Watcher) -> ProbeResults:
    """Measure all candidates in a state and after training with each, or go on where a process stopped.

    folder: keeps the losses, and a file for each training, written whole
    orders: number of orders of the rows to train in
    accuracy: whether candidates also answer the scoring examples
    """
    recipe = state.context.recipe
    candidates = _candidates(state, folder, accuracy=accuracy)
    trainings = []
    for order in range(orders):
        for candidate in state.candidates:
            name, start = training_name(candidate.index, order), time.perf_counter()
            if new := not folder.has(name):
                watcher.started(state, candidate, order)
            make = partial(_training, state, candidate, order, Stage(folder.path / name))
            trainings.append(folder.cached_as(ProbeTraining, name, make))
            shutil.rmtree(folder.path / name, ignore_errors=True)  # what is needed is in the file now
            watcher.finished(state, time.perf_counter() - start if new else 0.0)
    keys = [task.key for task in state.run.tasks]
    return ProbeResults(
        recipe=recipe.name,
        adapter=recipe.adapter.method,
        state=recipe.prompt.strategy,
        seed=recipe.seed,
        learning_rate=recipe.training.learning_rate,
        tasks=keys,
        learned=state.learned,
        before=_own_metric(state.record.scores, keys),
        watched_before=_watched(state.record.watched),
        candidates=candidates,
        trainings=trainings,
    )


def _candidates(state: State, folder: Stage, *, accuracy: bool) -> list[ProbedCandidate]:
    """The candidates, measured in the state."""
    context, pool = state.context, state.candidates

    def losses() -> list[dict[str, Any]]:
        state.restore()
        return scores_to_json(measure_losses(context, state.number, state.task, pool, race=False))

    with context.usage.measure("score"):
        found = {one.index: one for one in folder.cached_as(list[CandidateLoss], paths.LOSSES, losses)}
    accuracies: Sequence[float | None] = [None] * len(pool)
    if accuracy:
        accuracies = folder.cached_as(list[float], _ACCURACIES, partial(_accuracies, state))
    texts = [candidate.text for candidate in pool]
    lengths = map(len, context.backbone.chat.encode_texts(texts))
    return [
        ProbedCandidate(
            index=candidate.index,
            text=candidate.text,
            cluster=cluster,
            loss=found[candidate.index].loss,
            accuracy=accurate,
            length=length,
        )
        for candidate, cluster, accurate, length in zip(
            pool, clusters_of(texts), accuracies, lengths, strict=True
        )
    ]


def _accuracies(state: State) -> list[float]:
    """Scores of greedy answers to the scoring examples, by candidate, in percent of the task's metric."""
    context, recipe = state.context, state.context.recipe
    asked = replace(state.task, test=state.task.train[: recipe.scoring.examples(len(state.task.train))])
    state.restore()
    found = []
    answers = len(asked.test) * len(state.candidates)
    with context.usage.measure("score"), context.progress.work("answering", answers, "answers") as meter:
        for candidate in state.candidates:
            of_one = evaluate(context.backbone, asked, [candidate.text], recipe.evaluation, meter.advance)
            found.append(of_one.scores[TASK_METRIC])
    return found


def _training(state: State, candidate: Candidate, order: int, stage: Stage) -> dict[str, Any]:
    """Train with a candidate and test all tasks, in a folder that is as that of a stage of a run."""
    context, adapter = state.context, state.context.adapter
    silent = replace(context, progress=Silent(context.progress.notice))
    state.open()
    new = state.training_set(candidate)

    def gradient() -> float:
        micro_batch = context.recipe.training.micro_batch_size
        return gradient_norm(context.backbone, adapter, new, micro_batch)

    norm = stage.cached_as(float, "gradient", gradient)
    if stage.adapter.exists():
        adapter.load(stage.adapter)
    else:
        state.train(candidate, order, stage)
        stage.keep_adapter(adapter.save)
    update = adapter.update_norm()
    choice = describe_choice(context.backbone, context.recipe.prompt.strategy, candidate, ())
    learned = {**state.past, state.task.id: TrainedTask(new, choice, candidate)}
    record = finish_stage(silent, state.run.tasks, learned, stage)
    scores = _own_metric(record.scores, [task.key for task in state.run.tasks])
    watched = _watched(record.watched)
    return asdict(ProbeTraining(candidate.index, order, norm, update, scores, watched))


def _own_metric(scores: StageScores, tasks: Sequence[str]) -> Scores:
    return {
        kind: {task: by_metric[TASK_METRIC] for task, by_metric in zip(tasks, of_kind, strict=True)}
        for kind, of_kind in scores.items()
    }


def _watched(found: Mapping[str, Watched]) -> dict[str, float]:
    return {name: one.score for name, one in found.items()}
