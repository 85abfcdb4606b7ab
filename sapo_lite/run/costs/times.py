"""Seconds of a run by stage, from the counts of its plan and the rates of a card or of a probe."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from sapo_lite.model.shape import ModelShape
from sapo_lite.recipe import Recipe
from sapo_lite.run.costs.cards import Card
from sapo_lite.run.costs.lengths import TaskLengths
from sapo_lite.run.costs.memory import trains_on_packs
from sapo_lite.run.workplan import Piece, RunPlan

# Assumptions about a card, none of them measured here: the share of the data sheet's products and of its
# bandwidth that is reached, and the seconds that launching the kernels of one layer takes.
PRODUCTS, BANDWIDTH, LAUNCH = 0.4, 0.7, 0.9e-3
# Bytes moved by weight for a decoding step of several rows in 4 bits: it is read, and written and read in 16.
_UNPACKING = 0.5 + 2 + 2
# Tokens of a choice of a watch set: a question and an answer.
_CHOICE = 100


@dataclass(frozen=True)
class Rates:
    """Speed of a machine with a model.

    scored, trained: tokens a second of forward passes, and of training
    step: seconds of one decoding step of a batch
    """

    scored: float
    trained: float
    step: float


@dataclass(frozen=True)
class Tokens:
    """Tokens of some work, at most; `generated` if answers are as long as the references."""

    scored: float = 0.0
    trained: float = 0.0
    read: float = 0.0
    generated: float = 0.0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            self.scored + other.scored,
            self.trained + other.trained,
            self.read + other.read,
            self.generated + other.generated,
        )


@dataclass(frozen=True)
class StageCost:
    """Work of one stage.

    seconds: None where no rates are known
    """

    stage: int
    tokens: Tokens
    seconds: float | None


def rates_of(card: Card, recipe: Recipe, shape: ModelShape, number: int) -> Rates | None:
    """Rates of a card, from public facts about it; None if its rates are not known."""
    products = (card.bfloat16 if number == 2 else card.float32) * 1e12 * PRODUCTS
    if not products or not card.bandwidth:
        return None
    # Forward, backward to the states (the weights are frozen), and forward again.
    passes = 3 if recipe.training.gradient_checkpointing else 2
    forward = products / (2 * shape.in_layers)
    layers = number * shape.in_layers
    if recipe.model.quantization == "nf4":
        layers = int(_UNPACKING * sum(shape.quantised)) + number * shape.kept
    head = number * shape.widths.vocabulary * shape.widths.hidden
    moved = (layers + head) / (card.bandwidth * 1e9 * BANDWIDTH)
    return Rates(forward, forward / passes, max(moved, LAUNCH * shape.widths.layers))


def stage_costs(
    recipe: Recipe,
    plan: RunPlan,
    lengths: Mapping[str, TaskLengths],
    *,
    batch: int,
    rates: Rates | None,
) -> list[StageCost]:
    """Tokens and seconds of each stage, before any training first.

    lengths: by task key
    batch: prompts of a batch of answers
    """
    found: dict[int, Tokens] = {}
    steps: dict[int, float] = {}
    for piece in plan.pieces:
        tokens = _tokens(recipe, piece, lengths)
        found[piece.stage] = found.get(piece.stage, Tokens()) + tokens
        steps[piece.stage] = steps.get(piece.stage, 0.0) + tokens.generated / batch
    return [
        StageCost(stage, tokens, _seconds(tokens, steps[stage], rates) if rates else None)
        for stage, tokens in sorted(found.items())
    ]


def _tokens(recipe: Recipe, piece: Piece, lengths: Mapping[str, TaskLengths]) -> Tokens:
    own = lengths[piece.task.key] if piece.task else _average(list(lengths.values()))
    work, behind = piece.work, own.row - own.prefix
    # In a pack, the prefix is computed once for all its rows.
    trained = own.row
    if trains_on_packs(recipe):
        trained = behind + own.prefix / recipe.training.micro_batch_size
    generated = own.answer + 1
    return Tokens(
        scored=work.forwards.most * behind + work.choices * _CHOICE,
        trained=(work.rows + work.gradients) * trained,
        read=(work.answers.most + work.rollouts) * own.prompt,
        generated=(work.answers.most + work.rollouts) * generated,
    )


def _average(lengths: list[TaskLengths]) -> TaskLengths:
    return TaskLengths(
        rows=(),
        prompts=(),
        row=fmean(own.row for own in lengths),
        prompt=fmean(own.prompt for own in lengths),
        answer=fmean(own.answer for own in lengths),
        prefix=round(fmean(own.prefix for own in lengths)),
    )


def _seconds(tokens: Tokens, steps: float, rates: Rates) -> float:
    read = (tokens.scored + tokens.read) / rates.scored
    return read + tokens.trained / rates.trained + steps * rates.step
