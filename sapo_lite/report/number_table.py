"""Tables of numbers that fit the terminal: numbers are never wrapped or cut."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from sapo_lite.support.foreign_text import visible

_GAP = 2
# Least width of the last column of text, in characters; with less room, it gets a block of its own.
_LEAST_TAIL = 20
_LEAST_TEXT = 8


@dataclass(frozen=True)
class NumberTable:
    """A table with a title.

    texts: number of first columns that are text
    tail: whether the last column is text, too
    fold: whether the first columns may be made narrower to fit the terminal
    justify: alignment of the numbers

    If the columns do not fit, text is folded, and the remaining numbers go into further blocks, each with the
    first columns repeated.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str | Text]]
    texts: int = 1
    tail: bool = False
    fold: bool = False
    justify: Literal["left", "right"] = "right"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.title, style="italic")
        for number, block in enumerate(self._blocks(options.max_width)):
            if number:
                yield Text()
            yield self._table(block)

    def is_whole(self, room: int) -> bool:
        """Whether all columns stand beside each other in a terminal of so many characters."""
        return len(list(self._blocks(room))) == 1

    def _blocks(self, room: int) -> Iterator[dict[int, int]]:
        """The blocks: for each, the width of each of its columns in characters, by column number."""
        natural = [max(map(cell_len, column)) for column in self._columns]
        firsts = range(self.texts)
        numbers = range(self.texts, len(natural) - self.tail)
        least = [*natural[:-1], min(natural[-1], _LEAST_TAIL)] if self.tail else natural
        if sum(least) + _GAP * (len(natural) - 1) > room:
            for place in numbers:
                natural[place] = self._narrow(place, room)
            taken = sum(natural[p] + _GAP for p in numbers)
            self._fold(natural, room - taken if self.fold else room // 2)
        first = {place: natural[place] for place in firsts}
        block, left = dict(first), room - sum(first.values()) - _GAP * (self.texts - 1)
        for place in numbers:
            if natural[place] + _GAP > left and len(block) > len(first):
                yield block
                block, left = dict(first), room - sum(first.values()) - _GAP * (self.texts - 1)
            block[place] = natural[place]
            left -= natural[place] + _GAP
        if self.tail:
            place = len(natural) - 1
            if min(_LEAST_TAIL, natural[place]) + _GAP > left:
                yield block
                block, left = dict(first), room - sum(first.values()) - _GAP * (self.texts - 1)
            block[place] = max(1, min(natural[place], left - _GAP))
        yield block

    @property
    def _columns(self) -> list[list[str]]:
        return [
            [visible(heading), *(visible(str(row[place])) for row in self.rows)]
            for place, heading in enumerate(self.headings)
        ]

    def _narrow(self, place: int, room: int) -> int:
        """Least width of a column: of its numbers, or of the longest word of its heading up to a limit."""
        heading, *cells = self._columns[place]
        word = max(map(cell_len, heading.split()), default=0)
        return max([*map(cell_len, cells), min(word, max(_LEAST_TEXT, room // 3))])

    def _fold(self, widths: list[int], room: int) -> None:
        """Make the first columns fit into `room`: the widest shrinks first, none below the least width."""
        while sum(widths[: self.texts]) + _GAP * (self.texts - 1) > room:
            place = max(range(self.texts), key=widths.__getitem__)
            if widths[place] <= _LEAST_TEXT:
                return
            widths[place] -= 1

    def _table(self, widths: dict[int, int]) -> Table:
        table = Table(box=None, pad_edge=False)
        last = len(self.headings) - 1
        for place, width in widths.items():
            is_text = place < self.texts or (self.tail and place == last)
            table.add_column(
                Text(visible(self.headings[place])),
                justify="left" if is_text else self.justify,
                width=width,
                overflow="fold" if is_text else "ellipsis",
            )
        for row in self.rows:
            cells = [row[place] for place in widths]
            table.add_row(*(cell if isinstance(cell, Text) else Text(visible(cell)) for cell in cells))
        return table
