"""Checks of numerical differences, with limits for rounding."""

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.gpu.record import Record

# By dtype: relative differences between losses of the same rows in other batches (which other kernels
# compute), between Unsloth's and transformers' losses, and relative distances between their logits.
SAME = {"bfloat16": 5e-3, "float32": 1e-5}
ALIKE = {"bfloat16": 1e-2, "float32": 1e-4}
CLOSE = {"bfloat16": 0.1, "float32": 1e-3}


class Compare:
    """Compares results of a model in `dtype` with expected ones."""

    def __init__(self, record: Record, dtype: str) -> None:
        self._record = record
        self._dtype = dtype

    def same(
        self, name: str, found: Sequence[float], wanted: Sequence[float], limits: dict[str, float] = SAME
    ) -> None:
        """Losses that may differ only by rounding."""
        differences = [abs(x - y) / y for x, y in zip(found, wanted, strict=True)]
        self._within(name, differences, limits[self._dtype], "relative difference")

    def equal(self, name: str, found: Sequence[float], wanted: Sequence[float]) -> None:
        """Losses of the same computation, which must be equal."""
        self._within(name, [abs(x - y) for x, y in zip(found, wanted, strict=True)], 0, "difference")

    def close(self, name: str, found: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
        """Logits that may differ only by rounding."""
        distances = [float((x - y).norm() / y.norm()) for x, y in zip(found, wanted, strict=True)]
        self._within(name, distances, CLOSE[self._dtype], "relative distance")

    def likeliest(self, tokens: Tensor, logits: Tensor) -> None:
        """Tokens [N] that must have the highest of their logits [N, vocabulary], or a tie with it."""
        highest = logits.max(-1).values
        gaps = highest - logits.gather(1, tokens[:, None])[:, 0]
        self._record.note("likeliest tokens", float((gaps == 0).float().mean()))
        # Two steps of bfloat16 at the size of the highest logit.
        steps = 2 * torch.exp2(highest.abs().log2().floor() - 7)
        ties = steps if self._dtype == "bfloat16" else torch.full_like(steps, 1e-4)
        share = float((gaps <= ties).float().mean())
        self._record.check("likeliest tokens, but for rounding", share >= 0.9, share, "at least 0.9")

    def _within(self, name: str, differences: Sequence[float], limit: float, kind: str) -> None:
        passed = all(difference <= limit for difference in differences)  # false for NaN
        expected = f"{kind} within {limit:g}" if limit else f"no {kind}"
        self._record.check(name, passed, max(differences), expected)
