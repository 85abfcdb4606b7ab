"""Control tokens are read in the chat template alone: in data, instructions and answers they are text.

A row whose input holds `<|im_end|>` would otherwise end its turn there, and be scored and answered as another
conversation.
"""

import copy
import re
import secrets
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from sapo_lite.errors import RenderError
from sapo_lite.model.chat_frame import PROBES, ChatFrame, name_of

if TYPE_CHECKING:
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerBase


class Framed(NamedTuple):
    """A text between two parts of a chat template, which may be empty."""

    before: str
    text: str
    after: str


class FramedTokenizer:
    """From texts in their template to token ids.

    Control tokens are the tokenizer's special tokens, and every added token that the template writes
    (`<think>` in Qwen3's). Texts without them have the ids that the tokenizer gives to the whole.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", frame: ChatFrame) -> None:
        self._tokenizer = tokenizer
        self._frame = frame
        self._control = {
            number: token
            for number, token in tokenizer.added_tokens_decoder.items()
            if self._is_control(number, token)
        }
        self._counts: dict[str, int] = {}

    def _is_control(self, number: int, token: "AddedToken") -> bool:
        if token.content in self._frame.conversation("", ""):
            return bool(token.content.strip())
        # Any text may hold the token of unknown words; it ends nothing unless it is the end of sequence, too.
        unknown = number == self._tokenizer.unk_token_id != self._tokenizer.eos_token_id
        return bool(token.content.strip()) and token.special and not unknown

    def encode(self, parts: Sequence[Framed]) -> list[list[int]]:
        """Token ids of each text with its two parts of the template.

        Raises:
            RenderError: a text holds a control token, and the tokenizer cannot read it as text.
        """
        found = self._ids([part.before + part.text + part.after for part in parts])
        hostile = [
            number
            for number, (part, ids) in enumerate(zip(parts, found, strict=True))
            if self._count(ids) != self._own(part.before) + self._own(part.after)
        ]
        for number, ids in zip(hostile, self._apart([parts[n] for n in hostile]), strict=True):
            found[number] = ids
        return found

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:  # a fast tokenizer fails on an empty batch
            return []
        # The template writes the special tokens itself. A fast tokenizer remembers earlier padding and
        # truncation settings, so both are switched off at every call.
        encoding = self._tokenizer(texts, add_special_tokens=False, padding=False, truncation=False)
        ids: list[list[int]] = encoding["input_ids"]
        return ids

    def _count(self, ids: Sequence[int]) -> int:
        return sum(map(self._control.__contains__, ids))

    def _own(self, template: str) -> int:
        """The number of control tokens in a part of the template."""
        if template not in self._counts:
            self._counts[template] = self._count(self._ids([template])[0])
        return self._counts[template]

    def _apart(self, parts: Sequence[Framed]) -> list[list[int]]:
        if not parts:
            return []
        if not self._is_exact:
            name = name_of(self._tokenizer)
            raise RenderError(
                f"A text holds a control token, such as <|im_end|>, and the tokenizer{name} cannot be made "
                "to read it as text: expected the ids that it gives to texts without one, found others. "
                "Take such tokens out of data and instructions, or use another tokenizer."
            )
        return self._read(parts)

    @cached_property
    def _is_exact(self) -> bool:
        """Whether texts without control tokens get the same ids as from the tokenizer itself."""
        frame = self._frame
        turns = [Framed(frame.before, turn, frame.between) for turn, _ in PROBES]
        answers = [Framed(frame.between, answer, frame.end) for _, answer in PROBES]
        return self._read([*turns, *answers]) == self._ids(["".join(part) for part in [*turns, *answers]])

    def _read(self, parts: Sequence[Framed]) -> list[list[int]]:
        return self._marked(parts) if self._tokenizer.is_fast else self._joined(parts)

    def _marked(self, parts: Sequence[Framed]) -> list[list[int]]:
        """Ids from a copy of the tokenizer in which the template's control tokens have secret names."""
        tokenizer, names, numbers = self._renamed
        pattern = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "(?!)")

        def secret(template: str) -> str:
            return pattern.sub(lambda found: names[found[0]], template)

        texts = [secret(part.before) + part.text + secret(part.after) for part in parts]
        encoding = tokenizer(
            texts, add_special_tokens=False, padding=False, truncation=False, split_special_tokens=True
        )
        return [
            [one for own in ids for one in ([numbers[own]] if own in numbers else self._spelled(own))]
            for ids in encoding["input_ids"]
        ]

    @cached_property
    def _renamed(self) -> tuple[Any, dict[str, str], dict[int, int]]:
        """The copy, the secret names by content, and the ids by those of the secret names."""
        from tokenizers import AddedToken

        def alike(token: AddedToken, content: str, *, special: bool) -> AddedToken:
            flags = {name: getattr(token, name) for name in ("lstrip", "rstrip", "single_word", "normalized")}
            return AddedToken(content, special=special, **flags)

        tokenizer: Any = copy.deepcopy(self._tokenizer)
        tokens = self._control.values()
        plain = [alike(token, token.content, special=True) for token in tokens if not token.special]
        tokenizer.add_tokens(plain, special_tokens=True)
        # No text can hold such a name.
        names = {token.content: f"\ue000{secrets.token_hex(16)}\ue001" for token in tokens}
        tokenizer.add_tokens([alike(token, names[token.content], special=False) for token in tokens])
        numbers = {
            tokenizer.convert_tokens_to_ids(names[token.content]): number
            for number, token in self._control.items()
        }
        return tokenizer, names, numbers

    def _spelled(self, number: int) -> list[int]:
        """The token, or its characters if it is a control token: some vocabularies hold these as words."""
        if number not in self._control or number == self._tokenizer.unk_token_id:
            return [number]
        characters: list[int] = self._tokenizer.convert_tokens_to_ids(list(self._control[number].content))
        return characters

    def _joined(self, parts: Sequence[Framed]) -> list[list[int]]:
        """Ids from a tokenizer in Python, which has a switch for all that it is given."""
        return [
            [
                *self._ids([part.before])[0],
                *self._tokenizer(part.text, add_special_tokens=False, split_special_tokens=True)["input_ids"],
                *self._ids([part.after])[0],
            ]
            for part in parts
        ]
