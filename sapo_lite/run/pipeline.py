"""The method, from a recipe to its results. `run` reads like the paper's algorithm."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path

from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.data.tasks import load_sequence
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS, name_of
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.load import load_backbone
from sapo_lite.model.selfcheck import ROWS, check_packs, require_plain_logits
from sapo_lite.prompts.make import make_pools
from sapo_lite.prompts.pool import Pool, original_alone, pool_from_json, pool_to_json
from sapo_lite.prompts.sources import SourceContext
from sapo_lite.recipe import Recipe, differences
from sapo_lite.run.environment import environment
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.results import Results, collect, published_row, stand_ins
from sapo_lite.run.robustness import measure_robustness
from sapo_lite.run.stages import Learner
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.run.usage import Usage
from sapo_lite.support.progress import Display
from sapo_lite.types import Task, TrainingRow


def run(
    recipe: Recipe, folder: RunFolder, show: Display, data: Path | None = None, *, pull: bool = False
) -> Results:
    """Learn the recipe's tasks one after another; go on where an earlier process stopped.

    `data` is looked at first for the suite. With `pull`, a paraphrasing model that Ollama lacks is
    fetched.

    Raises:
        SapoLiteError: anything a user can put right; the message says how.
    """
    tasks = load_sequence(recipe.sequence, data, show.notice)
    folder.bind(recipe.resolved(), data_fingerprint(tasks), differences)
    for notice in stand_ins(tasks):
        show.notice(notice)
    usage = Usage(folder)
    load = cache(partial(load_backbone, recipe.model))
    with usage.measure("paraphrase"):
        pools = paraphrase(recipe, tasks, folder, show, load, pull=pull)
    # Only now that other paraphrasing models have left the memory is the backbone loaded.
    with usage.measure("load"):
        show.stage("loading the backbone")
        backbone = load()
        tasks = [backbone.chat.fit(task, [c.text for c in pools[task.id].candidates]) for task in tasks]
        adapter = _adapter(recipe, backbone, tasks, show)
        folder.note_environment(environment(backbone))
    learner = Learner(recipe, backbone, adapter, pools, usage, show)
    learned: dict[str, TrainedTask] = {}
    stage, lessons = folder.stage(0, "zero-shot"), METHODS[recipe.adapter.method].lessons(tasks)
    scores = [learner.test(tasks, learned, stage)]
    for number, lesson in enumerate(lessons, start=1):
        stage = folder.stage(number, name_of(lesson))
        learned |= learner.learn(number, lesson, learned, stage)
        scores.append(learner.test(tasks, learned, stage))
        show.scores(
            [task.short_id for task in tasks], list(map(name_of, lessons)), list(map(published_row, scores))
        )
    with usage.measure("evaluate"):
        held_out = {task.id: pools[task.id].split(recipe.paraphrase.held_out)[1] for task in tasks}
        robustness = measure_robustness(backbone, tasks, held_out, recipe.evaluation, stage, show)
    results = collect(recipe, tasks, pools, learned, scores, robustness)
    folder.write_results(asdict(results))
    return results


def paraphrase(
    recipe: Recipe,
    tasks: Sequence[Task],
    folder: RunFolder,
    show: Display,
    load: Callable[[], Backbone],
    *,
    pull: bool,
) -> dict[str, Pool]:
    """Candidate instructions of every task, by task id. Those that the run folder holds are kept.

    `load` gives the backbone, for recipes that have it paraphrase its own instructions.
    """
    if not recipe.wants_candidates:
        return {task.id: original_alone(task) for task in tasks}
    missing = [task for task in tasks if not folder.candidates.has(task.id)]
    around = SourceContext(show, seed=recipe.seed, pull=pull, own=(recipe.model, load))
    made = {pool.task: pool_to_json(pool) for pool in make_pools(missing, recipe.paraphrase, around)}
    return {
        task.id: pool_from_json(folder.candidates.cached(task.id, partial(made.__getitem__, task.id)), task)
        for task in tasks
    }


def _adapter(recipe: Recipe, backbone: Backbone, tasks: Sequence[Task], show: Display) -> BlockAdapter:
    """The method's adapter, in which the backbone was seen to compute what it should."""
    adapter = METHODS[recipe.adapter.method].build(
        backbone, recipe.adapter, tasks=len(tasks), checkpointing=recipe.training.gradient_checkpointing
    )
    # The first block is opened for the check only: without it there is no gradient to compare.
    adapter.open_block(0, seed=recipe.seed)
    _check(backbone, tasks[0], show)
    return adapter


def _check(backbone: Backbone, task: Task, show: Display) -> None:
    """Compare packs with plain forward passes on a few rows, and say what the user should know."""
    rows = backbone.chat.encode(
        task, [TrainingRow(task.instruction, e.input, e.answer) for e in task.train[:ROWS]]
    )
    require_plain_logits(backbone, rows[0].ids)
    unpacked = check_packs(backbone, rows, gradients=True)
    for warning in (backbone.notice, unpacked):
        if warning:
            show.notice(warning)
