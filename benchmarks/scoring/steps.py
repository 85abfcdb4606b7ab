"""Optimiser steps of sapo-lite's training: on packs and on padded batches, alternately."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.scoring.clock import Clock, Seconds, median_ratio, total
from sapo_lite.adapters import ADAPTERS, BlockAdapter
from sapo_lite.backbone import Backbone
from sapo_lite.recipe import AdapterConfig, TrainingConfig
from sapo_lite.training import Step, train
from sapo_lite.types import Task, TrainRow

MICRO_BATCH = 8
# As published, less the dropout: with it, packs would draw other masks.
LORA = AdapterConfig(dropout=0.0)


@dataclass(frozen=True)
class Trained:
    """Costs of all timed steps of a round, on packs and on padded batches.

    rows: of the steps that are timed in one round
    tokens_per_row, tokens_per_task_row: mean lengths of the rows trained on, and of all rows of the task
    difference: the largest between the losses of the same step, in nats per answer token
    losses: of the last round's steps on packs
    """

    task: str
    rows: int
    tokens_per_row: float
    tokens_per_task_row: float
    packed: tuple[Seconds, ...]
    padded: tuple[Seconds, ...]
    difference: float
    losses: tuple[float, ...]

    def speedup(self, clock: Clock) -> float:
        return median_ratio(self.padded, self.packed, clock)

    def seconds_per_row(self, kind: Literal["packed", "padded"], clock: Clock) -> float:
        """For a row of the task's mean length: those trained on may be shorter or longer."""
        parts = self.packed if kind == "packed" else self.padded
        per_row = total(parts).on(clock) / (len(parts) * self.rows)
        return per_row * self.tokens_per_task_row / self.tokens_per_row

    def to_json(self) -> dict[str, Any]:
        parts = {name: [vars(s) for s in getattr(self, name)] for name in ("packed", "padded")}
        return {**vars(self), **parts, "speedup": {kind: self.speedup(kind) for kind in ("cpu", "wall")}}


def attach(backbone: Backbone, *, checkpointing: bool = False) -> BlockAdapter:
    """A LoRA of one block, to be trained again and again."""
    return ADAPTERS["sequential"](backbone, LORA, tasks=1, checkpointing=checkpointing)


def compare_steps(
    backbone: Backbone,
    adapter: BlockAdapter,
    task: Task,
    *,
    steps: int,
    rounds: int,
    batch_size: int,
    folder: Path,
    checkpointing: bool = False,
) -> Trained:
    """The same steps from the same weights, `rounds` times each way. The first step is not timed."""
    chosen = task.train[: steps * batch_size]
    rows = [TrainRow(task.instruction, e.input, e.answer) for e in chosen]

    def trained(pack: bool) -> tuple[Seconds, list[float]]:
        config = TrainingConfig(
            epochs=1,
            batch_size=batch_size,
            micro_batch_size=min(batch_size, MICRO_BATCH),
            pack=pack,
            gradient_checkpointing=checkpointing,
        )
        ends: list[Seconds] = []
        losses: list[float] = []

        def on_step(step: Step) -> None:  # its loss has been read, so the device is done with it
            ends.append(Seconds(time.process_time(), time.perf_counter()))
            losses.append(step.loss)

        adapter.open_block(0, seed=0)
        train(backbone, adapter, task, rows, config, checkpoints=folder, seed=0, on_step=on_step)
        return Seconds(ends[-1].cpu - ends[0].cpu, ends[-1].wall - ends[0].wall), losses

    packed, padded, difference = [], [], 0.0
    losses: list[float] = []
    for _ in range(rounds):
        seconds, losses = trained(True)
        packed.append(seconds)
        seconds, others = trained(False)
        padded.append(seconds)
        difference = max(difference, *(abs(x - y) for x, y in zip(losses, others, strict=True)))
    adapter.open_block(0, seed=0)
    return Trained(
        task=task.short_id,
        rows=len(rows) - batch_size,
        tokens_per_row=_mean_length(backbone, task, rows),
        tokens_per_task_row=_mean_length(
            backbone, task, [TrainRow(task.instruction, e.input, e.answer) for e in task.train]
        ),
        packed=tuple(packed),
        padded=tuple(padded),
        difference=difference,
        losses=tuple(losses),
    )


def _mean_length(backbone: Backbone, task: Task, rows: Sequence[TrainRow]) -> float:
    return sum(len(row.ids) for row in backbone.chat.encode(task, rows)) / len(rows)
