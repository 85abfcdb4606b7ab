"""From (instruction, input, answer) to (token ids, where the answer starts). Nowhere else.

The prompt layout is the published one (SAPO, released code): a single user turn of instruction,
blank line, `Text:` (Chinese `文本:`), newline, input, blank line, suffix. Only the instruction
is ever paraphrased.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sapo_lite.errors import RenderError
from sapo_lite.types import Example, Language, Task, TrainingRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_HEADER: dict[Language, str] = {"en": "Text:", "zh": "文本:"}
_MARK = "SAPO-LITE-CONTENT"
# Llama 3.1's template always adds a system turn (knowledge cut-off, date); the paper removes it.
_DEFAULT_SYSTEM_TURN = re.compile(
    r"<\|start_header_id\|>system<\|end_header_id\|>.*?<\|eot_id\|>", flags=re.DOTALL
)


@dataclass(frozen=True)
class EncodedRow:
    """A rendered row: `ids[:answer_start]` is the prompt, the rest answer and end-of-turn token.

    The loss is taken at the answer tokens; `answer_start >= 1` always.
    """

    ids: tuple[int, ...]
    answer_start: int

    @property
    def answer_ids(self) -> tuple[int, ...]:
        return self.ids[self.answer_start :]


def user_turn(task: Task, instruction: str, text: str) -> str:
    """The text of the user turn. Parts that are empty take their blank line with them.

    Plain concatenation, not `str.format`: braces in an instruction or input mean nothing here.
    """
    body = f"{_HEADER[task.language]}\n{text}"
    return "\n\n".join(part for part in (instruction, body, task.suffix) if part)


class ChatFormat:
    """A tokenizer and its chat template, with thinking switched off.

    The template is run once, around a mark; texts are then put in the mark's place. So no
    template code (Llama's `| trim`, Qwen's look for tags) can change what a text says.

    Raises:
        RenderError: the tokenizer has no chat template.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", max_source: int, max_answer: int) -> None:
        if not tokenizer.chat_template:
            raise RenderError(
                f"The tokenizer of {tokenizer.name_or_path} has no chat template. Expected an instruct "
                "model (Qwen3, Llama-3.1-Instruct, ...); name the instruct variant in model.name."
            )
        self.tokenizer = tokenizer
        self.max_source = max_source
        self.max_answer = max_answer
        user = {"role": "user", "content": _MARK}
        opened = self._apply([user], add_generation_prompt=True)
        before, _, self._after = opened.partition(_MARK)
        self._before = _DEFAULT_SYSTEM_TURN.sub("", before)
        closed = self._apply([user, {"role": "assistant", "content": _MARK}], add_generation_prompt=False)
        self._end_of_turn = closed.rpartition(_MARK)[2].rstrip() or tokenizer.eos_token
        self.end_of_turn_id: int = self._tokenize([self._end_of_turn])[0][0]

    def _apply(self, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        rendered = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=add_generation_prompt, enable_thinking=False
        )
        assert isinstance(rendered, str)
        return rendered

    def prompt(self, task: Task, instruction: str, text: str) -> str:
        """The whole string the model reads before it answers."""
        return f"{self._before}{user_turn(task, instruction, text)}{self._after}"

    def encode_turn(self, text: str) -> list[int]:
        """Token ids of a user turn that is not a task's, up to where the model begins to answer."""
        return self._tokenize([f"{self._before}{text}{self._after}"])[0]

    def encode_prompts(self, task: Task, instruction: str, texts: Sequence[str]) -> list[list[int]]:
        return self._tokenize([self.prompt(task, instruction, text) for text in texts])

    def encode(self, task: Task, rows: Sequence[TrainingRow]) -> list[EncodedRow]:
        """Rows as token ids. The answer is tokenised by itself, exactly as it follows the prompt in
        generation, so its tokens are equal for every wording of the instruction."""
        prompts = self._tokenize([self.prompt(task, row.instruction, row.input) for row in rows])
        answers = self._tokenize([row.answer + self._end_of_turn for row in rows])
        return [EncodedRow((*p, *a), len(p)) for p, a in zip(prompts, answers, strict=True)]

    def fit(self, task: Task, instructions: Sequence[str]) -> Task:
        """The task with over-long inputs cut at their end, by one budget for all `instructions`.

        A prompt may take `max_source` tokens, less what its answer takes beyond `max_answer`. The
        longest instruction decides, so every candidate sees the same text and no answer is cut.

        Raises:
            RenderError: an instruction or an answer leaves no room for any input.
        """
        shells = [len(ids) for i in instructions for ids in self.encode_prompts(task, i, [""])]
        longest = instructions[max(range(len(shells)), key=shells.__getitem__)]
        return replace(
            task, train=self._fit_split(task, longest, "train"), test=self._fit_split(task, longest, "test")
        )

    def _fit_split(self, task: Task, instruction: str, split: str) -> tuple[Example, ...]:
        examples: tuple[Example, ...] = getattr(task, split)
        prompts = self.encode_prompts(task, instruction, [e.input for e in examples])
        answers = self._tokenize([e.answer for e in examples])
        fitted = list(examples)
        for n, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            limit = self.max_source - max(0, len(answer) - self.max_answer)
            if len(prompt) > limit:
                text = self._cut(task, instruction, examples[n].input, len(prompt) - limit)
                if text is None:
                    raise RenderError(
                        f"{task.id}, {split} example {n}: instruction, suffix and answer alone exceed "
                        f"{limit} tokens. Raise model.max_source_tokens (now {self.max_source}) "
                        "or shorten the candidate instructions."
                    )
                fitted[n] = replace(examples[n], input=text)
        return tuple(fitted)

    def _cut(self, task: Task, instruction: str, text: str, excess: int) -> str | None:
        """`text` without its last `excess` tokens, or a few more where tokens merge at the new end."""
        encoding = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets: list[tuple[int, int]] = encoding["offset_mapping"]
        limit = len(self.encode_prompts(task, instruction, [text])[0]) - excess
        keep = len(offsets) - excess
        while keep > 0:
            cut = text[: offsets[keep][0]]
            over = len(self.encode_prompts(task, instruction, [cut])[0]) - limit
            if over <= 0:
                return cut
            keep -= over
        return None

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        if not texts:  # a fast tokenizer fails on an empty batch
            return []
        # The template writes the special tokens itself. A fast tokenizer remembers earlier padding and
        # truncation settings, so both are switched off at every call.
        encoding = self.tokenizer(texts, add_special_tokens=False, padding=False, truncation=False)
        ids: list[list[int]] = encoding["input_ids"]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Generated ids as an answer: special tokens dropped, outer white space stripped."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()
