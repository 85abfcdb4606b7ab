"""What all parts measure on: a model, tasks with their candidates, and sizes."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.racing import candidates as wordings
from benchmarks.speed.scoring.clock import Clock, Seconds, timed
from benchmarks.speed.scoring.limit import matrix_rate
from sapo_lite.data.tasks import load_sequence
from sapo_lite.lab.heldout import TASKS
from sapo_lite.model.attention import CHUNKED
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.recipe import SequenceConfig
from sapo_lite.types import Candidate, Task, TrainingRow

# Largest relative difference of losses that comes from rounding, by number format.
SAME_LOSS = {"float32": 1e-5, "bfloat16": 2e-2}
CANDIDATES = 21  # the original and 20 paraphrases, as published


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    rows, batch_size: of a training, and of its optimiser steps
    examples: of a task that are scored, in one round with one candidate
    raced: of a task, in a race of all candidates
    prompts, new_tokens: that are answered, in batches of `answer_batch`, and the longest answer
    """

    rounds: int
    rows: int = 32
    batch_size: int = 8
    examples: int = 48
    raced: int = 250
    prompts: int = 32
    answer_batch: int = 16
    new_tokens: int = 16


QUICK = Sizes(rounds=2, rows=8, batch_size=4, examples=8, raced=40, prompts=6, answer_batch=3, new_tokens=4)


@dataclass(frozen=True)
class Bench:
    """folder: for what trainers write"""

    backbone: Backbone
    tasks: Sequence[Task]
    sizes: Sizes
    clock: Clock
    folder: Path

    @property
    def same_loss(self) -> float:
        return SAME_LOSS[self.backbone.config.dtype]

    def rate(self, _: int) -> tuple[float, Seconds]:
        """Floating point operations a second in matrix products of the model's shapes, at this moment."""
        return timed(lambda: matrix_rate(self.backbone, self.backbone.dtype, self.clock))

    def candidates(self, task: Task) -> list[Candidate]:
        """The original instruction and its paraphrases."""
        texts = wordings(task, "")[:CANDIDATES]
        return [Candidate(n, text, "file" if n else "original") for n, text in enumerate(texts)]

    def encoded(self, task: Task, instruction: str, count: int) -> list[EncodedRow]:
        rows = [TrainingRow(instruction, e.input, e.answer) for e in task.train[:count]]
        return self.backbone.chat.encode(task, rows)

    @contextlib.contextmanager
    def for_peers(self) -> Iterator[None]:
        """Context in which the model has the attention that it was loaded with."""
        config = self.backbone.causal_lm.config
        before = config._attn_implementation
        config._attn_implementation = "sdpa" if before == CHUNKED else before
        try:
            yield
        finally:
            config._attn_implementation = before


def load_tasks(backbone: Backbone, names: Sequence[str], sizes: Sizes, data: Path | None) -> list[Task]:
    """Tasks of the lab or of SUPERNI, whose inputs fit behind each of their candidates."""
    found = []
    for name in names:
        sequence = SequenceConfig(
            suite="lab" if name in TASKS else "SUPERNI",
            tasks=(name,),
            train_examples=max(sizes.rows, sizes.examples, sizes.raced),
            test_examples=sizes.prompts,
        )
        (task,) = load_sequence(sequence, data)
        found.append(backbone.chat.fit(task, wordings(task, "")[:CANDIDATES]))
    return found
