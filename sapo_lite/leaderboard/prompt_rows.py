"""Rows of examples under several prompts: checked, cut alike for all prompts, and rendered."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sapo_lite.errors import DataError, RenderError
from sapo_lite.model.chat import ChatFormat, EncodedRow
from sapo_lite.support.messages import quoted
from sapo_lite.types import Candidate, Example, Language, Task, TrainingRow

# Tokens, where neither model nor tokenizer names a limit.
_UNLIMITED = 10**9


def candidates(prompts: Sequence[str]) -> list[Candidate]:
    """The prompts as candidates, the first the original. Raises DataError unless they are different texts."""
    if isinstance(prompts, str) or not all(isinstance(prompt, str) for prompt in prompts):
        raise DataError(f"expected prompts as a list of texts, found {quoted(prompts)}")
    if not prompts:
        raise DataError("expected at least one prompt, found none")
    for index, prompt in enumerate(prompts):
        if prompt in prompts[:index]:
            raise DataError(
                f"expected different prompts, found {quoted(prompt)} as {prompts.index(prompt)} and {index}"
            )
    return [Candidate(i, text, "given" if i else "original") for i, text in enumerate(prompts)]


def require_options(language: Language, limit: int) -> None:
    """Raises DataError unless the language has a layout and the number of examples is above 0."""
    if language not in ("en", "zh") or limit < 1:
        raise DataError(f'expected language "en" or "zh", and a limit above 0; found {language}, {limit}')


def make_task(
    examples: Sequence[Example], instruction: str, *, suffix: str, language: Language, limit: int
) -> Task:
    """The first `limit` examples as a task to be scored."""
    train = tuple(examples[:limit])
    # Nothing is tested, but inputs of all splits are cut to the budget, and no split may be empty.
    return Task("prompts", "", instruction, suffix, (), language, train=train, test=train[:1])


def unseen_answers(examples: Sequence[Example], limit: int) -> list[str]:
    """A notice where the first `limit` examples lack a common answer, as in a file sorted by label."""
    counts = Counter(example.answer for example in examples)
    seen = {example.answer for example in examples[:limit]}
    # Only answers that should occur at least five times among them: labels, since free answers are rare.
    missing = [a for a, n in counts.most_common() if a not in seen and n * limit >= 5 * len(examples)]
    if not missing:
        return []
    return [
        f"the first {limit} of {len(examples)} examples have no answer {quoted(missing[0])}, "
        f"which {counts[missing[0]]} later ones have: shuffle the examples, or use more of them"
    ]


def chat_format(
    tokenizer: Any, vocabulary: int | None, reach: int | None, max_tokens: int | None
) -> tuple[ChatFormat, int]:
    """The chat format with its budget for prompts, and the limit in tokens of prompt and answer together."""
    if not getattr(tokenizer, "chat_template", None):
        raise RenderError(
            "expected a tokenizer with a chat template, found one without: take an instruct model, or set "
            "tokenizer.chat_template to the one that you train with"
        )
    longest = min((n for n in (reach, max_tokens) if n is not None), default=_UNLIMITED)
    chat = ChatFormat(tokenizer, longest, 0, vocabulary)
    (end,) = chat.encode(make_task([], "", suffix="", language="en", limit=0), [TrainingRow("", "", "")])
    chat.max_source -= len(end.answer_ids)  # an answer of no words is the end of the turn
    return chat, longest


def fit(chat: ChatFormat, task: Task, prompts: Sequence[str], longest: int) -> Task:
    """Cut over-long inputs of a task. Raises RenderError if nothing would be left of an input."""
    shells = [len(chat.encode_prompts(task, prompt, [""])[0]) for prompt in prompts]
    widest = shells.index(max(shells))
    alone = chat.encode(task, [TrainingRow(prompts[widest], "", example.answer) for example in task.train])
    for number, row in enumerate(alone, start=1):
        if len(row.ids) >= longest:
            raise RenderError(
                f"example {number}: expected room for its input, found none: prompt #{widest}, suffix and "
                f"answer are {len(row.ids)} tokens, the limit is {longest}. Shorten the prompt or the answer."
            )
    return chat.fit(task, prompts)


def cut_notice(task: Task, fitted: Task, longest: int) -> str | None:
    """A notice of inputs that were cut; None if none was."""
    cut = sum(before != after for before, after in zip(task.train, fitted.train, strict=True))
    if not cut:
        return None
    of = f"{cut} of {len(task.train)} inputs"
    return f"{of} were cut at their end: with prompt and answer they are longer than {longest} tokens"


def encode(chat: ChatFormat, task: Task, candidate: Candidate) -> list[EncodedRow]:
    """The training rows of a task under one prompt."""
    return chat.encode(task, [TrainingRow(candidate.text, e.input, e.answer) for e in task.train])
