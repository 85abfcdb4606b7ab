"""Lengths of a run's rows in tokens."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from sapo_lite.model.batching import shared_prefix
from sapo_lite.model.chat import EncodedRow
from sapo_lite.types import Example, Task, TrainingRow

if TYPE_CHECKING:
    from sapo_lite.model.chat import ChatFormat
    from sapo_lite.recipe import ModelConfig

# Rows of a split that are measured: its first ones, and the longest by their number of characters.
_FIRST, _LONGEST = 300, 20
PERCENTILES = (50, 95, 100)
# Without a tokenizer: tokens of what a template writes, characters a token of a text, and of Chinese.
_FRAME, _CHARACTERS = 20, 4
_WIDE = re.compile("[⺀-鿿가-힣豈-﫿]")


@dataclass(frozen=True)
class TaskLengths:
    """Tokens of a task's rows with its own instruction, cut as the recipe says.

    rows, prompts: of training rows, and of the prompts of test rows, in order of length
    row, prompt, answer: on average
    prefix: what all rows begin with
    """

    rows: tuple[int, ...]
    prompts: tuple[int, ...]
    row: float
    prompt: float
    answer: float
    prefix: int


def lengths_of(task: Task, model: "ModelConfig", chat: "ChatFormat | None") -> TaskLengths:
    """Lengths of the first rows of a task and of its longest ones.

    chat: None if there is no tokenizer; lengths are then estimated by characters
    """
    train, test = (_encoded(task, split, model, chat) for split in (task.train, task.test))
    rows, prompts = [len(row.ids) for row in train], [row.answer_start for row in test]
    return TaskLengths(
        rows=tuple(sorted(rows)),
        prompts=tuple(sorted(prompts)),
        row=_mean(rows),
        prompt=_mean(prompts),
        answer=_mean([len(row.answer_ids) for row in test]),
        prefix=shared_prefix(train) if train and chat is not None else _estimated(task.instruction),
    )


def longest_allowed(model: "ModelConfig") -> TaskLengths:
    """Lengths of rows that are as long as the recipe allows, where no rows are at hand."""
    prompt, answer = model.max_source_tokens, model.max_answer_tokens
    row = prompt + answer
    return TaskLengths((row,), (prompt,), row, prompt, answer, prefix=0)


def _mean(lengths: Sequence[int]) -> float:
    """On average, of the first rows: the longest ones stand behind them."""
    return fmean(lengths[:_FIRST] or [0])


def _encoded(
    task: Task, split: Sequence[Example], model: "ModelConfig", chat: "ChatFormat | None"
) -> list[EncodedRow]:
    by_length = sorted(split[_FIRST:], key=lambda example: -len(example.input))
    chosen = [*split[:_FIRST], *by_length[:_LONGEST]]
    if chat is not None:
        rows = [TrainingRow(task.instruction, example.input, example.answer) for example in chosen]
        whole = chat.encode(task, rows)
    else:
        whole = [_guessed(task, example) for example in chosen]
    return [_cut(row, model) for row in whole]


def _guessed(task: Task, example: Example) -> EncodedRow:
    """A row of the length that its characters suggest; all its tokens are 0."""
    prompt = _FRAME + sum(map(_estimated, (task.instruction, example.input, task.suffix)))
    return EncodedRow((0,) * (prompt + _estimated(example.answer) + 1), prompt)


def _estimated(text: str) -> int:
    wide = len(_WIDE.findall(text))
    return wide + -(-(len(text) - wide) // _CHARACTERS)


def _cut(row: EncodedRow, model: "ModelConfig") -> EncodedRow:
    """The row with a prompt of at most `max_source_tokens`, less what its answer has beyond its own limit."""
    answer = row.answer_ids
    prompt = min(row.answer_start, model.max_source_tokens - max(0, len(answer) - model.max_answer_tokens))
    return EncodedRow(row.ids[:prompt] + answer, prompt)


def percentiles(lengths: Sequence[int]) -> dict[int, int]:
    """Percentiles of lengths in ascending order: the smallest that this share of them do not exceed."""
    at = {p: max(0, -(-len(lengths) * p // 100) - 1) for p in PERCENTILES}
    return {p: lengths[place] for p, place in at.items()} if lengths else dict.fromkeys(at, 0)


def all_rows(tasks: Sequence[TaskLengths], of: Callable[[TaskLengths], Sequence[int]]) -> list[int]:
    """Lengths of all tasks in ascending order."""
    return sorted(length for task in tasks for length in of(task))
