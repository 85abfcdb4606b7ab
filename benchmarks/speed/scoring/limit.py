"""Lower limit of the time of scoring: its unavoidable arithmetic at the machine's own rate.

Floating point operations are 2 x parameters x unique tokens, and those of attention over pairs of tokens
that may see each other. Unique tokens are the prefix, once for every candidate, and the suffixes; the
vocabulary projection counts at answer rows only. The rate is that of matrix products of the model's own
shapes, measured in the same call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.speed.scoring.clock import Clock, timed
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import shared_prefix
from sapo_lite.model.chat import EncodedRow
from sapo_lite.prompts.losses import RELEASED_BATCH
from sapo_lite.types import Candidate, Task, TrainingRow

RATE_ROWS = {"cpu": 1024, "cuda": 8192}  # tokens of a product that is timed
RATE_TRIES = 9


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


def projections(config: Any) -> dict[str, tuple[int, int]]:
    """(inputs, outputs) of the linear layers of one decoder layer."""
    hidden, inner = config.hidden_size, config.intermediate_size
    heads, groups = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
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


def _of_candidate(backbone: Backbone, task: Task, candidate: Candidate, examples: int) -> Work:
    rows = [TrainingRow(candidate.text, e.input, e.answer) for e in task.train[:examples]]
    encoded = backbone.chat.encode(task, rows)
    prefix = shared_prefix(encoded)
    suffixes = [len(row.ids) - 1 - prefix for row in encoded]
    answers = sum(len(row.answer_ids) for row in encoded)
    unique = prefix + sum(suffixes)
    pairs = prefix * (prefix + 1) // 2 + sum(n * prefix + n * (n + 1) // 2 for n in suffixes)

    config = backbone.causal_lm.config
    size = {name: inputs * outputs for name, (inputs, outputs) in projections(config).items()}
    layers, layer = config.num_hidden_layers, sum(size.values())
    attention = 4 * pairs * layers * config.num_attention_heads * config.head_dim
    head = 2 * answers * config.vocab_size * config.hidden_size
    operations = 2 * unique * layers * layer + attention + head
    saved = 2 * (unique - answers) * (layer - size["k"] - size["v"])
    return Work(_padded(encoded), len(rows) * prefix + sum(suffixes), unique, operations, operations - saved)


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
