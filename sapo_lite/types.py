"""The nouns of the method, as frozen data classes. Everything else passes these around."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Language = Literal["en", "zh"]


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

    `origin` names where the text came from: "original", "builtin", "file" or "ollama".
    """

    index: int
    text: str
    origin: str


@dataclass(frozen=True)
class CandidateScore:
    """Pre-update losses of one candidate (SAPO, section 3), kept per example.

    `nll_sum[i]` is the summed negative log-likelihood, in nats, of example i's answer tokens;
    `tokens[i]` is how many answer tokens that sum covers. Every mean anyone uses follows.
    """

    index: int
    nll_sum: tuple[float, ...] = field(repr=False)
    tokens: tuple[int, ...] = field(repr=False)

    @property
    def token_mean(self) -> float:
        """Nats per answer token: the loss that decides (independent of batching)."""
        return sum(self.nll_sum) / sum(self.tokens)

    @property
    def example_mean(self) -> float:
        """Mean over examples of the example's own nats per token."""
        ratios = [nll / n for nll, n in zip(self.nll_sum, self.tokens, strict=True)]
        return sum(ratios) / len(ratios)


@dataclass(frozen=True)
class TrainRow:
    """One training row. A strategy may give every row its own instruction, or its own answer."""

    instruction: str
    input: str
    answer: str


@dataclass(frozen=True)
class Selection:
    """What a strategy decided: the rows to train on and the wording the task is tested with."""

    rows: Sequence[TrainRow] = field(repr=False)
    chosen: Candidate
