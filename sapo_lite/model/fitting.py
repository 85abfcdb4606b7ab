"""Fitting: over-long inputs are cut at their end, so that prompt and answer have at most so many tokens."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sapo_lite.errors import RenderError
from sapo_lite.types import Example, Task

if TYPE_CHECKING:
    from sapo_lite.model.chat import ChatFormat


def fit(chat: "ChatFormat", task: Task, instructions: Sequence[str]) -> Task:
    """The task with over-long inputs cut at their end, with one budget for all `instructions`.

    A prompt may have `max_source` tokens, minus the tokens of its answer beyond `max_answer`. Room is kept
    for an instruction of `max_instruction` tokens, or else for the longest one, so every candidate sees the
    same input and no answer is cut.

    Raises:
        RenderError: an instruction is longer than its budget, or it or an answer leaves no room for input.
    """
    shells = [len(ids) for i in instructions for ids in chat.encode_prompts(task, i, [""])]
    longest = max(range(len(shells)), key=shells.__getitem__)
    text, unused = instructions[longest], 0
    if chat.max_instruction is not None:
        # With the task's own instruction, so that the cut does not depend on the others.
        (bare,), (own,) = (chat.encode_prompts(task, i, [""]) for i in ("", task.instruction))
        text, unused = task.instruction, len(bare) + chat.max_instruction - len(own)
        if (found := max([shells[longest], len(own)]) - len(bare)) > chat.max_instruction:
            raise RenderError(
                f"{task.id}: expected instructions of at most {chat.max_instruction} tokens "
                f"(model.max_instruction_tokens), found one of {found}. Raise the number."
            )
    limit = chat.max_source - unused
    return replace(
        task, train=_split(chat, task, text, "train", limit), test=_split(chat, task, text, "test", limit)
    )


def _split(chat: "ChatFormat", task: Task, instruction: str, split: str, most: int) -> tuple[Example, ...]:
    """The examples of a split whose prompts with the instruction have at most `most` tokens."""
    examples: tuple[Example, ...] = getattr(task, split)
    prompts = chat.encode_prompts(task, instruction, [e.input for e in examples])
    empty, *answers = chat.encode_answers(["", *(e.answer for e in examples)])
    fitted = list(examples)
    for n, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        limit = most - max(0, len(answer) - len(empty) - chat.max_answer)
        if len(prompt) > limit:
            text = _cut(chat, task, instruction, examples[n].input, len(prompt) - limit)
            if text is None:
                raise RenderError(
                    f"{task.id}, {split} example {n}: instruction, suffix and answer alone exceed "
                    f"{limit} tokens. Raise model.max_source_tokens (now {chat.max_source}) "
                    "or shorten the candidate instructions."
                )
            fitted[n] = replace(examples[n], input=text)
    return tuple(fitted)


def _cut(chat: "ChatFormat", task: Task, instruction: str, text: str, excess: int) -> str | None:
    """`text` without its last `excess` tokens, or a few more where tokens merge at the new end."""
    limit = len(chat.encode_prompts(task, instruction, [text])[0]) - excess
    if not chat.tokenizer.is_fast:  # it does not report token offsets
        return _cut_anywhere(chat, task, instruction, text, limit)
    encoding = chat.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets: list[tuple[int, int]] = encoding["offset_mapping"]
    if len(offsets) != len(chat.encode_texts([text])[0]):  # these offsets are of control tokens, not of text
        return _cut_anywhere(chat, task, instruction, text, limit)
    keep = len(offsets) - excess
    while keep > 0:
        cut = text[: offsets[keep][0]]
        over = len(chat.encode_prompts(task, instruction, [cut])[0]) - limit
        if over <= 0:
            return cut
        keep -= over
    return None


def _cut_anywhere(chat: "ChatFormat", task: Task, instruction: str, text: str, limit: int) -> str | None:
    """The longest beginning of `text` (by characters) whose prompt has at most `limit` tokens."""

    def tokens(length: int) -> int:
        return len(chat.encode_prompts(task, instruction, [text[:length]])[0])

    return text[: bisect_right(range(1, len(text) + 1), limit, key=tokens)] or None
