"""Memory that a model needs, by part, from its shape: the one estimate of `plan` and of a run.

`plan` adds the parts up; a run takes its token budgets and micro-batches from the same figures. What is
allocated once and stays (weights, adapter, gradients, optimiser, logits) is exact to a few percent, which
tests/model/test_footprint.py measures in a process of its own. Activations are an estimate.
"""

from dataclasses import dataclass
from typing import Any

# Tokens whose vocabulary logits are in memory at once: 256 x 151,936 x 4 bytes = 156 MB for Qwen3.
HEAD_ROWS = 256
# Tokens of a forward pass if memory is large. On a CPU, more of them do not fit its caches.
BEST_TOKENS = {"cpu": 2048, "cuda": 8192}
# Share of the free memory that a forward pass may use, and that all of training may.
MEMORY_SHARE, TRAINING_SHARE = 0.5, 0.9
# bitsandbytes' NF4: half a byte a weight; a byte for the scale of each 64; with double quantisation a float32
# for each 256 scales, and two tables.
_BLOCK, _SCALES, _TABLES = 64, 256, 16 * 4 + 256 * 4
# float32 numbers by LoRA weight in training: the weight, its gradient, Adam's two means, and two copies (of
# the weights before TRL casts them, of frozen blocks to compare).
WEIGHT, GRADIENT, ADAM, COPIES = 1, 1, 2, 2


@dataclass(frozen=True)
class Widths:
    """What the memory of a forward pass depends on.

    layers: their number
    hidden, inner: width of the states and of the MLP
    queries, keys: width of all queries, and of all keys (and of all values)
    """

    layers: int
    hidden: int
    inner: int
    queries: int
    keys: int
    vocabulary: int


def widths_of(config: Any) -> Widths:
    """The widths of a model; where its layers differ, those of the widest.

    config: transformers' configuration, of the whole model or of its text part
    """
    text = config.get_text_config()
    hidden = _number(text, "hidden_size", 1)
    heads = _number(text, "num_attention_heads", 1)
    head = _number(text, "head_dim", max(1, hidden // heads))
    return Widths(
        layers=_number(text, "num_hidden_layers", 1),
        hidden=hidden,
        inner=_number(text, "intermediate_size", 4 * hidden),
        queries=heads * head,
        keys=_number(text, "num_key_value_heads", heads) * head,
        vocabulary=_number(text, "vocab_size", 1),
    )


def _number(config: Any, name: str, default: int) -> int:
    """A field of a configuration, or the largest of its numbers; the default where it has none."""
    found = getattr(config, name, None)
    numbers = found if isinstance(found, list | tuple) else [found]
    return max((number for number in numbers if isinstance(number, int)), default=default) or default


def four_bit(weights: int) -> int:
    """Bytes of a linear layer's weights in 4 bits, with double quantisation."""
    scales = -(-weights // _BLOCK)
    return -(-weights // 2) + scales + 4 * -(-scales // _SCALES) + _TABLES


def adapter_bytes(lora: int, number: int) -> int:
    """Bytes of an adapter of `lora` weights in float32, and as autocast multiplies with them."""
    return lora * (4 * WEIGHT + (number if number < 4 else 0))


def training_state(lora: int) -> int:
    """Bytes that training keeps besides the weights: gradients, copies and the optimiser's means."""
    return 4 * lora * (GRADIENT + ADAM + COPIES)


def forward_bytes(widths: Widths, number: int) -> int:
    """Bytes a token of a forward pass without gradients, at its peak in one layer.

    number: bytes of a number in the format that the model computes in
    """
    states = 2 * widths.hidden  # the states that come in, and the normed ones
    attention = 3 * widths.queries + 2 * widths.keys
    mlp = 3 * widths.inner
    return number * (states + max(attention, mlp)) + 8 * widths.hidden  # norms are computed in float32


def layer_bytes(widths: Widths, number: int, *, dropout: bool, packed: bool) -> int:
    """Bytes a token of one layer that autograd keeps from the forward pass to the backward pass.

    dropout: of a LoRA on two of its linear layers
    packed: rows are in packs, whose attention is computed in chunks, each with a copy of the prefix
    """
    norms = 4 * (2 * widths.hidden + widths.queries + widths.keys)  # their inputs, in float32
    kept = widths.hidden + 2 * widths.queries + 2 * widths.keys + 3 * widths.inner
    if packed:
        kept += 4 * widths.queries  # of a chunk; keys and values are repeated for each head
    dropped = 2 * widths.hidden * (number + 1) if dropout else 0  # what is left, and a mask of bytes
    return norms + number * kept + dropped


def training_bytes(widths: Widths, number: int, *, checkpointing: bool, dropout: bool, packed: bool) -> int:
    """Bytes a token of a micro-batch in training.

    checkpointing: only the states between layers are kept, and one layer at a time is computed again
    """
    one = layer_bytes(widths, number, dropout=dropout, packed=packed)
    if not checkpointing:
        return widths.layers * one
    gradients = number * (2 * widths.hidden + 3 * widths.inner)
    return number * widths.layers * widths.hidden + one + gradients


def cache_bytes(widths: Widths, number: int) -> int:
    """Bytes of keys and values of one token in all layers."""
    return number * 2 * widths.layers * widths.keys


def logits_bytes(widths: Widths, number: int, rows: int, *, training: bool) -> int:
    """Bytes of the logits of one chunk of `rows` answer tokens, at most HEAD_ROWS.

    They are divided by the temperature and normalised in float32; the backward pass has three such tensors.
    """
    return min(rows, HEAD_ROWS) * widths.vocabulary * (12 if training else number + 8)


def tokens_that_fit(free: int, bytes_per_token: int) -> int:
    """Number of tokens of one forward pass that fits into `free` bytes; one at least.

    A power of two: small differences in what is free must not make other batches, which round elsewhere.
    """
    return _power_of_two(int(MEMORY_SHARE * max(0, free)) // max(1, bytes_per_token))


def tokens_that_train(
    free: int,
    widths: Widths,
    number: int,
    *,
    trained: int,
    checkpointing: bool,
    dropout: bool,
    packed: bool,
) -> int:
    """Number of tokens of one forward and backward pass that fits into `free` bytes, as `tokens_that_fit`.

    free: with the weights and the adapter in memory already
    trained: number of LoRA weights
    """
    logits = logits_bytes(widths, number, HEAD_ROWS, training=True)
    left = int(TRAINING_SHARE * free) - training_state(trained) - logits
    per_token = training_bytes(widths, number, checkpointing=checkpointing, dropout=dropout, packed=packed)
    return _power_of_two(left // per_token)


def rows_of_a_pass(tokens: int, longest: int, most: int) -> int:
    """Rows of one pass of training: at most `most`, and at most `tokens` in all; one at least."""
    return max(1, min(most, tokens // max(1, longest)))


def _power_of_two(number: int) -> int:
    """The largest power of two that is not above a number; 1 at least."""
    return 1 << max(0, number.bit_length() - 1) if number > 0 else 1
