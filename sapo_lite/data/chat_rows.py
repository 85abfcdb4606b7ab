"""Rows of chat messages as rows with an input and an answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sapo_lite.data.rows import ANSWER_NAMES, INPUT_NAMES, INSTRUCTION, usual_columns
from sapo_lite.data.text_files import Notify
from sapo_lite.errors import DataError
from sapo_lite.support.messages import many, quoted

_COLUMNS = ("messages", "conversations", "conversation", "chat")
_SYSTEM, _USER, _ASSISTANT = "system", "user", "assistant"
_ROLES = {
    "system": _SYSTEM,
    "developer": _SYSTEM,
    "user": _USER,
    "human": _USER,
    "assistant": _ASSISTANT,
    "gpt": _ASSISTANT,
    "model": _ASSISTANT,
}


def from_messages(rows: Sequence[tuple[str, object]], path: Path, notify: Notify) -> list[tuple[str, object]]:
    """The rows, where those of chat messages have an "input", an "answer" and, if given, an "instruction".

    These are the one user turn, the one answer to it, and the text of the system. Other columns stay, unless
    their names are usual ones for input or answer (a copy of the user's turn as "prompt").

    Raises:
        DataError: the messages of a row are others; the message names the row.
    """
    known = (*INPUT_NAMES, *ANSWER_NAMES, INSTRUCTION)
    chats = 0
    found: list[tuple[str, object]] = []
    for place, row in rows:
        columns = usual_columns(row, _COLUMNS) if isinstance(row, Mapping) else []
        if isinstance(row, Mapping) and len(columns) == 1 and _is_chat(row[columns[0]]):
            turns = _turns(row[columns[0]], f"{place}, {quoted(columns[0])}")
            others = {n: value for n, value in row.items() if n.strip().lower() not in (*_COLUMNS, *known)}
            row = {**turns, **others}
            chats += 1
        found.append((place, row))
    if chats:
        notify(f"{path}: {many(chats, 'row')} of chat messages: input: the user's turn, answer: the reply")
    return found


def _is_chat(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(turn, Mapping) for turn in value) and bool(value)


def _turns(turns: Sequence[Mapping[str, Any]], place: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    kinds = []
    for number, turn in enumerate(turns, start=1):
        role = turn.get("role", turn.get("from"))
        if not isinstance(role, str) or role not in _ROLES:
            raise DataError(
                f"{place}, turn {number}: expected the role system, user or assistant, found {quoted(role)}"
            )
        kinds.append(_ROLES[role])
        texts[kinds[-1]] = _text(turn.get("content", turn.get("value")), f"{place}, turn {number}")
    if kinds not in ([_USER, _ASSISTANT], [_SYSTEM, _USER, _ASSISTANT]):
        raise DataError(
            f"{place}: expected one turn of the user and one reply, found {', '.join(kinds)}. Make a row of "
            "each reply, with all that the model should read before it as the user's turn."
        )
    columns = {"input": texts[_USER], "answer": texts[_ASSISTANT]}
    return {INSTRUCTION: texts[_SYSTEM], **columns} if _SYSTEM in texts else columns


def _text(content: object, place: str) -> str:
    """The text of a turn, which may be a list of parts. Raises DataError for other content."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and content:
        parts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        if all(isinstance(part, str) for part in parts):
            return "".join(map(str, parts))
    raise DataError(f"{place}: expected a text, found {quoted(content)}")
