"""Memory of a run by part and by phase, predicted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sapo_lite.learning.methods import METHODS
from sapo_lite.model.footprint import (
    ADAM,
    BEST_TOKENS,
    COPIES,
    GRADIENT,
    HEAD_ROWS,
    adapter_bytes,
    cache_bytes,
    forward_bytes,
    four_bit,
    logits_bytes,
    rows_of_a_pass,
    tokens_that_fit,
    tokens_that_train,
    training_bytes,
)
from sapo_lite.model.shape import ModelShape
from sapo_lite.recipe import Recipe

Device = Literal["cpu", "cuda"]

# Bytes of the program itself. On a CPU: Python with the libraries that a run imports, measured. On a GPU: the
# context of CUDA with its kernels, and workspaces of cuBLAS; as others report it, not measured here.
PROGRAM: dict[str, int] = {"cpu": 650_000_000, "cuda": 800_000_000}
TRAINING, SCORING, ANSWERS = "training", "scoring", "answers"
PHASES = (TRAINING, SCORING, ANSWERS)


@dataclass(frozen=True)
class Sizes:
    """What a run holds in memory besides the weights.

    blocks: LoRA blocks of the adapter
    row: tokens of a training row
    prefix: tokens of it that the rows of a micro-batch share in a pack; 0 without packs
    prompt: tokens of a test prompt
    answer: tokens of an answer
    """

    blocks: int
    row: int
    prefix: int
    prompt: int
    answer: int


@dataclass(frozen=True)
class Memory:
    """Bytes by phase and part; the phases do not overlap.

    micro_batch, batch: rows of a pass of training and of a batch of answers, chosen to fit
    tokens: of one forward pass in scoring
    """

    phases: Mapping[str, Mapping[str, int]]
    micro_batch: int
    batch: int
    tokens: int

    def total(self, phase: str) -> int:
        return sum(self.phases[phase].values())

    @property
    def peak(self) -> int:
        return max(map(self.total, self.phases))


def trains_on_packs(recipe: Recipe) -> bool:
    """Whether training puts the rows of a micro-batch behind one copy of their prefix."""
    pack = recipe.training.pack
    return pack is True or (pack == "auto" and not recipe.adapter.dropout)


def blocks_of(recipe: Recipe, tasks: int) -> int:
    """Number of LoRA blocks of a run over so many tasks."""
    return METHODS[recipe.adapter.method].blocks(tasks)


def weight_bytes(shape: ModelShape, quantization: str, number: int) -> dict[str, int]:
    """Bytes of the model's weights in memory, by part."""
    in_layers = number * shape.kept
    if quantization == "nf4":
        in_layers += sum(map(four_bit, shape.quantised))
    else:
        in_layers += number * sum(shape.quantised)
    return {"weights of the layers": in_layers, "embedding and head": number * shape.embeddings}


def memory_of(
    recipe: Recipe, shape: ModelShape, sizes: Sizes, *, number: int, device: Device, room: float | None
) -> Memory:
    """Memory of a run at the lengths of `sizes`.

    number: bytes of a number in the model's format
    room: bytes of the device; None if that is unknown or of no matter
    """
    lora = shape.lora(recipe.adapter.rank * sizes.blocks)
    # The copies of the open block that its update is measured by are in float64, and on the CPU.
    fixed = {
        "program": PROGRAM[device],
        **weight_bytes(shape, recipe.model.quantization, number),
        "adapter": adapter_bytes(lora, number) + (8 * lora // sizes.blocks if device == "cpu" else 0),
    }
    free = None if room is None else int(room) - sum(fixed.values())
    unpacked = number * max(shape.quantised, default=0) if recipe.model.quantization == "nf4" else 0
    training, micro_batch = _training(recipe, shape, sizes, lora, number, device, free)
    scoring, tokens = _scoring(shape, sizes, number, device, free)
    answers, batch = _answers(recipe, shape, sizes, number, free)
    phases = {TRAINING: training, SCORING: scoring, ANSWERS: answers}
    buffer = {"a layer unpacked": unpacked} if unpacked else {}
    return Memory(
        {phase: {**fixed, **parts, **buffer} for phase, parts in phases.items()}, micro_batch, batch, tokens
    )


def _training(
    recipe: Recipe,
    shape: ModelShape,
    sizes: Sizes,
    lora: int,
    number: int,
    device: Device,
    free: int | None,
) -> tuple[dict[str, int], int]:
    """Parts of training, and the rows of a pass."""
    size, checkpointing = recipe.training.micro_batch_size, recipe.training.gradient_checkpointing
    dropout, packed = recipe.adapter.dropout > 0, trains_on_packs(recipe)
    tokens = BEST_TOKENS[device]
    if free is not None:
        tokens = min(
            tokens,
            tokens_that_train(
                free,
                shape.widths,
                number,
                trained=lora,
                checkpointing=checkpointing,
                dropout=dropout,
                packed=packed,
            ),
        )
    size = rows_of_a_pass(tokens, sizes.row, size)
    per_token = training_bytes(
        shape.widths, number, checkpointing=checkpointing, dropout=dropout, packed=packed
    )
    return {
        "gradients and copies": 4 * (GRADIENT + COPIES) * lora,
        "optimiser": 4 * ADAM * lora,
        "activations": (sizes.prefix + size * (sizes.row - sizes.prefix)) * per_token,
        "logits": logits_bytes(shape.widths, number, size * sizes.answer, training=True),
    }, size


def _scoring(
    shape: ModelShape, sizes: Sizes, number: int, device: Device, free: int | None
) -> tuple[dict[str, int], int]:
    """Parts of scoring, and the tokens of a forward pass."""
    per_token, tokens = forward_bytes(shape.widths, number), BEST_TOKENS[device]
    if free is not None:
        tokens = min(tokens, tokens_that_fit(free, per_token))
    tokens = max(tokens, sizes.row)
    return {
        "activations": tokens * per_token,
        "logits": logits_bytes(shape.widths, number, HEAD_ROWS, training=False),
    }, tokens


def _answers(
    recipe: Recipe, shape: ModelShape, sizes: Sizes, number: int, free: int | None
) -> tuple[dict[str, int], int]:
    """Parts of generation, and the prompts of a batch: it is halved until it fits."""
    size = recipe.evaluation.batch_size
    cached = cache_bytes(shape.widths, number) * (sizes.prompt + recipe.evaluation.max_new_tokens)
    states = forward_bytes(shape.widths, number) * sizes.prompt
    while free is not None and size > 1 and size * (cached + states) > free:
        size //= 2
    return {"activations": size * states, "cache": size * cached}, size
