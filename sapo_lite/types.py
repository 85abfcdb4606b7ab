"""The nouns of the method, as frozen data classes that all rooms share."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sapo_lite.prompts.schedules import PromptSchedule

Language = str  # an ISO 639-1 code, such as "en" or "zh"


@dataclass(frozen=True)
class Example:
    """One row of a task: the text the model reads and the text it must answer."""

    input: str
    answer: str


@dataclass(frozen=True)
class Task:
    """One task of a sequence, with the number of examples that the recipe sets.

    `suffix` ("Directly output only ... as your answer.") closes every prompt and is never
    paraphrased. `labels` is empty for tasks with free answers. `train_split` says which file
    the training examples came from: "dev" if it replaced a missing train file. `metric` names the score of
    its answers (sapo_lite.evaluation.metrics). A `watched` task is tested at every stage and never trained.
    `own_key` is set if the abbreviated id is not unique in the sequence, or not a safe file name
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
    metric: str = "rougeL"
    watched: bool = False
    own_key: str | None = None

    @property
    def key(self) -> str:
        """The task's key, unique in its sequence, for dicts and file names."""
        return self.own_key or abbreviated(self.id)

    @property
    def name(self) -> str:
        """Name for display only: the key, or the full id if that is not a safe file name."""
        return self.key if self.id.startswith(self.key) else self.id

    @property
    def file_name(self) -> str:
        """Stem of the candidates file: the full id, or the key if the id is not a safe file name."""
        return self.id if self.id.startswith(self.key) else self.key


def learned_tasks(tasks: Sequence[Task]) -> list[Task]:
    """The tasks that are trained, in order: all but the watched ones."""
    return [task for task in tasks if not task.watched]


def abbreviated(task_id: str) -> str:
    """`task195_sentiment140_classification` -> `task195`; other ids stay as they are. Not unique."""
    return re.sub(r"^(task[0-9]+)_.*", r"\1", task_id, flags=re.DOTALL)


@dataclass(frozen=True)
class Candidate:
    """One candidate wording of a task's instruction. Index 0 is always the original.

    `origin` is the text's source: "original", or the source's name in the recipe, such as "ollama" or
    "builtin".
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
    """Training rows of one task.

    A `schedule`, if there is one, replaces the instructions of the rows.
    """

    task: Task
    rows: Sequence[TrainingRow] = field(repr=False)
    schedule: "PromptSchedule | None" = None
