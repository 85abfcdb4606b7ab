"""Tables of figures, for a terminal and for a Markdown page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Sheet:
    """A table: the first column is text, the others are figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def for_terminal(self) -> Table:
        table = Table(title=self.title)
        for number, name in enumerate(self.columns):
            table.add_column(name, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        rule = [" --- ", *(" ---: " for _ in self.columns[1:])]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.columns, *self.rows)]
        return "\n".join([f"{self.title}\n", lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


@dataclass(frozen=True)
class Found:
    """What a part has measured.

    content: all of it, as JSON values
    faults: results of a peer and of sapo-lite that differ, in words
    notes: what was left out, in words
    """

    sheets: list[Sheet]
    content: Any
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
