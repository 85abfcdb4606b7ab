"""The number format that a model computes in, and how `model.dtype = "auto"` chooses it.

Processors with instructions for bfloat16 (AMX, AVX512-BF16) multiply matrices in it two to four times as fast
as in float32; others take up to ten times as long. No list of processors would be complete, so small products
are timed.
"""

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from sapo_lite.recipe import ModelConfig

NumberFormat = Literal["bfloat16", "float32"]

# "auto" takes bfloat16 if matrix products are at least so many times as fast in it: a whole model gains less
# than its products do, and bfloat16 costs precision.
FASTER = 1.5
# "auto" takes float32 for narrower models without a trial. They would gain little (docs/performance.md).
NARROWEST = 512
# Tokens, and largest width, of the products that are timed: one takes 3 ms in float32 on a core of a server,
# and 30 ms in bfloat16 if the core has no instructions for it.
_TOKENS, _WIDEST = 128, 1024
_TRIES = 5


def choose_format(config: "ModelConfig", folder: Path) -> tuple[NumberFormat, str | None]:
    """The number format for a model on this machine, and a notice for the user or None.

    It is the recipe's, unless that is "auto". Takes up to 0.3 s of a CPU.

    folder: of the model, whose config.json gives its widths
    """
    if torch.cuda.is_available():
        return _on_cuda(config)
    if config.dtype == "float32":
        return "float32", None
    hidden, inner = model_widths(folder)
    if config.dtype == "bfloat16":
        return "bfloat16", slowness(speed_of_bfloat16(*time_products(hidden, inner)))
    if hidden < NARROWEST:
        return "float32", None
    return chosen(speed_of_bfloat16(*time_products(hidden, inner)))


def chosen(speed: float) -> tuple[NumberFormat, str | None]:
    """The choice of "auto" on a CPU whose matrix products are `speed` times as fast in bfloat16."""
    if speed < FASTER:
        return "float32", None
    return (
        "bfloat16",
        f"computing in bfloat16: this CPU multiplies matrices {speed:.1f} times as fast as in float32",
    )


def slowness(speed: float) -> str | None:
    """A notice if this CPU is slow in bfloat16, for a recipe that asks for it. `speed` as in `chosen`."""
    if speed >= 1.0:
        return None
    return (
        f"this CPU is slow in bfloat16, {1 / speed:.1f} times as slow as in float32: stop and add "
        "--set model.dtype=auto, or use a smaller model"
    )


def speed_of_bfloat16(float32: Sequence[float], bfloat16: Sequence[float]) -> float:
    """How many times as fast bfloat16 is, from seconds in each format, tried in turn: the median ratio."""
    return statistics.median(slow / fast for slow, fast in zip(float32, bfloat16, strict=True))


def time_products(hidden: int, inner: int) -> tuple[list[float], list[float]]:
    """Seconds of products [128, hidden] x [hidden, inner], tried in turn in float32 and in bfloat16.

    They are processor time of one thread, on which other programs have little effect.
    """
    hidden, inner = min(hidden, _WIDEST), min(inner, _WIDEST)
    states, weight = torch.rand(_TOKENS, hidden), torch.rand(inner, hidden)
    operands = [(states.to(dtype), weight.to(dtype)) for dtype in (torch.float32, torch.bfloat16)]
    seconds: tuple[list[float], list[float]] = ([], [])
    with _one_thread(), torch.no_grad():
        for _ in range(1 + _TRIES):  # the first products also choose kernels
            for found, (left, right) in zip(seconds, operands, strict=True):
                start = time.thread_time()
                F.linear(left, right)
                found.append(time.thread_time() - start)
    return seconds[0][1:], seconds[1][1:]


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _on_cuda(config: "ModelConfig") -> tuple[NumberFormat, str | None]:
    if config.dtype != "auto":
        return config.dtype, None
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16", None
    return "float32", f"computing in float32: {torch.cuda.get_device_name()} does not compute in bfloat16"


def model_widths(folder: Path) -> tuple[int, int]:
    """Widths of the hidden states and of the MLP in config.json; large ones if it does not give them.

    It is read without transformers, before which Unsloth must be imported; the loader reports what is wrong.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = config.get("text_config", config)
        hidden, inner = config.get("hidden_size", config.get("n_embd")), config.get("intermediate_size")
    except (OSError, ValueError, AttributeError):
        hidden = inner = None
    hidden = hidden if isinstance(hidden, int) and hidden > 0 else _WIDEST
    return hidden, inner if isinstance(inner, int) and inner > 0 else 4 * hidden
