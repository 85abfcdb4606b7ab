"""One run, from a recipe to its results. `run` reads like the paper's algorithm."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

from sapo_lite.data.check.finding import Finding
from sapo_lite.evaluation.own_metrics import shown_name
from sapo_lite.learning.methods import METHODS, TaskGroup, group_name
from sapo_lite.learning.tracking import Tracking
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat_frame import PROBES, ChatFrame
from sapo_lite.model.decoding import check_generation
from sapo_lite.model.hub import locate_model
from sapo_lite.model.load import check_files, load_backbone
from sapo_lite.prompts.make import make_pools
from sapo_lite.prompts.pool import Pool, original_alone, pool_from_json, pool_to_json
from sapo_lite.prompts.progress import PromptProgress
from sapo_lite.prompts.sources.openers import SourceContext
from sapo_lite.recipe import Recipe
from sapo_lite.run import paths
from sapo_lite.run.adapter import checked_adapter
from sapo_lite.run.checks import as_notices, findings_of_cuts, findings_of_examples
from sapo_lite.run.collect import collect, stand_ins, task_row, watched_scores
from sapo_lite.run.context import RunContext
from sapo_lite.run.edits import accept_edits as take_edits
from sapo_lite.run.environment import environment
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.guard import learn_guarded
from sapo_lite.run.inputs import bind, kept_format
from sapo_lite.run.measuring import measured_before_training
from sapo_lite.run.other_run import asked_otherwise, cut_further, other_prompts
from sapo_lite.run.progress import RunProgress
from sapo_lite.run.results import GuardEvent, Results, is_finished, read_results, write_results
from sapo_lite.run.right_cut import notice_of_lost_answers
from sapo_lite.run.robustness import measure_robustness
from sapo_lite.run.room import notice_of_room, run_folder_bytes
from sapo_lite.run.stage_folder import Stage, StageRecord
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.run.testing import finish_stage
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.run.usage import Usage
from sapo_lite.run.verification import verify
from sapo_lite.run.watching import open_watched
from sapo_lite.run.workplan import plan_of
from sapo_lite.support.progress import Progress
from sapo_lite.types import Task, learned_tasks


def run(
    recipe: Recipe,
    folder: RunFolder,
    progress: RunProgress,
    data: Path | None = None,
    *,
    pull: bool = False,
    accept_edits: bool = False,
) -> Results:
    """Learn the recipe's tasks one after another, or resume where an earlier process stopped.

    For a finished run, only its results are read; no model is loaded.

    data: folder of suites that is searched first
    pull: have Ollama download the paraphrasing model if it lacks it
    accept_edits: take candidates that were edited by hand, and make again what was made from the old ones

    Raises:
        SapoLiteError: anything that a user can fix; the message says how.
    """
    tasks = load_run_tasks(recipe.sequence, data, progress.notice)
    if folder.fresh:  # nothing is discarded for a run that cannot begin
        locate_model(recipe.model.name, progress.notice)
        check_files(recipe.model, progress.notice)
        folder.empty()
    bind(folder, recipe, tasks)
    if accept_edits:
        take_edits(folder.path, learned_tasks(tasks), progress.notice)
    verify(folder.path, progress.notice)
    if is_finished(folder.path):
        return read_results(folder.path)
    progress.planned(plan_of(recipe, tasks))
    reached = learn_stages(recipe, tasks, folder, progress, pull=pull)
    context, tasks, stages = reached.context, reached.tasks, reached.stages
    with context.usage.measure("evaluate"):  # its answers are written to the folder of the last stage
        held_out = {task.id: context.held_out(task) for task in tasks}
        robustness = measure_robustness(
            context.backbone, tasks, held_out, recipe.evaluation, stages[-1], progress
        )
    results = collect(
        recipe,
        tasks,
        context.pools,
        reached.learned,
        reached.records,
        robustness,
        reached.findings,
        reached.events,
        reached.shorter,
    )
    write_results(folder.path, results)
    return read_results(folder.path)


@dataclass(frozen=True)
class Reached:
    """A run after some of its stages: the state that the adapter of the last one holds.

    tasks: those of the whole sequence, with inputs cut to the backbone's limit
    learned: tasks trained so far, by task id
    stages, records: of all stages so far, zero-shot first
    shorter: notices about inputs that the prompts of another run made shorter
    """

    context: RunContext
    tasks: list[Task]
    learned: dict[str, TrainedTask]
    stages: list[Stage]
    records: list[StageRecord]
    events: list[GuardEvent]
    findings: list[Finding]
    shorter: list[str]


def learn_stages(
    recipe: Recipe,
    whole: Sequence[Task],
    folder: RunFolder,
    progress: RunProgress,
    *,
    pull: bool,
    until: int | None = None,
) -> Reached:
    """Learn the stages of a run, or go on where an earlier process stopped; finished ones are read.

    whole: tasks of the run, to which the folder is bound, with their whole inputs
    until: number of the last stage; all of them by default
    """
    findings = findings_of_examples(whole)
    for notice in (*recipe.notices, *stand_ins(whole), *as_notices(findings)):
        progress.notice(notice)
    other_prompts(recipe.evaluation, learned_tasks(whole))  # a fault in them is found before a model loads
    check_files(recipe.model, progress.notice)
    _tracking(recipe, folder).require()
    context, tasks = _prepare(recipe, whole, folder, progress, pull=pull)
    cut = findings_of_cuts(learned_tasks(whole), tasks)
    shorter = list(cut_further(tasks, context.others))
    for notice in (*as_notices(cut), *shorter):
        progress.notice(notice)
    learned: dict[str, TrainedTask] = {}
    groups = METHODS[recipe.adapter.method].groups(tasks)[:until]
    progress.reached(0)
    stages = [folder.stage(0, paths.UNTRAINED)]
    known = stages[0].done
    records = [finish_stage(context, tasks, learned, stages[0])]
    _track_scores(context, tasks, records, known=known)
    if recipe.prompt.state == "base":
        context = measured_before_training(context, groups, folder.base())
    events: list[GuardEvent] = []
    for number, group in enumerate(groups, start=1):
        progress.reached(number)
        stages.append(folder.stage(number, group_name(group)))
        known = stages[-1].done
        found, passed = learn_guarded(context, tasks, group, learned, stages)
        learned |= found.tasks
        events += passed
        records.append(found.record)
        _show_scores(tasks, groups, records, progress)
        _track_scores(context, tasks, records, known=known)
    return Reached(context, tasks, learned, stages, records, events, findings + cut, shorter)


def _show_scores(
    tasks: Sequence[Task], groups: Sequence[TaskGroup], records: Sequence[StageRecord], progress: RunProgress
) -> None:
    rows = [task_row(record.scores) for record in records]
    metrics = {task.name: shown_name(task.metric) for task in tasks}
    watched = {name: found.scores for name, found in watched_scores(records).items()}
    progress.scores(metrics, list(map(group_name, groups)), rows, watched)


def _tracking(recipe: Recipe, folder: RunFolder) -> Tracking:
    path = folder.path.absolute()
    return Tracking(recipe.tracking.to, path.name, path / paths.TRACKING)


def _track_scores(
    context: RunContext, tasks: Sequence[Task], records: Sequence[StageRecord], *, known: bool
) -> None:
    """Log R after a stage, unless it was `known`: finished by an earlier process."""
    if context.tracking.to and not known:
        names = [task.name for task in tasks]
        rows = [dict(zip(names, task_row(record.scores), strict=True)) for record in records]
        context.tracking.scores(dict(enumerate(rows)))


def _prepare(
    recipe: Recipe, tasks: Sequence[Task], folder: RunFolder, progress: RunProgress, *, pull: bool
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
        folder.note_environment(environment(backbone))
        tests = open_watched(recipe, backbone, watched)
    tracking = _tracking(recipe, folder)
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
