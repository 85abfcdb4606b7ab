"""Tables of numbers that fit the terminal: no number is ever broken or cut."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_GAP = 2
# Columns of the terminal that a closing column of text has at least, or it stands in a block of its own.
_LEAST_TAIL = 20
_LEAST_TEXT = 8


@dataclass(frozen=True)
class NumberTable:
    """Rows under headings; the first `texts` columns are text, the last one too if there is a `tail`.

    Where not all columns fit, the tail is folded and, with `fold`, the first columns; the numbers then go
    on in further blocks, each beside the first columns.
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

    def _blocks(self, room: int) -> Iterator[dict[int, int]]:
        """Widths by column, a dict for each block."""
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
            [heading, *(str(row[place]) for row in self.rows)] for place, heading in enumerate(self.headings)
        ]

    def _narrow(self, place: int, room: int) -> int:
        """As wide as the numbers, and as the longest word of the heading if that is no very long name."""
        heading, *cells = self._columns[place]
        word = max(map(cell_len, heading.split()), default=0)
        return max([*map(cell_len, cells), min(word, max(_LEAST_TEXT, room // 3))])

    def _fold(self, widths: list[int], room: int) -> None:
        """Make the first columns fit into `room`, the widest first, none below the least."""
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
                Text(self.headings[place]),
                justify="left" if is_text else self.justify,
                width=width,
                overflow="fold" if is_text else "ellipsis",
            )
        for row in self.rows:
            table.add_row(*(cell if isinstance(cell := row[p], Text) else Text(cell) for p in widths))
        return table
