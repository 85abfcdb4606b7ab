"""The text that a chat template writes around a user turn and its answer: rendered once, then checked."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Any

from sapo_lite.errors import RenderError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Markers in the place of a turn and an answer. Their mixed case reveals a template that changes the case.
_TURN, _ANSWER = "SAPO-lite-turn", "SAPO-lite-answer"
# Turns and answers for a trial of template and tokenizer. Tokenizers treat digits, scripts and line
# ends in different ways, and the first word of an answer is where most of them differ.
PROBES = (
    ("Say yes or no.\n\nText:\nThe film was a joy.", "yes"),
    ("A film 3", "42"),
    ("这部电影很精彩。", "积极"),
    ("first line\nsecond line", "Not even for money or love."),
    ("joy", "first line\nsecond line"),
)
# Llama 3.1's template always adds a system turn (knowledge cut-off, date); the paper removes it.
_DEFAULT_SYSTEM_TURN = re.compile(
    r"<\|start_header_id\|>system<\|end_header_id\|>.*?<\|eot_id\|>", flags=re.DOTALL
)
# Limit for rendering two messages. A template is a program, and may have loops in one another.
_SECONDS = 5.0
# A fixed day that is not today.
_ANOTHER_DAY = datetime(2001, 3, 4, 5, 6, 7)


@dataclass(frozen=True)
class ChatFrame:
    """The template's texts: before a user's turn, between turn and answer, and at the end of the answer."""

    before: str
    between: str
    end: str

    def conversation(self, turn: str, answer: str) -> str:
        """The whole text of one turn and its answer."""
        return f"{self.before}{turn}{self.between}{answer}{self.end}"


def render_frame(tokenizer: "PreTrainedTokenizerBase", at: datetime, *, newline: bool = False) -> ChatFrame:
    """The frame of the template's own conversation, with thinking switched off, at the time `at`.

    The frame is cut out of a whole conversation. A generation prompt would not do: a template may have none,
    or it may leave a think block open, which no training answer has. The end of an answer is the text that
    the template writes after it or, if there is none, the end-of-sequence token. White space behind that text
    is left out, or kept with `newline`.

    Raises:
        RenderError: there is no template, it fails, it changes or repeats its input, or nothing ends an
            answer.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise RenderError(
            f"The tokenizer{name_of(tokenizer)} has no chat template. Expected an instruct model (Qwen3, "
            "Llama-3.1-Instruct, ...): name the instruct variant, or, for a base model, set "
            'model.chat_template (score: --chat-template) to "chatml", "none" or a file.'
        )
    try:
        return _frame(tokenizer, at, lambda text: text, newline=newline)
    except RenderError as fault:
        try:  # some templates take a message in parts only
            return _frame(tokenizer, at, lambda text: [{"type": "text", "text": text}], newline=newline)
        except RenderError:
            raise fault from None


def date_notice(tokenizer: "PreTrainedTokenizerBase", frame: ChatFrame) -> str | None:
    """A notice if the template writes today's date: prompts then differ from day to day."""
    if render_frame(tokenizer, _ANOTHER_DAY) == frame:
        return None
    return "the chat template writes today's date into every prompt: losses of other days may differ a little"


def name_of(tokenizer: "PreTrainedTokenizerBase") -> str:
    """The tokenizer's model for a message: " of <name>", or "" if it has no name."""
    return f" of {tokenizer.name_or_path}" if tokenizer.name_or_path else ""


def _frame(
    tokenizer: "PreTrainedTokenizerBase", at: datetime, content: Callable[[str], Any], *, newline: bool
) -> ChatFrame:
    def rendered(turn: str, answer: str) -> str:
        return _render(tokenizer, at, content(turn), content(answer)).rstrip()

    whole = rendered(_TURN, _ANSWER)
    before, _, rest = whole.partition(_TURN)
    between, _, end = rest.partition(_ANSWER)
    frame = ChatFrame(before, between, end)
    for turn, answer in ((_TURN, _ANSWER), *PROBES):
        found, expected = rendered(turn, answer), frame.conversation(turn, answer)
        once = whole.count(_TURN) == whole.count(_ANSWER) == 1
        if found != expected or not once:
            raise RenderError(
                f"The chat template{name_of(tokenizer)} changes what it is given: expected the turn {turn!r} "
                f"and then the answer {answer!r}, each once, found {found[-300:]!r}. Use a template that "
                "writes message.content as it is (model.chat_template; in Python tokenizer.chat_template)."
            )
    if newline and end:
        end += _render(tokenizer, at, content(_TURN), content(_ANSWER))[len(whole) :]
    end = end or tokenizer.eos_token or ""
    if not end:
        raise RenderError(
            f"Nothing ends an answer: expected an end of turn in the chat template{name_of(tokenizer)} or an "
            "eos_token in its tokenizer, found neither. Set eos_token (tokenizer_config.json)."
        )
    return ChatFrame(_DEFAULT_SYSTEM_TURN.sub("", before), between, end)


def _render(tokenizer: "PreTrainedTokenizerBase", at: datetime, turn: Any, answer: Any) -> str:
    messages = [{"role": "user", "content": turn}, {"role": "assistant", "content": answer}]
    try:
        with _at_most(_SECONDS):
            rendered = tokenizer.apply_chat_template(
                messages, tokenize=False, enable_thinking=False, strftime_now=at.strftime
            )
    except Exception as error:  # a template is a program that comes with the model: it can raise anything
        reason = " ".join(str(error).split())[:300]
        raise RenderError(
            f"The chat template{name_of(tokenizer)} cannot be used: expected one that renders a user's turn "
            f"and its answer, without a system turn or tools, found {type(error).__name__}: {reason}. "
            "Use another template (model.chat_template; in Python tokenizer.chat_template)."
        ) from error
    assert isinstance(rendered, str)
    return rendered


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Context whose Python code is stopped after a time, in any thread. Raises TimeoutError."""
    end = time.monotonic() + seconds

    def check(frame: FrameType, event: str, argument: Any) -> Any:
        if time.monotonic() > end:
            raise TimeoutError(f"it runs for more than {seconds:g} seconds")
        return check

    before = sys.gettrace()
    sys.settrace(check)
    try:
        yield
    finally:
        sys.settrace(before)
