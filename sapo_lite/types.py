"""The nouns of the method, as frozen data classes. Everything else passes these around."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sapo_lite.prompts.schedules import PromptSchedule

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

    `origin` names where the text came from: "original", or the source as the recipe names it, such
    as "ollama" or "builtin".
    """

    index: int
    text: str
    origin: str


@dataclass(frozen=True)
class TrainingRow:
    """One training row. A strategy may give every row its own instruction, or its own answer."""

    instruction: str
    input: str
    answer: str


@dataclass(frozen=True)
class TrainingSet:
    """Rows of one task, as they are trained on.

    Where there is a `schedule`, its wordings are put in the place of the rows' own.
    """

    task: Task
    rows: Sequence[TrainingRow] = field(repr=False)
    schedule: "PromptSchedule | None" = None
