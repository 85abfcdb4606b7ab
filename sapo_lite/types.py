"""The nouns of the method, as frozen data classes. Everything else passes these around."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Language = Literal["en", "zh"]
Reduction = Literal["token_mean", "batch_mean"]

# Examples of a batch when candidates are scored by the released code.
PAPER_BATCH = 8


@dataclass(frozen=True)
class Example:
    """One row of a task: the text the model reads and the text it must answer."""

    input: str
    answer: str


@dataclass(frozen=True)
class Task:
    """One task of a sequence, with as many examples as the recipe asks for.

    `suffix` ("Directly output only ... as your answer.") closes every prompt and is never
    paraphrased. `labels` is empty for tasks with free answers. `train_split` says which file
    the training examples came from: "dev" where a missing train file was stood in for.
    """

    id: str
    suite: str
    instruction: str
    suffix: str
    labels: tuple[str, ...]
    language: Language
    train: tuple[Example, ...] = field(repr=False)
    test: tuple[Example, ...] = field(repr=False)
    train_split: Literal["train", "dev"] = "train"

    @property
    def short_id(self) -> str:
        """`task195_sentiment140_classification` -> `task195`; other ids are short already."""
        return self.id.split("_")[0] if self.id.startswith("task") else self.id


@dataclass(frozen=True)
class Candidate:
    """One wording of a task's instruction. Index 0 is always the original.

    `origin` names where the text came from: "original", or the source as the recipe names it, such
    as "ollama" or "builtin".
    """

    index: int
    text: str
    origin: str


@dataclass(frozen=True)
class Rejection:
    """A text that is no candidate, and the reason in a short phrase. No answer at all has text ""."""

    text: str
    reason: str


@dataclass(frozen=True)
class LastRejection(Rejection):
    """From a source that has no answers any more, and could have said the same of every other request."""


@dataclass(frozen=True)
class CandidateScore:
    """Pre-update losses of one candidate (SAPO, section 3), kept per example.

    `nll_sum[i]` is the summed negative log-likelihood, in nats, of the answer tokens of training
    example `examples[i]`; `tokens[i]` is how many answer tokens that sum covers. Every mean anyone
    uses follows. A full score has `total` examples, in the order of the file; a candidate that left
    a race early has fewer, in the order of the race, which is the same for all candidates.
    """

    index: int
    nll_sum: tuple[float, ...] = field(repr=False)
    tokens: tuple[int, ...] = field(repr=False)
    examples: tuple[int, ...] = field(repr=False)
    total: int
    reduction: Reduction = "token_mean"

    @property
    def partial(self) -> bool:
        """Whether the losses are those of some of the examples only."""
        return len(self.examples) < self.total

    @property
    def loss(self) -> float:
        """The mean that decides, in nats per answer token."""
        return self.token_mean if self.reduction == "token_mean" else self.batch_mean

    @property
    def token_mean(self) -> float:
        """Nats per answer token over all tokens (independent of batching)."""
        return math.fsum(self.nll_sum) / sum(self.tokens)

    @property
    def example_mean(self) -> float:
        """Mean over examples of the example's own nats per token."""
        ratios = [nll / n for nll, n in zip(self.nll_sum, self.tokens, strict=True)]
        return math.fsum(ratios) / len(ratios)

    @property
    def batch_mean(self) -> float:
        """Mean of the token means of batches of 8 in the order scored, as SAPO's released code has it.

        A last, smaller batch counts by its examples, as transformers' Trainer.evaluate weights it.
        """
        starts = range(0, len(self.examples), PAPER_BATCH)
        batches = [slice(start, start + PAPER_BATCH) for start in starts]
        means = [sum(self.nll_sum[b]) / sum(self.tokens[b]) * len(self.tokens[b]) for b in batches]
        return sum(means) / len(self.examples)


def ranked(scores: Sequence[CandidateScore]) -> list[CandidateScore]:
    """The winner, then the others by the loss they may be expected to have on its examples; ties by index.

    The winner has the lowest loss of those with the most examples: who left a race cannot win it.
    """
    winner = min(scores, key=lambda s: (-len(s.examples), s.loss, s.index))
    return sorted(scores, key=lambda s: (s is not winner, comparable_loss(s, winner), s.index))


def comparable_loss(score: CandidateScore, winner: CandidateScore) -> float:
    """A candidate's loss on as many examples as the winner has seen, in nats per answer token.

    Losses on fewer examples tell nothing by themselves. The difference on the examples that both
    have is added to the winner's loss.
    """
    same = len(score.examples) == len(winner.examples)
    return score.loss if same else winner.loss + excess(score, winner)


def excess(score: CandidateScore, over: CandidateScore) -> float:
    """Loss of one candidate minus another's, in nats per answer token, on the examples both have."""
    if not (score.partial or over.partial):
        return score.loss - over.loss
    n = min(len(score.examples), len(over.examples))  # both are beginnings of the same order
    return (math.fsum(score.nll_sum[:n]) - math.fsum(over.nll_sum[:n])) / sum(over.tokens[:n])


@dataclass(frozen=True)
class TrainRow:
    """One training row. A strategy may give every row its own instruction, or its own answer."""

    instruction: str
    input: str
    answer: str


class Wordings(Protocol):
    """Wordings that change while a task is trained."""

    def at(self, step: int, loss: Callable[[str], float], epoch: int) -> str:
        """The wording of all rows of an optimiser step (from 0) in an epoch (from 0).

        `loss` gives the mean loss of these rows under a wording, with the model as it is, in nats per
        answer token. It costs a forward pass.
        """
        ...


@dataclass(frozen=True)
class Schedule:
    """Wordings that change while training (PAFT, section 3.2): each is held for `hold` optimiser steps.

    A function of the seed and the step alone, so that a resumed training goes on with the same ones.
    Drawn uniformly, or with probabilities proportional to `weights`.
    """

    wordings: tuple[str, ...] = field(repr=False)
    hold: int
    seed: str
    weights: tuple[float, ...] | None = field(default=None, repr=False)

    def at(self, step: int, loss: Callable[[str], float] | None = None, epoch: int = 0) -> str:
        """The wording of all rows of an optimiser step (from 0)."""
        rng = random.Random(f"{self.seed}/{step // self.hold}")
        return rng.choices(self.wordings, self.weights)[0]


@dataclass(frozen=True)
class Part:
    """Rows of one task, as they are trained on.

    Where there are `wordings`, they are put in the place of the rows' own.
    """

    task: Task
    rows: Sequence[TrainRow] = field(repr=False)
    wordings: Wordings | None = None


@dataclass(frozen=True)
class Selection:
    """What a strategy decided: what the task is trained on, and the wording it is tested with."""

    part: Part
    chosen: Candidate
