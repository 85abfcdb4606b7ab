"""The nouns of the method, as frozen data classes. Everything else passes these around."""

import re
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
    `own_key` is set where the abbreviated id is not unique in the sequence, or no name for a file
    (sapo_lite.data.task_keys).
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
    own_key: str | None = None

    @property
    def key(self) -> str:
        """What tells the task from all others of its sequence, in dicts and in names of files."""
        return self.own_key or abbreviated(self.id)

    @property
    def name(self) -> str:
        """For display only: the key, or the full id where that was no name for a file."""
        return self.key if self.id.startswith(self.key) else self.id

    @property
    def file_name(self) -> str:
        """Of its candidates, less the ending: the full id, or the key where the id is no name for a file."""
        return self.id if self.id.startswith(self.key) else self.key


def abbreviated(task_id: str) -> str:
    """`task195_sentiment140_classification` -> `task195`; other ids stay as they are. Not unique."""
    return re.sub(r"^(task[0-9]+)_.*", r"\1", task_id, flags=re.DOTALL)


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
