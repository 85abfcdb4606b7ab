"""A run as it was after one of its stages: which adapter, and how each task is asked. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sapo_lite.errors import RecipeError, RunFolderError
from sapo_lite.evaluation.rows import Row
from sapo_lite.model.chat_template import FILE as TEMPLATE
from sapo_lite.model.identity import model_identity
from sapo_lite.recipe import ModelConfig
from sapo_lite.run import paths
from sapo_lite.run.binding import Binding, changed_inputs, read_binding
from sapo_lite.run.folder import RUN
from sapo_lite.run.inputs import kept_format
from sapo_lite.run.read_run import StageRead, read_stages
from sapo_lite.run.stage_folder import Stage, StageRecord
from sapo_lite.support.checked_json import read_checked
from sapo_lite.support.checksums import changed_file
from sapo_lite.support.messages import nearest, one_of
from sapo_lite.types import Task, learned_tasks

_FIX = "Put the file back, or run the recipe again into another folder."


@dataclass(frozen=True)
class Snapshot:
    """A run after the stage `number`; 0 is before any training.

    tasks: those that the run learns, by key, without their examples
    prompts: by key, the instruction that each task is asked with at this stage: the chosen one, or of a task
        that is not learned yet the original
    adapter: folder of the stage's adapter; None before any training
    """

    run: Path
    number: int
    binding: Binding = field(repr=False)
    tasks: Mapping[str, Task] = field(repr=False)
    prompts: Mapping[str, str] = field(repr=False)
    stages: tuple[StageRead, ...] = field(repr=False)
    adapter: Path | None

    @property
    def stage(self) -> StageRead:
        return self.stages[self.number]

    @property
    def record(self) -> StageRecord:
        record = self.stage.record
        assert record is not None  # checked by `read_snapshot`
        return record

    @property
    def label(self) -> str:
        """`stage 2 (odd_one_out)`, or `stage 0 (before any training)`."""
        return f"stage {self.number} ({self.stage.name if self.number else 'before any training'})"

    @cached_property
    def learned(self) -> tuple[str, ...]:
        """Keys of the tasks that were learned up to this stage, in order."""
        return tuple(key for stage in self.stages[: self.number + 1] for key in stage.tasks)

    @cached_property
    def model(self) -> ModelConfig:
        """The backbone as the run loads it, by plain transformers and in the number format of the run."""
        settings = dict(self.binding.recipe["model"], loader="transformers")
        settings["dtype"] = kept_format(self.run) or settings["dtype"]
        # The adapter has a copy of a template that is not the model's own.
        if self.adapter is not None and (template := self.adapter / TEMPLATE).is_file():
            settings["chat_template"] = str(template.absolute())
        return ModelConfig.model_validate(settings, context=Path.cwd())

    @property
    def max_new_tokens(self) -> int:
        return int(self.binding.recipe["evaluation"]["max_new_tokens"])

    @property
    def batch_size(self) -> int:
        return int(self.binding.recipe["evaluation"]["batch_size"])

    @property
    def frame(self) -> dict[str, str]:
        """What the chat template rendered around turns when the run started."""
        own = Stage(self.run, of=RUN)
        return dict(read_checked(own.file(paths.CHAT), _FIX, own.place_of(paths.CHAT)))

    def candidates(self, task: Task) -> list[str]:
        """All candidates of a task, which its inputs are cut for; the original is the first."""
        pools = Stage(self.run / paths.CANDIDATES)
        if not pools.has(task.file_name):
            return [task.instruction]
        kept = read_checked(pools.file(task.file_name), _FIX, pools.place_of(task.file_name))
        return [candidate["text"] for candidate in kept["candidates"]]

    def task(self, name: str | None) -> Task:
        """The task of this key or name; by default the one that was learned last, else the first.

        Raises:
            RecipeError: the run learns no such task.
        """
        if name is None:
            return self.tasks[self.learned[-1] if self.learned else next(iter(self.tasks))]
        for key, task in self.tasks.items():
            if name in (key, task.name, task.id):
                return task
        close = nearest(name, self.tasks)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise RecipeError(f"--task: expected {one_of(self.tasks)}, found {name}{hint}")

    def stored_rows(self, task: Task) -> tuple[str, list[Row]]:
        """The instruction that the stage tested a task with, and the test rows with the answers to it."""
        kind = "chosen" if "chosen" in self.record.scores else "original"
        rows = self.stage.rows(task.key, kind)
        return (self.prompts[task.key] if kind == "chosen" else task.instruction), rows

    def require_same_model(self) -> None:
        """Raises RunFolderError if another model than the run's is on the disk under its name."""
        name = self.model.name
        if changed := changed_inputs(self.binding.inputs, {f"the model {name}": model_identity(name)}):
            raise RunFolderError(
                f"{self.run}: {changed[0]} since the run. Its adapter fits the model that it was trained on: "
                "put that one back."
            )


def read_snapshot(run: Path, stage: int | None = None) -> Snapshot:
    """The run in a folder after a stage, by default the last finished one.

    Raises:
        RunFolderError: the folder holds no run, the stage is not finished, a file is damaged, or the run is
            of a version that did not keep how tasks are asked.
    """
    stages, binding = read_stages(run), read_binding(run)
    done = [one.number for one in stages if one.record]
    if not done or (stage is not None and stage not in done):
        known = ", ".join(map(str, done)) or "none"
        raise RunFolderError(
            f"{run}: expected a finished stage of the run, out of {known}, found "
            f"{'no finished stage' if stage is None else stage}"
        )
    if not binding.tasks:
        raise RunFolderError(
            f"{run / paths.RECIPE}: expected the instructions of the tasks, found none: an earlier version "
            f"made this run. Delete {run / paths.RESULTS} and repeat the run with --out {run}: finished "
            "stages are kept."
        )
    number = done[-1] if stage is None else stage
    tasks = {task.key: task for task in learned_tasks(binding.tasks)}
    return Snapshot(
        run,
        number,
        binding,
        tasks,
        {key: _prompt(stages[: number + 1], task) for key, task in tasks.items()},
        tuple(stages),
        _adapter(stages[number]) if number else None,
    )


def _adapter(read: StageRead) -> Path:
    """Folder of a stage's adapter. Raises RunFolderError unless all its files are as the run wrote them."""
    stage = Stage(read.folder)
    if not stage.adapter.is_dir():
        raise RunFolderError(f"{stage.adapter}: expected the adapter of the stage, found none. {_FIX}")
    if file := changed_file(stage.adapter, stage.place):
        raise RunFolderError(f"{stage.adapter / file} is not as the run wrote it. {_FIX}")
    return stage.adapter


def _prompt(stages: list[StageRead], task: Task) -> str:
    """The instruction that a task is asked with after the last of the stages."""
    for read in stages:
        if read.record and task.key in read.record.choices:
            return _rescored(read, task) or read.record.choices[task.key].chosen.text
    return task.instruction


def _rescored(read: StageRead, task: Task) -> str | None:
    """The candidate that the last rescoring during the training chose, if there were rescorings."""
    stage = Stage(read.folder)
    name = paths.of_task(paths.WORDINGS, None if len(read.tasks) == 1 else task.key)
    if not stage.has(name):
        return None
    decisions = read_checked(stage.file(name), _FIX, stage.place_of(name))
    if not decisions or "epoch" not in decisions[-1]:  # other schedules keep the candidate for tests
        return None
    pools = Stage(read.folder.parent / paths.CANDIDATES)
    kept = read_checked(pools.file(task.file_name), _FIX, pools.place_of(task.file_name))
    return str(kept["candidates"][decisions[-1]["after"]]["text"])
