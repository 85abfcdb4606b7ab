"""Rows of the lengths that the published settings allow, made of the lab's words."""

import random
from collections.abc import Sequence

from benchmarks.gpu.shapes import Shape, lab_text
from sapo_lite.chat import ChatFormat
from sapo_lite.lab.wordings import SUFFIX, original, wordings
from sapo_lite.types import Candidate, Example, Task

_TASK = "stars"  # whose wordings serve as candidates


def candidates(count: int) -> list[Candidate]:
    """The original wording of a lab task's instruction, and others."""
    texts = [original(_TASK), *wordings(_TASK, count - 1, seed=0)]
    return [Candidate(n, text, "builtin" if n else "original") for n, text in enumerate(texts)]


def task(chat: ChatFormat, shape: Shape, shares: Sequence[float], seed: int) -> Task:
    """One training example for each of `shares`, its length that share of what the shape allows.

    A share of 1 gives exactly full rows, or a token or two less where tokens merge at a cut.
    """
    words = _words(seed, 2 * len(shares) * shape.source)
    start = 0
    rows = []
    for share in shares:
        length = round(share * shape.source)
        text = " ".join(words[start : start + length])
        start += length
        # One token less than allowed: the end of turn is part of the answer.
        answer = _cut(chat, " ".join(words[start : start + shape.answer]), round(share * shape.answer) - 1)
        rows.append(Example(text, answer))
        start += shape.answer
    whole = Task("smoke", "lab", original(_TASK), SUFFIX, (), "en", tuple(rows), tuple(rows))
    return chat.fit(whole, [candidate.text for candidate in candidates(4)])


def _words(seed: int, count: int) -> list[str]:
    text = " ".join(lab_text(seed)).split()
    return random.Random(seed).choices(text, k=count)


def _cut(chat: ChatFormat, text: str, tokens: int) -> str:
    """The first `tokens` tokens of a text."""
    offsets = chat.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return text if len(offsets) <= tokens else text[: offsets[tokens][0]]


def prompts(chat: ChatFormat, rows: Task) -> list[list[int]]:
    """The prompts of a task's training examples."""
    return chat.encode_prompts(rows, rows.instruction, [e.input for e in rows.train])
