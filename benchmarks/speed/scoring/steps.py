"""Optimiser steps of sapo-lite's training: on packs, and on its padded batches.

In these, rows of similar length share a batch, and the vocabulary projection is computed only at answers.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.speed.scoring.clock import CLOCKS, Clock, Seconds, median_ratio, total
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.steps import Step
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.recipe import AdapterConfig, TrainingConfig
from sapo_lite.types import Task, TrainingRow, TrainingSet

Way = Literal["packed", "padded"]
MICRO_BATCH = 8
# As published, but without dropout: with it, packs would draw other masks.
LORA = AdapterConfig(dropout=0.0)


@dataclass(frozen=True)
class Trained:
    """Costs of all timed steps, for each method and round.

    rows: of the steps that are timed in one round
    tokens_per_row, tokens_per_task_row: mean lengths of the rows trained on, and of all rows of the task
    difference: the largest between losses of the same step in different methods, in nats per answer token
    losses: of the last round's steps on packs
    """

    task: str
    rows: int
    tokens_per_row: float
    tokens_per_task_row: float
    seconds: dict[Way, list[Seconds]]
    difference: float
    losses: tuple[float, ...]

    def speedup(self, over: Way, clock: Clock) -> float:
        return median_ratio(self.seconds[over], self.seconds["packed"], clock)

    def seconds_per_row(self, way: Way, clock: Clock) -> float:
        """Seconds for a row of the task's mean length; the rows trained on may be shorter or longer."""
        parts = self.seconds[way]
        per_row = total(parts).on(clock) / (len(parts) * self.rows)
        return per_row * self.tokens_per_task_row / self.tokens_per_row

    def to_json(self) -> dict[str, Any]:
        seconds = {way: [vars(part) for part in parts] for way, parts in self.seconds.items()}
        speedup = {way: {clock: self.speedup(way, clock) for clock in CLOCKS} for way in seconds}
        return {**vars(self), "seconds": seconds, "speedup": speedup}


def attach(backbone: Backbone, *, checkpointing: bool = False) -> BlockAdapter:
    """A LoRA of one block, which every round trains again."""
    return METHODS["sequential"].build(backbone, LORA, tasks=1, checkpointing=checkpointing)


def compare_steps(
    backbone: Backbone,
    adapter: BlockAdapter,
    task: Task,
    *,
    steps: int,
    rounds: int,
    batch_size: int,
    folder: Path,
    ways: Sequence[Way] = ("packed", "padded"),
    checkpointing: bool = False,
) -> Trained:
    """Time the same steps from the same weights, `rounds` times a method, without the first step."""
    rows = _rows(task)[: steps * batch_size]
    config = TrainingConfig(
        epochs=1,
        batch_size=batch_size,
        micro_batch_size=min(batch_size, MICRO_BATCH),
        gradient_checkpointing=checkpointing,
    )
    seconds: dict[Way, list[Seconds]] = {way: [] for way in ways}
    losses: dict[Way, tuple[float, ...]] = {}
    difference = 0.0
    for _ in range(rounds):
        for way in ways:
            packs = config.model_copy(update={"pack": way == "packed"})
            spent, losses[way] = _train(backbone, adapter, task, rows, packs, folder)
            seconds[way].append(spent)
        of_steps = zip(*losses.values(), strict=True)
        difference = max(difference, *(max(step) - min(step) for step in of_steps))
    adapter.open_block(0, seed=0)
    return Trained(
        task=task.name,
        rows=len(rows) - batch_size,
        tokens_per_row=_mean_length(backbone, task, rows),
        tokens_per_task_row=_mean_length(backbone, task, _rows(task)),
        seconds=seconds,
        difference=difference,
        losses=losses["packed"],
    )


def _train(
    backbone: Backbone,
    adapter: BlockAdapter,
    task: Task,
    rows: Sequence[TrainingRow],
    config: TrainingConfig,
    folder: Path,
) -> tuple[Seconds, tuple[float, ...]]:
    """The time from the end of the first step to the end of the last; and the losses of all steps."""
    ends: list[Seconds] = []
    losses: list[float] = []

    def on_step(step: Step) -> None:  # its loss has been read, so the device is done with it
        ends.append(Seconds(time.process_time(), time.perf_counter()))
        losses.append(step.loss)

    adapter.open_block(0, seed=0)
    train(backbone, adapter, [TrainingSet(task, rows)], config, checkpoints=folder, seed=0, on_step=on_step)
    return Seconds(ends[-1].cpu - ends[0].cpu, ends[-1].wall - ends[0].wall), tuple(losses)


def _rows(task: Task) -> list[TrainingRow]:
    return [TrainingRow(task.instruction, e.input, e.answer) for e in task.train]


def _mean_length(backbone: Backbone, task: Task, rows: Sequence[TrainingRow]) -> float:
    """Mean length of the rows, in tokens."""
    return sum(len(row.ids) for row in backbone.chat.encode(task, rows)) / len(rows)
