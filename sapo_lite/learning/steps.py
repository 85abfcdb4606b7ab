"""Optimiser steps of a training, measured one after another."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Step:
    """One optimiser step: its loss in nats per answer token, and the adapter's extra loss (0 if none).

    gradient_norm: before the gradient is clipped
    tokens: of its rows, prompts and answers
    seconds: not compared, so that equal steps of two trainings are equal
    """

    number: int
    total: int
    loss: float
    penalty: float
    learning_rate: float
    gradient_norm: float | None
    tokens: int
    seconds: float = field(compare=False)


@dataclass
class StepMeter:
    """Measures the step that is under way, and reports it to `on_step`.

    losses: [loss, penalty] of each of its passes
    tokens: of its rows, prompts and answers
    """

    on_step: Callable[[Step], None]
    losses: list[Tensor] = field(default_factory=list)
    tokens: int = 0
    _began: float = 0.0

    def begin(self) -> None:
        self._began = time.perf_counter()

    def report(self, state: Any, logs: Mapping[str, float]) -> dict[str, float]:
        """Report the step that the Trainer logs, if it logs one, and return what is to be logged besides."""
        if not self.losses:  # at the end of a training it logs the whole of it
            return {}
        loss, penalty = torch.stack(self.losses).sum(0).tolist()
        self.losses.clear()
        seconds = time.perf_counter() - self._began
        rate, norm = logs["learning_rate"], logs.get("grad_norm")
        self.on_step(
            Step(state.global_step, state.max_steps, loss, penalty, rate, norm, self.tokens, seconds)
        )
        return {"penalty": penalty, "tokens_per_second": self.tokens / seconds}
