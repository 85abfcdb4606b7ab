"""Chat format: from (instruction, input, answer) to (token ids, start of the answer). Only here.

The prompt layout is the published one (SAPO, released code): a single user turn of instruction,
blank line, `Text:` (Chinese `文本:`), newline, input, blank line, suffix. Only the instruction
is ever paraphrased.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from sapo_lite.errors import RenderError
from sapo_lite.model.chat_frame import PROBES, ChatFrame, name_of, render_frame
from sapo_lite.model.control_tokens import Framed, FramedTokenizer
from sapo_lite.model.fitting import fit
from sapo_lite.types import Task, TrainingRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


# Which end of an over-long row is cut: that of its input, or that of the whole row.
Cut = Literal["input", "right"]


@dataclass(frozen=True)
class EncodedRow:
    """A rendered row: `ids[:answer_start]` is the prompt, the rest answer and end-of-turn token.

    The loss is taken at the answer tokens; `answer_start >= 1` always. A row that was cut on the right may
    have none.
    """

    ids: tuple[int, ...]
    answer_start: int

    @property
    def answer_ids(self) -> tuple[int, ...]:
        return self.ids[self.answer_start :]


def user_turn(task: Task, instruction: str, text: str) -> str:
    """Text of the user turn. An empty part is left out together with its blank line.

    Plain concatenation, not `str.format`: braces in an instruction or input mean nothing here.
    """
    header = "文本:" if task.language == "zh" else "Text:"
    body = f"{header}\n{text}"
    return "\n\n".join(part for part in (instruction, body, task.suffix) if part)


class ChatFormat:
    """A tokenizer and the frame that its chat template puts around a turn and its answer.

    The template runs once, around markers; the texts then replace the markers. So no template code (Llama's
    `| trim`, Qwen's search for tags) can change a text. The ids of a prompt and its answer together equal
    those of the template's own conversation, tokenised as one text; this is checked here. Control tokens are
    the template's alone: in a text, `<|im_end|>` is text (sapo_lite.model.control_tokens). `stop_ids` are the
    end-of-turn tokens at which generation stops.

    Args:
        max_source, max_answer: tokens of a prompt and of an answer
        vocabulary: number of tokens of the model; None if there is no model
        frame: what an earlier `ChatFormat` rendered (a template may write the date); None to render now
        newline: whether white space that the template writes behind the end of an answer belongs to it
        cut: what over-long rows lose: the end of their input (by `fit`), or the last tokens of the row
        max_instruction: tokens that `fit` keeps for the instruction; None for those of the longest one

    Raises:
        RenderError: the template or the tokenizer cannot be used; the message says why.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        max_source: int,
        max_answer: int,
        vocabulary: int | None = None,
        frame: ChatFrame | None = None,
        *,
        newline: bool = False,
        cut: Cut = "input",
        max_instruction: int | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.max_source = max_source
        self.max_answer = max_answer
        self.cut = cut
        self.max_instruction = max_instruction
        self._vocabulary = vocabulary
        self._of = name_of(tokenizer)
        self.frame = frame or render_frame(tokenizer, datetime.now(), newline=newline)
        self._framed = FramedTokenizer(tokenizer, self.frame)
        self.stop_ids = self._find_stop_ids()
        self._header = self._find_header()

    def with_frame(self, frame: ChatFrame) -> "ChatFormat":
        """The same format with another frame. Raises RenderError like the constructor."""
        return ChatFormat(
            self.tokenizer,
            self.max_source,
            self.max_answer,
            self._vocabulary,
            frame,
            cut=self.cut,
            max_instruction=self.max_instruction,
        )

    def _find_stop_ids(self) -> frozenset[int]:
        """Special ids in the end of turn. Llama 2's " </s>" also has an ordinary space, which is left out."""
        eos, eos_id = self.tokenizer.eos_token, self.tokenizer.eos_token_id
        if eos is not None and self._tokenize([eos]) != [[eos_id]]:
            raise RenderError(
                f"The tokenizer{self._of} has the eos_token {eos!r}: expected one token of its "
                f"vocabulary, found {self._spelled(eos)}. Set eos_token (tokenizer_config.json) to the "
                "token that the model ends its answers with."
            )
        added = {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.content.strip()}
        stops = frozenset(self._tokenize([self.frame.end])[0]) & (added | {eos_id})
        if not stops:
            raise RenderError(
                f"The chat template{self._of} ends an answer with {self.frame.end!r}: expected "
                f"a special token in it, found ordinary text, {self._spelled(self.frame.end)}. Add the token "
                "to the tokenizer (and a row to the model), or use the template made for this tokenizer."
            )
        return stops

    def _find_header(self) -> str:
        """The part of `frame.between` that belongs to the prompt: all, or all but the spaces at its end.

        "[/INST] yes" has the token " yes", so the prompt must end before that space.
        """
        between = self.frame.between
        for header in (between, between.rstrip(" ")):
            self._header = header
            different = [probe for probe in PROBES if not self._is_whole(*probe)]
            if not different:
                return header
        turn, answer = different[0]
        whole = self.frame.conversation(turn, answer)
        raise RenderError(
            f"The tokenizer{self._of} does not keep answers apart from what its chat template "
            f"writes before them: expected the answer {answer!r} to begin with a token of its own, found "
            f"{self._spelled(whole[len(self.frame.before) + len(turn) :])}. Use a template that writes a "
            "line end or a special token before the answer (model.chat_template; in Python "
            "tokenizer.chat_template)."
        )

    def _is_whole(self, turn: str, answer: str) -> bool:
        """Whether prompt and answer have the ids of the whole conversation."""
        (whole,) = self._tokenize([self.frame.conversation(turn, answer)])
        return self.encode_turn(turn) + self.encode_answers([answer])[0] == whole

    def _spelled(self, text: str) -> str:
        return " ".join(map(repr, self.tokenizer.convert_ids_to_tokens(self._tokenize([text])[0])))

    def prompt(self, task: Task, instruction: str, text: str) -> str:
        """The whole string the model reads before it answers."""
        return "".join(self._prompt(user_turn(task, instruction, text)))

    def _prompt(self, turn: str) -> Framed:
        return Framed(self.frame.before, turn, self._header)

    def encode_turn(self, text: str) -> list[int]:
        """Token ids of a free user turn (not a task's prompt), up to the start of the model's answer."""
        return self._encode([self._prompt(text)])[0]

    def encode_texts(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts alone, without a template."""
        return self._encode([Framed("", text, "") for text in texts])

    def encode_prompts(self, task: Task, instruction: str, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of what the model reads before it answers; at most `max_source` if cut on the right."""
        most = self.max_source if self.cut == "right" else None
        prompts = [self._prompt(user_turn(task, instruction, text)) for text in texts]
        return [ids[:most] for ids in self._encode(prompts)]

    def encode(self, task: Task, rows: Sequence[TrainingRow]) -> list[EncodedRow]:
        """Rows as token ids. An answer's tokens are the same for every candidate instruction.

        If cut on the right, a row keeps its first `max_source + max_answer` tokens, as in the released code.
        """
        prompts = self._encode([self._prompt(user_turn(task, row.instruction, row.input)) for row in rows])
        answers = self.encode_answers([row.answer for row in rows])
        most = self.max_source + self.max_answer if self.cut == "right" else None
        whole = [(*p, *a) for p, a in zip(prompts, answers, strict=True)]
        return [
            EncodedRow(ids[:most], min(len(p), len(ids[:most])))
            for ids, p in zip(whole, prompts, strict=True)
        ]

    def encode_choices(self, turn: str, answers: Sequence[str]) -> list[EncodedRow]:
        """A free user turn with each of several answers, as token ids."""
        prompt = self.encode_turn(turn)
        return [EncodedRow((*prompt, *answer), len(prompt)) for answer in self.encode_answers(answers)]

    def encode_answers(self, answers: Sequence[str]) -> list[list[int]]:
        """Token ids of answer and end of turn after the header; they do not depend on the turn before it.

        Alone, a text may have other tokens: SentencePiece writes a space before the first word. Only an
        answer whose white space merges with the header's is tokenised alone; templates strip that space.
        """
        gap = self.frame.between[len(self._header) :]
        texts = [Framed(gap, answer, self.frame.end) for answer in answers]
        (header,) = self._tokenize([self._header])
        behind = self._encode([text._replace(before=self._header + gap) for text in texts])
        return [
            ids[len(header) :] if ids[: len(header)] == header else self._encode([text])[0]
            for ids, text in zip(behind, texts, strict=True)
        ]

    def fit(self, task: Task, instructions: Sequence[str]) -> Task:
        """The task with over-long inputs cut at their end, see sapo_lite.model.fitting. Raises RenderError.

        If rows are cut on the right, inputs stay whole.
        """
        return fit(self, task, instructions) if self.cut == "input" else task

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of parts of the template."""
        return self._encode([Framed(text, "", "") for text in texts])

    def _encode(self, parts: Sequence[Framed]) -> list[list[int]]:
        ids = self._framed.encode(parts)
        if self._vocabulary is not None:
            self._require_known(max((i for row in ids for i in row), default=0))
        return ids

    def _require_known(self, largest: int) -> None:
        if self._vocabulary is not None and largest >= self._vocabulary:
            token = self.tokenizer.convert_ids_to_tokens(largest)
            raise RenderError(
                f"The tokenizer{self._of} writes the token {token!r}, number {largest}: expected one of the "
                f"model's {self._vocabulary} (0 to {self._vocabulary - 1}). Use this model's tokenizer, or "
                "give the model more rows (model.resize_token_embeddings) and train them."
            )

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, without special tokens and outer white space."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()
