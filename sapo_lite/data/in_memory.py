"""Examples that a caller has in memory: pairs and mappings."""

from collections.abc import Iterable, Mapping, Sequence

from sapo_lite.data.row_instructions import settle_instructions
from sapo_lite.data.rows import examples_from_rows, find_columns
from sapo_lite.data.text_files import Notify, ignore
from sapo_lite.errors import DataError
from sapo_lite.support.messages import quoted
from sapo_lite.types import Example

_IN_MEMORY = "Give (input, answer) pairs instead."


def as_examples(given: Iterable[object], notify: Notify = ignore) -> list[Example]:
    """Examples from `Example`s, (input, answer) pairs, or mappings with known keys.

    `notify` is called with what was done with instructions of rows (`settle_instructions`).

    Raises:
        DataError: there are no items, or an item has another type, no answer, or unclear keys.
    """
    items = list(given)
    if not items:
        raise DataError("expected at least one example, found none")
    if isinstance(items[0], Mapping):
        rows = [(f"example {number}", item) for number, item in enumerate(items, start=1)]
        [rows], _ = settle_instructions([rows], "examples", notify)
        names = find_columns(rows, "examples", how=_IN_MEMORY)
        return examples_from_rows(rows, *names)
    return [_example(item, f"example {number}") for number, item in enumerate(items, start=1)]


def _example(item: object, where: str) -> Example:
    match item:
        case Example():
            pair: Sequence[object] = (item.input, item.answer)
        case [_, _]:
            pair = item
        case _:
            raise DataError(f"{where}: expected an (input, answer) pair, found {quoted(item)}")
    row = dict(zip(("input", "answer"), pair, strict=True))
    return examples_from_rows([(where, row)], "input", "answer")[0]
