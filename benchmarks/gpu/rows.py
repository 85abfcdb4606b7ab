"""Rows of up to the published maximum lengths, made of the lab's words."""

import random
from collections.abc import Sequence

from benchmarks.gpu.shapes import Shape, lab_text
from sapo_lite.lab.wordings import SUFFIX, original, wordings
from sapo_lite.model.chat import ChatFormat, EncodedRow
from sapo_lite.types import Candidate, Example, Task, TrainingRow

_TASK = "stars"  # whose instructions serve as candidates


def candidates(count: int) -> list[Candidate]:
    """The original instruction of a lab task, and paraphrases."""
    texts = [original(_TASK), *wordings(_TASK, count - 1, seed=0)]
    return [Candidate(n, text, "lab" if n else "original") for n, text in enumerate(texts)]


def task(chat: ChatFormat, shape: Shape, shares: Sequence[float], seed: int) -> Task:
    """One example for each of `shares`: about that share of the longest row that the shape allows."""
    words = random.Random(seed).choices(" ".join(lab_text(seed)).split(), k=2 * len(shares) * shape.source)
    examples = []
    for share in shares:
        text, words = words[: round(share * shape.source)], words[round(share * shape.source) :]
        answer, words = words[: shape.answer], words[shape.answer :]
        # One token less than allowed: the end of turn belongs to the answer.
        length = round(share * shape.answer) - 1
        examples.append(Example(" ".join(text), _first_tokens(chat, " ".join(answer), length)))
    rows = tuple(examples)
    whole = Task("smoke", "lab", original(_TASK), SUFFIX, (), "en", train=rows, test=rows)
    return chat.fit(whole, [candidate.text for candidate in candidates(4)])


def _first_tokens(chat: ChatFormat, text: str, count: int) -> str:
    offsets = chat.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return text[: offsets[count][0]] if len(offsets) > count else text


def train_rows(task: Task) -> list[TrainingRow]:
    """The task's training examples under its original instruction."""
    return [TrainingRow(task.instruction, e.input, e.answer) for e in task.train]


def encode(chat: ChatFormat, task: Task) -> list[EncodedRow]:
    return chat.encode(task, train_rows(task))


def prompts(chat: ChatFormat, task: Task) -> list[list[int]]:
    return chat.encode_prompts(task, task.instruction, [e.input for e in task.train])
