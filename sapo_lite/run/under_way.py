"""What a run is doing, as its folder shows it: for those who watch the run of another process.

Nothing is written and no lock is taken, so the run is not disturbed.
"""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.errors import RunFolderError
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.learning.methods import METHODS
from sapo_lite.run import paths
from sapo_lite.run.binding import instead_of_a_run, is_run, read_binding
from sapo_lite.run.history import HistoryStep, read_history
from sapo_lite.run.stage_folder import Stage
from sapo_lite.support.messages import duration


@dataclass(frozen=True)
class UnderWay:
    """A run that is not finished.

    tasks: ids of the tasks, as far as they have columns in R
    stages: names of the finished stages that train
    total: number of stages that train
    r: a row for each finished stage, zero-shot first, in percent
    doing: what the run does now
    step: the latest optimiser step of the stage that is under way, if it has trained
    idle: seconds since a file of the run changed
    """

    tasks: list[str]
    stages: list[str]
    total: int
    r: list[list[float]]
    doing: str
    step: HistoryStep | None
    idle: float


def under_way(run: Path) -> UnderWay:
    """Read what an unfinished run is doing.

    Raises:
        RunFolderError: the folder holds no run, or one of another version, or a file is damaged.
    """
    if not is_run(run):
        raise RunFolderError(f"{run}: expected the folder of a run, found {instead_of_a_run(run)}")
    binding = read_binding(run)
    folders = [Stage(path) for path in paths.stages(run)]
    done = [stage for stage in folders if stage.done]
    r = [[scores[TASK_METRIC] for scores in next(iter(stage.record.scores.values()))] for stage in done]
    tasks = list(binding.data)[: len(r[0]) if r else None]
    latest = folders[-1] if folders and not folders[-1].done else None
    last = (read_history(_newest_try(latest).path) if latest else [])[-1:]
    return UnderWay(
        tasks=tasks,
        stages=[stage.path.name.split("-", 1)[1] for stage in done[1:]],
        total=len(METHODS[binding.recipe["adapter"]["method"]].groups(tasks)),
        r=r,
        doing=_doing(latest, last[0] if last else None, begun=bool(folders)),
        step=last[0] if last else None,
        idle=max(0.0, time.time() - _changed(run)),
    )


def _newest_try(stage: Stage) -> Stage:
    """The stage, or the latest retry of the guard in it."""
    retries = sorted(stage.path.glob(f"{paths.RETRY}*"))
    return Stage(retries[-1], of=stage.place) if retries else stage


def _doing(stage: Stage | None, step: HistoryStep | None, *, begun: bool) -> str:
    """`02-mood: training, step 12 of 64, loss 0.123, about 8 s left`."""
    if stage is None:
        return "between two stages, or in the last test" if begun else "preparing: paraphrases, the backbone"
    newest = _newest_try(stage)
    name = newest.path.relative_to(stage.path.parent).as_posix()
    if newest.adapter.exists() or stage.path.name == paths.ZERO_SHOT:
        return f"{name}: testing all tasks"
    if step is not None:
        left = duration((step.steps - step.step) * step.seconds)
        penalty = f" + penalty {step.penalty:.3f}" if step.penalty else ""
        loss = f"loss {step.loss:.3f}{penalty}"
        return f"{name}: training, step {step.step} of {step.steps}, {loss}, about {left} left"
    return f"{name}: training begins" if paths.measured(stage.path) else f"{name}: choosing a prompt"


def _changed(run: Path) -> float:
    """The time of the latest change in a run folder, in seconds since the epoch."""
    times = [run.stat().st_mtime]
    for path in run.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # renamed or removed meanwhile
            times.append(path.stat().st_mtime)
    return max(times)
