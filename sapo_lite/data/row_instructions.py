"""Instructions that stand in rows (Alpaca, Dolly, chats with a system text)."""

from collections.abc import Mapping, Sequence
from typing import Any

from sapo_lite.data.rows import INPUT_NAMES, INSTRUCTION, as_text, usual_columns
from sapo_lite.data.text_files import Notify, ignore
from sapo_lite.support.messages import many, quoted

Rows = list[tuple[str, object]]


def settle_instructions(
    files: Sequence[Rows], where: str, notify: Notify = ignore
) -> tuple[list[Rows], str | None]:
    """The rows of all files of one task without a column "instruction", and the instruction of all rows.

    If all rows have the same instruction, and an input each, it is the task's and no part of the inputs. Else
    each stands before the input of its row, with a blank line between, or is the input; the instruction of
    all rows is None then. Rows without instructions, or with several columns that may be the input, stay as
    they are. `notify` is called with what was done.
    """
    columns = [_columns(rows) for rows in files]
    pairs = [
        (_text(row, own), _text(row, column))
        for rows, (own, column) in zip(files, columns, strict=True)
        for _, row in rows
        if isinstance(row, Mapping)
    ]
    given = [instruction for instruction, _ in pairs if instruction.strip()]
    if not given:
        return list(files), None
    if len(set(given)) == 1 and all(instruction.strip() and text.strip() for instruction, text in pairs):
        said = (
            f"all rows have the instruction {quoted(given[0])}: it is the task's, and no part of the inputs"
        )
        shared = given[0]
    else:
        said = f"{many(len(given), 'row')} with an instruction: it stands before the input, as part of it"
        shared = None
    notify(f"{where}: {said}")
    settled = [
        _settled(rows, *names, joined=shared is None) for rows, names in zip(files, columns, strict=True)
    ]
    return settled, shared


def _columns(rows: Rows) -> tuple[str | None, str]:
    """The column of the instruction, None if there is none or the input is unclear; and that of the input."""
    names = list(dict.fromkeys(name for _, row in rows if isinstance(row, Mapping) for name in row))
    instructions, inputs = usual_columns(names, (INSTRUCTION,)), usual_columns(names, INPUT_NAMES)
    clear = len(instructions) == 1 and len(inputs) <= 1
    return instructions[0] if clear else None, (inputs or ["input"])[0]


def _settled(rows: Rows, instruction: str | None, column: str, *, joined: bool) -> Rows:
    found: Rows = []
    for place, row in rows:
        if isinstance(row, Mapping) and instruction in row:
            rest = {name: value for name, value in row.items() if name != instruction}
            if joined and (own := _text(row, instruction)).strip():
                text = _text(row, column)
                rest[column] = f"{own}\n\n{text}" if text.strip() else own
            row = rest
        found.append((place, row))
    return found


def _text(row: Mapping[str, Any], name: str | None) -> str:
    return "" if name is None else as_text(row.get(name)) or ""
