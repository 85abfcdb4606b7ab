"""A run as its folder is now, finished or not: its stages, their test rows, and rows that changed.

Nothing is written, no lock is taken and no torch imported, so a run of another process can be read, too.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sapo_lite.errors import RunFolderError
from sapo_lite.evaluation.flips import Flip, flips
from sapo_lite.evaluation.rows import Evaluation, Row, WatchScores
from sapo_lite.run import paths
from sapo_lite.run.binding import instead_of_a_run, is_run, read_binding
from sapo_lite.run.folder import read_usage
from sapo_lite.run.history import read_history
from sapo_lite.run.stage_folder import Stage, StageRecord

_FIX = "Put the file back, or run the recipe again into another folder."
# Kinds of prompt whose file may hold the answers of another kind.
_SHARED = {"other": ("original", "chosen", "unseen")}


@dataclass(frozen=True)
class StageRead:
    """A stage of a run.

    number, name: 1 and "stars"; 0 and "zero-shot" before any training
    tasks: keys of the tasks that were learned in it; empty while the stage is not finished
    record: choices and scores; None while the stage is not finished
    seconds: by kind of work
    history: a line for every optimiser step that was recorded
    """

    folder: Path
    number: int
    name: str
    tasks: tuple[str, ...]
    record: StageRecord | None
    seconds: dict[str, float]
    history: list[dict[str, Any]]

    def rows(self, task: str, kind: str | None = None) -> list[Row]:
        """Test rows of a task, given by its key, or of what is watched, given by its name.

        kind: of prompt; by default the first kind that the stage was tested with

        Raises:
            RunFolderError: there are no such answers, or the file is damaged.
        """
        stage = Stage(self.folder)
        if stage.has(paths.watched(task)):
            return stage.read(WatchScores, paths.watched(task), _FIX).rows
        kind = kind or self._first_kind()
        own = paths.predictions(task, kind)
        if stage.has(own):
            return stage.read(Evaluation, own, _FIX).rows
        # Kinds with equal prompts share one file of answers.
        for name in (paths.predictions(task, other) for other in _SHARED.get(kind, ("original",))):
            if stage.has(name) and self._fits(kind, task, found := stage.read(Evaluation, name, _FIX)):
                return found.rows
        raise RunFolderError(
            f"{self.folder}: expected answers to {task} under {kind} prompts, found "
            f"{', '.join(self._answered()) or 'none yet'}"
        )

    def _first_kind(self) -> str:
        return next(iter(self.record.scores)) if self.record else "chosen"

    def _fits(self, kind: str, task: str, found: Evaluation) -> bool:
        """Whether the record has no other scores of the task for this kind of prompt."""
        own = self.record.wordings.get(kind, {}) if self.record else {}
        return own.get(task, found.scores) == found.scores

    def _answered(self) -> list[str]:
        """Names of files with answers, such as `stars-chosen`."""
        return sorted(path.stem for folder in ("predictions", "watched") for path in self._files(folder))

    def _files(self, folder: str) -> list[Path]:
        return list((self.folder / folder).glob("[!.]*.json"))


def read_stages(run: Path | str) -> list[StageRead]:
    """The stages of a run that have begun, zero-shot first.

    Raises:
        RunFolderError: the folder holds no run, or one of another version, or a file is damaged.
    """
    run = Path(run)
    require_run(run)
    return [_read(path) for path in paths.stages(run)]


def require_run(run: Path) -> None:
    """Raises RunFolderError unless the folder holds a run, finished or not, of this version."""
    if not is_run(run):
        raise RunFolderError(f"{run}: expected the folder of a run, found {instead_of_a_run(run)}")
    read_binding(run)


def _read(path: Path) -> StageRead:
    number, name = path.name.split("-", 1)
    stage = Stage(path)
    record = stage.record if stage.done else None
    return StageRead(
        folder=path,
        number=int(number),
        name=name,
        tasks=tuple(record.choices) if record else (),
        record=record,
        seconds=read_usage(path, stage.place)["seconds"],
        history=[asdict(step) for step in read_history(path)],
    )


def changed_rows(
    stages: Sequence[StageRead],
    task: str,
    first: int | None = None,
    last: int | None = None,
    kind: str | None = None,
) -> list[Flip]:
    """Test rows of a task, or of what is watched, whose score changed from one stage to a later one.

    stages: of the run, from read_stages
    first: number of the stage to start from; by default the one in which the task was learned, or of what is
        watched the one before any training
    last: by default the last finished stage
    kind: of prompt, as for StageRead.rows

    Raises:
        RunFolderError: there is no such task or finished stage, or no answers under this kind of prompt.
    """
    done = [stage for stage in stages if stage.record]
    if first is None:
        first = next((stage.number for stage in done if task in stage.tasks), 0)
    if last is None:
        last = done[-1].number if done else 0
    chosen = [stage for stage in done if first <= stage.number <= last]
    numbers = [stage.number for stage in chosen]
    if not {first, last} <= set(numbers):
        known = ", ".join(str(stage.number) for stage in done) or "none"
        raise RunFolderError(
            f"{task}: expected two finished stages of the run, out of {known}, found {first} and {last}"
        )
    before, *later = [(stage.number, stage.rows(task, kind)) for stage in chosen]
    if not later:
        return []
    *between, (_, after) = later
    return flips(before[1], after, task, last, between)
