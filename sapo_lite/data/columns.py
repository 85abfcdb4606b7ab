"""Guesses about a table of examples: which columns are read, which one is the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sapo_lite.data.own_tasks import MOST_LABELS
from sapo_lite.data.rows import ANSWER_NAMES, INPUT_NAMES
from sapo_lite.errors import DataError
from sapo_lite.support.messages import quoted

# Names of answers that are no answers everywhere, so `run` and `score` do not take them by themselves.
_MORE_ANSWERS = """class category topic sentiment intent rating stars grade gold summary translation
    highlights""".split()
_MORE_INPUTS = "subject title headline body message description abstract".split()
_LONGEST_LABEL = 60  # characters


@dataclass(frozen=True)
class Column:
    """A column of texts (numbers are texts, too).

    texts: of the rows that have one
    """

    name: str
    texts: tuple[str, ...]

    @property
    def distinct(self) -> int:
        return len(set(self.texts))

    @property
    def is_constant(self) -> bool:
        return len(self.texts) > 1 and self.distinct == 1

    @property
    def is_prose(self) -> bool:
        """Whether it holds texts to read: several words, mostly letters, and mostly different ones."""
        letters = sum(character.isalpha() for text in self.texts for character in text)
        characters = sum(map(len, self.texts)) or 1
        # Chinese has no blanks; a text of six characters is a phrase.
        wordy = sum(" " in text.strip() or (len(text) > 5 and not text.isascii()) for text in self.texts)
        return (
            letters > characters / 2
            and wordy > len(self.texts) / 2
            and self.distinct > min(0.3 * len(self.texts), MOST_LABELS)
        )

    @property
    def is_closed(self) -> bool:
        """Whether its texts look like labels: short, few, and each there several times."""
        short = all(len(text) <= _LONGEST_LABEL for text in self.texts)
        return short and 2 <= self.distinct <= min(MOST_LABELS, max(2, len(self.texts) // 4))


def columns_of(rows: Sequence[tuple[str, object]], where: str) -> dict[str, Column]:
    """The columns that hold texts or numbers, in the order of the file.

    Raises:
        DataError: rows have no columns.
    """
    texts: dict[str, list[str]] = {}
    for place, row in rows:
        if not isinstance(row, Mapping):
            raise DataError(f"{place}: expected an object or a row of a table, found {quoted(row)}")
        for name, value in row.items():
            if isinstance(value, str | int | float):
                texts.setdefault(str(name), []).append(str(value))
    if len(texts) < 2:
        raise DataError(
            f"{where}: expected columns of inputs and answers, found {', '.join(texts) or 'none'}"
        )
    return {name: Column(name, tuple(found)) for name, found in texts.items()}


def find_answer(columns: Mapping[str, Column]) -> Column:
    """The answer: a column with a known name, else the last one of labels, else the last one."""
    usual = [*ANSWER_NAMES, *_MORE_ANSWERS]
    named = {column.name.strip().lower(): column for column in columns.values()}
    if known := [named[name] for name in usual if name in named and not named[name].is_constant]:
        return known[0]
    closed = [column for column in columns.values() if column.is_closed]
    return (closed or list(columns.values()))[-1]


def find_inputs(columns: Mapping[str, Column], answer: Column) -> list[Column]:
    """What is read: all columns with known names or of prose, else the one with the longest texts."""
    others = [column for column in columns.values() if column is not answer and not column.is_constant]
    if not others:
        raise DataError(f"expected a column to read beside {quoted(answer.name)}, found none")
    usual = (*INPUT_NAMES, *_MORE_INPUTS)
    read = [column for column in others if column.name.strip().lower() in usual or column.is_prose]
    return read or [max(others, key=lambda column: sum(map(len, column.texts)))]


def find_instruction(columns: Mapping[str, Column]) -> str | None:
    """The text of a column "instruction" that has the same in all rows."""
    found = next((c for c in columns.values() if c.name.strip().lower() == "instruction"), None)
    return found.texts[0].strip() if found and found.is_constant else None
