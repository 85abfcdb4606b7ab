"""Prediction of what a run will cost on a machine."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.errors import BackboneError
from sapo_lite.model.hub import locate_tokenizer
from sapo_lite.model.identity import model_identity
from sapo_lite.model.precision import choose_format
from sapo_lite.model.shape import ModelShape, find_config, shape_of
from sapo_lite.model.tokenizer import load_chat_format
from sapo_lite.recipe import Recipe
from sapo_lite.run.costs.advice import Change, changes_that_fit
from sapo_lite.run.costs.lengths import TaskLengths, all_rows, lengths_of, longest_allowed, percentiles
from sapo_lite.run.costs.machine import Machine
from sapo_lite.run.costs.memory import Memory, Sizes, blocks_of, memory_of, trains_on_packs
from sapo_lite.run.costs.times import (
    Rates,
    StageCost,
    rates_of,
    stage_costs,
)
from sapo_lite.run.room import run_folder_bytes
from sapo_lite.run.workplan import RunPlan, plan_of
from sapo_lite.support.disk import free_bytes
from sapo_lite.types import Task, learned_tasks

LONGEST = 100  # the percentile that decides whether a run fits


@dataclass(frozen=True)
class Costs:
    """What a run will cost on a machine, predicted.

    machine, room: its name, and the bytes of memory that the run may use
    dtype: number format of the model
    memory: by percentile of the lengths; that of 100 decides whether the run fits
    lengths: of training rows and of test prompts in tokens, by percentile
    estimated: whether lengths are by characters, without the model's tokenizer
    stages: work of each stage
    measured: whether seconds are by the rates of a probe; else by public facts about the card
    download: bytes to download first; 0 if the model is here
    folder, free: bytes of the run's folder, and of the disk
    fits: whether the run fits as it is
    changes: settings that make it fit; `would` says whether it then does
    """

    machine: str
    room: int
    dtype: str
    memory: Mapping[int, Memory]
    lengths: Mapping[str, Mapping[int, int]]
    estimated: bool
    stages: Sequence[StageCost]
    measured: bool
    download: int
    folder: int
    free: int | None
    fits: bool
    changes: Sequence[Change]
    would: bool

    @property
    def peak(self) -> int:
        """Bytes at the longest rows."""
        return self.memory[LONGEST].peak

    @property
    def seconds(self) -> float | None:
        """Seconds of all stages, without paraphrasing and loading; None if work or rates are not known."""
        known = [stage.seconds for stage in self.stages if stage.seconds is not None]
        return sum(known) if known and len(known) == len(self.stages) else None


def costs_of(
    recipe: Recipe,
    tasks: Sequence[Task] | None,
    machine: Machine,
    notice: Callable[[str], None],
    rates: Rates | None = None,
) -> Costs:
    """What a run of the recipe on these tasks will cost. Of a hub model, only small files are fetched.

    tasks: None if their data are not here: rows are then as long as the recipe allows, and no work is counted
    notice: called with lines for the user
    rates: of a probe on this machine; by default those of the card, if they are known

    Raises:
        BackboneError: the model's configuration cannot be read.
        TrainingError: the model has none of the layers that the recipe puts LoRA on.
    """
    config = find_config(recipe.model, notice)
    shape = shape_of(config, recipe.model.name, recipe.adapter.target_modules)
    if tasks is None:
        learned, lengths, estimated = len(recipe.sequence.tasks), {"": longest_allowed(recipe.model)}, False
    else:
        learned = len(learned_tasks(tasks))
        lengths, estimated = _lengths(recipe, tasks, notice)
    dtype = _number_format(recipe, machine)
    number = 2 if dtype == "bfloat16" else 4
    if rates is None and machine.card is not None:
        rates, measured = rates_of(machine.card, recipe, shape, number), False
    else:
        measured = rates is not None
    predicted = _Predicted(machine, shape, lengths, number, learned)
    memory = {percent: predicted.memory(recipe, percent) for percent in (50, 95, LONGEST)}
    changes, would = changes_that_fit(recipe, predicted.fits)
    plan = RunPlan(()) if tasks is None else plan_of(recipe, tasks)
    stages = stage_costs(recipe, plan, lengths, batch=memory[LONGEST].batch, rates=rates)
    return Costs(
        machine=machine.name,
        room=machine.room,
        dtype=dtype,
        memory=memory,
        lengths={
            "training rows": percentiles(all_rows(list(lengths.values()), lambda own: own.rows)),
            "test prompts": percentiles(all_rows(list(lengths.values()), lambda own: own.prompts)),
        },
        estimated=estimated,
        stages=stages,
        measured=measured,
        download=0 if model_identity(recipe.model.name) else shape.stored,
        folder=run_folder_bytes(
            recipe,
            shape.lora(recipe.adapter.rank * blocks_of(recipe, learned)),
            tasks=learned,
            answers=plan.total.answers.most,
        ),
        free=free_bytes(Path.cwd()),
        fits=predicted.fits(recipe),
        changes=changes,
        would=would,
    )


@dataclass(frozen=True)
class _Predicted:
    """Memory of variants of one recipe: the model, the tasks and the machine stay."""

    machine: Machine
    shape: ModelShape
    lengths: Mapping[str, TaskLengths]
    number: int
    tasks: int

    def memory(self, recipe: Recipe, percent: int) -> Memory:
        own, limits = list(self.lengths.values()), recipe.model
        row = percentiles(all_rows(own, lambda one: one.rows))[percent]
        prompt = percentiles(all_rows(own, lambda one: one.prompts))[percent]
        sizes = Sizes(
            blocks=blocks_of(recipe, self.tasks),
            row=min(row, limits.max_source_tokens + limits.max_answer_tokens),
            prefix=min((one.prefix for one in own), default=0) if trains_on_packs(recipe) else 0,
            prompt=min(prompt, limits.max_source_tokens),
            answer=round(max(one.answer for one in own)) + 1,
        )
        return memory_of(
            recipe,
            self.shape,
            sizes,
            number=self.number,
            device=self.machine.device,
            room=self.machine.room if self.machine.device == "cuda" else None,
        )

    def fits(self, recipe: Recipe) -> bool:
        return self.memory(recipe, LONGEST).peak <= self.machine.room


def _number_format(recipe: Recipe, machine: Machine) -> str:
    """The number format of the model there: the recipe's, or what "auto" takes."""
    if recipe.model.dtype != "auto":
        return recipe.model.dtype
    if machine.device == "cuda":
        return "float32" if machine.card is not None and not machine.card.bfloat16 else "bfloat16"
    try:
        folder = locate_tokenizer(recipe.model.name)
    except BackboneError:  # planned by its published shape
        folder = Path(os.devnull)  # holds no config.json
    return choose_format(recipe.model, folder)[0]


def _lengths(
    recipe: Recipe, tasks: Sequence[Task], notice: Callable[[str], None]
) -> tuple[dict[str, TaskLengths], bool]:
    """Lengths by task key, and whether they are estimated by characters."""
    try:
        chat = load_chat_format(recipe.model)
    except BackboneError as error:
        notice(f"lengths are estimated by characters: {error}")
        chat = None
    return {task.key: lengths_of(task, recipe.model, chat) for task in tasks}, chat is None
