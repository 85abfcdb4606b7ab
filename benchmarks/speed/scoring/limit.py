"""Lower limit of the time of scoring and of training: the unavoidable arithmetic at the machine's own rate.

Floating point operations of scoring are 2 x parameters x unique tokens, and those of attention over pairs of
tokens that may see each other. Unique tokens are the prefix, once for every candidate, and the suffixes; the
vocabulary projection counts at answer rows only. Training takes 4 x parameters, since the gradients of inputs
take another 2 (the weights are frozen, and LoRA's own are few), and three times the attention; its prefix
counts once for every optimiser step. The rate is that of matrix products of the model's own shapes, measured
in the same call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from benchmarks.speed.scoring.clock import Clock, timed
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import shared_prefix
from sapo_lite.model.chat import EncodedRow
from sapo_lite.prompts.losses import RELEASED_BATCH
from sapo_lite.types import Candidate, Task, TrainingRow

RATE_ROWS = {"cpu": 1024, "cuda": 8192}  # tokens of a product that is timed
RATE_TRIES = 5


@dataclass(frozen=True)
class Work:
    """Work of scoring all candidates on all examples: numbers of tokens and of floating point operations.

    padded: tokens that the released loop computes, padding included
    rows: tokens of all rows, fed one by one without padding
    unique: tokens that must be computed
    operations: of the whole model at unique tokens
    needed: the same without the last layer's queries, output projection and MLP at tokens that predict no
    answer
    """

    padded: int
    rows: int
    unique: int
    operations: float
    needed: float


def head_width(config: Any) -> int:
    """Width of one attention head."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def projections(config: Any) -> dict[str, tuple[int, int]]:
    """(inputs, outputs) of the linear layers of one decoder layer."""
    hidden, inner, width = config.hidden_size, config.intermediate_size, head_width(config)
    heads, groups = config.num_attention_heads * width, config.num_key_value_heads * width
    return {
        "q": (hidden, heads),
        "k": (hidden, groups),
        "v": (hidden, groups),
        "o": (heads, hidden),
        "gate": (hidden, inner),
        "up": (hidden, inner),
        "down": (inner, hidden),
    }


def work(backbone: Backbone, task: Task, candidates: Sequence[Candidate], examples: int) -> Work:
    """The work of scoring these candidates on the first `examples` examples."""
    parts = [_of_candidate(backbone, task, candidate, examples) for candidate in candidates]
    return Work(*(sum(values) for values in zip(*(vars(part).values() for part in parts), strict=True)))


def training_operations(backbone: Backbone, rows: Sequence[EncodedRow], steps: int) -> float:
    """Floating point operations of training on these rows, which have one instruction, in so many steps."""
    counts = _counts(rows, prefixes=steps)
    linear, attention, head = _forward(backbone.causal_lm.config, counts)
    return 2 * linear + 3 * attention + 2 * head


class _Counts(NamedTuple):
    """Unique tokens, pairs of them that may see each other, and answer tokens."""

    unique: int
    pairs: int
    answers: int


def _counts(rows: Sequence[EncodedRow], prefixes: int = 1) -> _Counts:
    """prefixes: how often the prefix of all rows is computed"""
    prefix = shared_prefix(rows)
    suffixes = [len(row.ids) - 1 - prefix for row in rows]
    pairs = sum(n * prefix + n * (n + 1) // 2 for n in suffixes)
    return _Counts(
        prefixes * prefix + sum(suffixes),
        prefixes * prefix * (prefix + 1) // 2 + pairs,
        sum(len(row.answer_ids) for row in rows),
    )


def _forward(config: Any, counts: _Counts) -> tuple[float, float, float]:
    """Operations of a forward pass: of linear layers, of attention and of the vocabulary projection."""
    layers = config.num_hidden_layers
    layer = sum(inputs * outputs for inputs, outputs in projections(config).values())
    return (
        2 * counts.unique * layers * layer,
        4 * counts.pairs * layers * config.num_attention_heads * head_width(config),
        2 * counts.answers * config.vocab_size * config.hidden_size,
    )


def _of_candidate(backbone: Backbone, task: Task, candidate: Candidate, examples: int) -> Work:
    rows = [TrainingRow(candidate.text, e.input, e.answer) for e in task.train[:examples]]
    encoded, config = backbone.chat.encode(task, rows), backbone.causal_lm.config
    counts = _counts(encoded)
    operations = sum(_forward(config, counts))
    size = {name: inputs * outputs for name, (inputs, outputs) in projections(config).items()}
    saved = 2 * (counts.unique - counts.answers) * (sum(size.values()) - size["k"] - size["v"])
    tokens = sum(len(row.ids) - 1 for row in encoded)
    return Work(_padded(encoded), tokens, counts.unique, operations, operations - saved)


def _padded(rows: Sequence[EncodedRow]) -> int:
    lengths = [len(row.ids) for row in rows]
    batches = [lengths[start : start + RELEASED_BATCH] for start in range(0, len(lengths), RELEASED_BATCH)]
    return sum(len(batch) * max(batch) for batch in batches)


def matrix_rate(backbone: Backbone, dtype: torch.dtype, clock: Clock) -> float:
    """Floating point operations a second in products of a layer's shapes: the best of several."""
    rows = RATE_ROWS[backbone.device.type]
    operations = seconds = 0.0
    for inputs, outputs in projections(backbone.causal_lm.config).values():
        x = torch.randn(rows, inputs, device=backbone.device).to(dtype)
        weight = torch.randn(outputs, inputs, device=backbone.device).to(dtype)
        product = partial(F.linear, x, weight)
        seconds += min(timed(product)[1].on(clock) for _ in range(RATE_TRIES))
        operations += 2 * rows * inputs * outputs
    return operations / seconds
