"""History of a stage's training: `history.jsonl`, a line of JSON for each optimiser step.

It is for people and plots. No result is read from it, so it has no checksum, and it may differ between runs
that are otherwise equal: it holds times. A run that goes on from a checkpoint drops the lines after it.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.run.memory import memory_gb
from sapo_lite.run.paths import HISTORY

if TYPE_CHECKING:
    from sapo_lite.learning.steps import Step


@dataclass(frozen=True)
class HistoryStep:
    """One optimiser step.

    step, steps: its number, from 1, and how many the training has
    loss, penalty: in nats per answer token; the penalty is the adapter's extra loss, 0 if it has none
    lr: learning rate of the step
    grad_norm: norm of the gradient before it is clipped; None if it is not finite
    tokens_per_s: tokens of the step's rows, prompts and answers, by second
    memory_gb: memory that the process holds after the step: of the GPU if there is one, else resident
    seconds: duration of the step
    """

    step: int
    steps: int
    loss: float
    penalty: float
    lr: float
    grad_norm: float | None
    tokens_per_s: float
    memory_gb: float
    seconds: float


class History:
    """The history of one training, which `add` appends to."""

    def __init__(self, stage: Path) -> None:
        """stage: folder of the stage, made if it does not exist"""
        self._file = stage / HISTORY
        self._begun = False

    def add(self, step: "Step") -> None:
        """Append a step. Before the first one, lines of this step and of later ones are dropped."""
        if not self._begun:
            self._drop_from(step.number)
            self._begun = True
        norm = step.gradient_norm
        line = HistoryStep(
            step=step.number,
            steps=step.total,
            loss=_rounded(step.loss),
            penalty=_rounded(step.penalty),
            lr=_rounded(step.learning_rate),
            grad_norm=_rounded(norm) if norm is not None and math.isfinite(norm) else None,
            tokens_per_s=_rounded(step.tokens / step.seconds),
            memory_gb=round(memory_gb(), 3),
            seconds=round(step.seconds, 4),
        )
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(line)) + "\n")

    def _drop_from(self, number: int) -> None:
        kept = [line for line in _lines(self._file) if line.step < number]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_name(f".{HISTORY}.partial")
        partial.write_text("".join(json.dumps(asdict(line)) + "\n" for line in kept), encoding="utf-8")
        partial.replace(self._file)


def read_history(stage: Path) -> list[HistoryStep]:
    """The steps of a stage's training so far, in order; none if nothing was trained in it.

    stage: folder of the stage. Another process may be writing to it: a line that is not whole is left out.
    """
    return _lines(stage / HISTORY)


def _lines(file: Path) -> list[HistoryStep]:
    found = []
    for line in file.read_bytes().splitlines() if file.exists() else ():
        try:
            found.append(HistoryStep(**json.loads(line)))
        except (ValueError, TypeError):  # cut by a kill, or edited
            continue
    return found


def _rounded(value: float) -> float:
    """The value to six significant digits."""
    return float(f"{value:.6g}")
