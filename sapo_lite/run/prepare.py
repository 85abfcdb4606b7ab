"""What a run has before its first stage: candidates, the backbone with its adapter, and cut inputs."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial

from sapo_lite.learning.tracking import Tracking
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat_frame import PROBES, ChatFrame
from sapo_lite.model.decoding import check_generation
from sapo_lite.model.hub import locate_model
from sapo_lite.model.load import load_backbone
from sapo_lite.model.ranks import Ranks
from sapo_lite.prompts.make import make_pools
from sapo_lite.prompts.pool import Pool, original_alone, pool_from_json, pool_to_json
from sapo_lite.prompts.progress import PromptProgress
from sapo_lite.prompts.sources.openers import SourceContext
from sapo_lite.recipe import Recipe
from sapo_lite.run import paths
from sapo_lite.run.adapter import checked_adapter, share_work
from sapo_lite.run.context import RunContext
from sapo_lite.run.environment import environment
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind, kept_format
from sapo_lite.run.other_run import asked_otherwise, other_prompts
from sapo_lite.run.progress import RunProgress
from sapo_lite.run.right_cut import notice_of_lost_answers
from sapo_lite.run.room import notice_of_room, run_folder_bytes
from sapo_lite.run.usage import Usage
from sapo_lite.run.watching import open_watched
from sapo_lite.run.workplan import plan_of
from sapo_lite.support.progress import Progress
from sapo_lite.types import Task, learned_tasks


def tracking_of(recipe: Recipe, folder: RunFolder) -> Tracking:
    path = folder.path.absolute()
    return Tracking(recipe.tracking.to, path.name, path / paths.TRACKING)


def prepare(
    recipe: Recipe,
    tasks: Sequence[Task],
    folder: RunFolder,
    progress: RunProgress,
    ranks: Ranks | None,
    *,
    pull: bool,
) -> tuple[RunContext, list[Task]]:
    """Make candidates, load the backbone, build the adapter; cut inputs of tasks to the backbone's limit.

    Returns the tasks that are learned; those that are watched are in the context.
    """
    usage = Usage(folder)
    answers = plan_of(recipe, tasks).total.answers.most
    watched = [task for task in tasks if task.watched]
    load = cache(partial(_load, recipe, folder, partial(bind, folder, recipe, tasks), progress))
    tasks = learned_tasks(tasks)
    with usage.measure("paraphrase"):
        pools = paraphrase(recipe, tasks, folder, progress, load, pull=pull)
    # The backbone is loaded after the paraphrasing model has been unloaded: they need not fit together.
    with usage.measure("load"):
        progress.stage("loading the backbone")
        backbone = load()
        prompts = other_prompts(recipe.evaluation, tasks)
        others = asked_otherwise(backbone, tasks, pools, prompts)
        tasks = [backbone.chat.fit(task, [c.text for c in pools[task.id].candidates]) for task in tasks]
        for task in tasks:
            if notice := notice_of_lost_answers(backbone.chat, task, pools[task.id]):
                progress.notice(notice)
        adapter = checked_adapter(recipe, backbone, tasks, pools, progress)
        lora = sum(weights.numel() for pair in adapter.pairs for weights in pair)
        needed = run_folder_bytes(recipe, lora, tasks=len(tasks), answers=answers)
        if notice := notice_of_room(folder.path, needed):
            progress.notice(notice)
        if ranks is not None:
            share_work(ranks, recipe, backbone, adapter)
        folder.note_environment(environment(backbone))
        tests = open_watched(recipe, backbone, watched)
    tracking = tracking_of(recipe, folder)
    return RunContext(
        recipe, backbone, adapter, pools, usage, progress, tracking, tests, others=others
    ), tasks


def paraphrase(
    recipe: Recipe,
    tasks: Sequence[Task],
    folder: RunFolder,
    progress: PromptProgress,
    load: Callable[[], Backbone],
    *,
    pull: bool,
) -> dict[str, Pool]:
    """Pools of candidates, by task id. Pools that the run folder already holds are read, not made again.

    load: returns the backbone, for recipes in which it paraphrases its own instructions
    """
    if not recipe.wants_candidates:
        return {task.id: original_alone(task) for task in tasks}
    missing = [task for task in tasks if not folder.candidates.has(task.file_name)]
    around = SourceContext(progress, seed=recipe.seed, pull=pull, own=(recipe.model, load))
    made = {pool.task: pool_to_json(pool) for pool in make_pools(missing, recipe.paraphrase, around)}
    return {
        task.id: pool_from_json(
            folder.candidates.cached(task.file_name, partial(made.__getitem__, task.id)), task
        )
        for task in tasks
    }


def _load(recipe: Recipe, folder: RunFolder, bind_all: Callable[..., None], progress: Progress) -> Backbone:
    """Load the backbone as the run started (number format, chat frame), and check its generation."""
    locate_model(recipe.model.name, progress.notice)  # what takes long is said first
    kept = kept_format(folder.path) or recipe.model.dtype
    backbone = load_backbone(recipe.model.model_copy(update={"dtype": kept}))
    # Again: the number format is known, and a model that had to be downloaded has hashes, only now.
    bind_all(dtype=backbone.config.dtype)
    frame = folder.chat_frame(asdict(backbone.chat.frame))
    backbone.chat = backbone.chat.with_frame(ChatFrame(**frame))
    folder.note_first_files()
    # Before the rows of the run are checked, the backbone may paraphrase its own instructions.
    if slower := check_generation(backbone, [backbone.chat.encode_turn(turn) for turn, _ in PROBES]):
        progress.notice(slower)
    return backbone
