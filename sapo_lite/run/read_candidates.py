"""The candidates of a run and their losses, read from its folder."""

from collections.abc import Sequence
from pathlib import Path

from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.run import paths
from sapo_lite.run.read_run import StageRead
from sapo_lite.run.stage_folder import Stage
from sapo_lite.support.checked_json import read_checked
from sapo_lite.support.files import MADE_AGAIN
from sapo_lite.types import Candidate, abbreviated


def read_candidates(run: Path, task: str) -> list[Candidate]:
    """The candidates of a task, given by its key; empty if the run had none.

    Raises:
        RunFolderError: the file is damaged.
    """
    files = {file.stem: file for file in paths.pools(run)}
    stem = task if task in files else next((s for s in files if abbreviated(s) == task), None)
    stem = stem or next((s for s in files if s.startswith(task)), None)
    if stem is None:
        return []
    found = read_checked(files[stem], MADE_AGAIN, f"{paths.CANDIDATES}/{stem}")
    return [Candidate(one["index"], one["text"], one["origin"]) for one in found["candidates"]]


def read_losses(run: Path, task: str, stages: Sequence[StageRead]) -> list[CandidateLoss]:
    """Losses of a task's candidates, wherever they were measured; empty if they were not.

    stages: of the run, from read_stages

    Raises:
        RunFolderError: the file is damaged.
    """
    own = [stage.folder for stage in stages if task in stage.tasks]
    for stage in map(Stage, [run / paths.BASE, *own]):
        for name in (paths.of_task(paths.LOSSES, task), paths.LOSSES):
            if stage.has(name):
                return stage.read(list[CandidateLoss], name)
    return []
