"""What a check reads and what it finds."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from sapo_lite.types import Example, Task

# "unusable": no number of this task means anything. "fault": numbers mean something else than they seem to.
# "caution": good to know when reading them.
Level = Literal["unusable", "fault", "caution"]
LEVELS: tuple[Level, ...] = ("unusable", "fault", "caution")

# Answers without declared labels are taken as labels if there are at most so many, each often enough.
_MOST_CLASSES = 20
_ROWS_A_CLASS = 5


@dataclass(frozen=True)
class Finding:
    """One thing that a check found in the data of a task.

    task: key of the task
    kind: name of what was found, the same for all tasks
    split: "train", "dev" or "test"; None if it concerns the task as a whole
    text: one sentence without the task's name
    numbers: the counts and shares of the text, by name
    """

    task: str
    kind: str
    split: str | None
    text: str
    numbers: dict[str, int | float]  # an integer stays one in a file
    level: Level


@dataclass(frozen=True)
class Split:
    """The rows of one split in their order, as the file or the recipe's draw has them."""

    name: str
    examples: tuple[Example, ...] = field(repr=False)

    @cached_property
    def keys(self) -> list[str]:
        """The inputs in a form in which equal texts are equal."""
        return [normalised(example.input) for example in self.examples]

    @cached_property
    def answers(self) -> Mapping[str, int]:
        """Number of rows by answer, the most frequent first."""
        return dict(Counter(example.answer for example in self.examples).most_common())


@dataclass(frozen=True)
class Subject:
    """A task and the splits of it that are checked. `task.train` and `task.test` are not read."""

    task: Task
    splits: tuple[Split, ...]

    def split(self, name: str) -> Split:
        """The split of this name; an empty one if it is not checked."""
        return next((split for split in self.splits if split.name == name), Split(name, ()))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The task's labels, or its few different answers; empty for free answers."""
        if self.task.labels:
            return self.task.labels
        answers = dict.fromkeys(answer for split in self.splits for answer in split.answers)
        rows = sum(len(split.examples) for split in self.splits)
        few = len(answers) <= min(_MOST_CLASSES, rows // _ROWS_A_CLASS)
        return tuple(answers) if few else ()

    def found(
        self, kind: str, level: Level, text: str, split: str | None = None, **numbers: float
    ) -> Finding:
        return Finding(self.task.key, kind, split, text, numbers, level)


def subject_of(task: Task, dev: Sequence[Example] = ()) -> Subject:
    """A task's own examples as the subject of checks, with those of a dev file if there is one."""
    by_name = {"train": task.train, "dev": tuple(dev), "test": task.test}
    return Subject(task, tuple(Split(name, rows) for name, rows in by_name.items() if rows))


def normalised(text: str) -> str:
    """The text in one case, one Unicode form, and with single spaces.

    Punctuation stays: 3 + 4 is not 3 - 4.
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def by_level(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, the most severe first."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def notices(findings: Sequence[Finding], at_most: int) -> Iterator[str]:
    """A line for each finding, the most severe first; one line for what is true of several tasks.

    at_most: lines for a task; a last line counts the others
    """
    shown: Counter[str] = Counter()
    lines: dict[str, list[str]] = {}
    left_out = 0
    for finding in by_level(findings):
        if shown[finding.task] == at_most:
            left_out += 1
            continue
        shown[finding.task] += 1
        lines.setdefault(finding.text, []).append(finding.task)
    for text, tasks in lines.items():
        yield f"{', '.join(tasks)}: {text}"
    if left_out:
        yield f"{left_out} more about the data: `sapo-lite data check` shows all"
