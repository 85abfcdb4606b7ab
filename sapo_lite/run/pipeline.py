"""One run, from a recipe to its results. `run` reads like the paper's algorithm."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.data.check.finding import Finding
from sapo_lite.evaluation.own_metrics import shown_name
from sapo_lite.learning.methods import METHODS, TaskGroup, group_name
from sapo_lite.model.hub import locate_model
from sapo_lite.model.load import check_files
from sapo_lite.model.rank_start import started
from sapo_lite.model.ranks import Ranks
from sapo_lite.recipe import Recipe
from sapo_lite.run import paths
from sapo_lite.run.checks import as_notices, findings_of_cuts, findings_of_examples
from sapo_lite.run.collect import collect, stand_ins, task_row, watched_scores
from sapo_lite.run.context import RunContext
from sapo_lite.run.edits import accept_edits as take_edits
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.guard import learn_guarded
from sapo_lite.run.inputs import bind
from sapo_lite.run.measuring import measured_before_training
from sapo_lite.run.other_run import cut_further, other_prompts
from sapo_lite.run.prepare import prepare, tracking_of
from sapo_lite.run.progress import RunProgress
from sapo_lite.run.results import GuardEvent, Results, is_finished, read_results, write_results
from sapo_lite.run.robustness import measure_robustness
from sapo_lite.run.stage_folder import Stage, StageRecord
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.run.testing import finish_stage
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.run.verification import verify
from sapo_lite.run.workplan import plan_of
from sapo_lite.types import Task, learned_tasks


def run(
    recipe: Recipe,
    folder: RunFolder,
    progress: RunProgress,
    data: Path | None = None,
    *,
    pull: bool = False,
    accept_edits: bool = False,
    processes: int = 1,
) -> Results:
    """Learn the recipe's tasks one after another, or resume where an earlier process stopped.

    For a finished run, only its results are read; no model is loaded.

    data: folder of suites that is searched first
    pull: have Ollama download the paraphrasing model if it lacks it
    accept_edits: take candidates that were edited by hand, and make again what was made from the old ones
    processes: that compute together, each on a GPU of its own where there are any (sapo_lite.model.ranks)

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
    with started(processes, folder.path / paths.LOG) as ranks:
        results = _learned(recipe, tasks, folder, progress, ranks, pull=pull)
    write_results(folder.path, results)
    return read_results(folder.path)


def _learned(
    recipe: Recipe,
    tasks: Sequence[Task],
    folder: RunFolder,
    progress: RunProgress,
    ranks: Ranks | None,
    *,
    pull: bool,
) -> Results:
    """Learn and test all stages, and measure what is measured at the end."""
    reached = learn_stages(recipe, tasks, folder, progress, pull=pull, ranks=ranks)
    context, tasks, stages = reached.context, reached.tasks, reached.stages
    with context.usage.measure("evaluate"):  # its answers are written to the folder of the last stage
        held_out = {task.id: context.held_out(task) for task in tasks}
        robustness = measure_robustness(
            context.backbone, tasks, held_out, recipe.evaluation, stages[-1], progress
        )
    return collect(
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
    ranks: Ranks | None = None,
) -> Reached:
    """Learn the stages of a run, or go on where an earlier process stopped; finished ones are read.

    whole: tasks of the run, to which the folder is bound, with their whole inputs
    until: number of the last stage; all of them by default
    ranks: further processes that compute
    """
    findings = findings_of_examples(whole)
    for notice in (*recipe.notices, *stand_ins(whole), *as_notices(findings)):
        progress.notice(notice)
    other_prompts(recipe.evaluation, learned_tasks(whole))  # a fault in them is found before a model loads
    check_files(recipe.model, progress.notice)
    tracking_of(recipe, folder).require()
    context, tasks = prepare(recipe, whole, folder, progress, ranks, pull=pull)
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


def _track_scores(
    context: RunContext, tasks: Sequence[Task], records: Sequence[StageRecord], *, known: bool
) -> None:
    """Log R after a stage, unless it was `known`: finished by an earlier process."""
    if context.tracking.to and not known:
        names = [task.name for task in tasks]
        rows = [dict(zip(names, task_row(record.scores), strict=True)) for record in records]
        context.tracking.scores(dict(enumerate(rows)))
