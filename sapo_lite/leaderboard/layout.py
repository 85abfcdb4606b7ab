"""Table of candidates by loss as lines of text, for `run` and `score`. Numbers are never cut."""

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Literal, NamedTuple

from sapo_lite.support.columns import cut
from sapo_lite.support.foreign_text import visible

if TYPE_CHECKING:
    from sapo_lite.leaderboard.board import Leaderboard, Row

_HEADINGS = ("rank", "prompt", "loss", "to original", "examples")
_SHORT_HEADINGS = ("", "#", "loss", "to orig.", "examples")
# Least width of a prompt in the table, in characters; with less room it gets a line of its own.
_LEAST_TEXT = 16
_PARTIAL = "n of N examples, ~ losses estimated: the race was clear by then. --all (race=False) scores all."


class Line(NamedTuple):
    """A line of text with a role; a terminal shows each role in its own style."""

    text: str
    role: Literal["title", "heading", "best", "original", "other", "note"] = "other"


def leaderboard_lines(board: "Leaderboard", width: int) -> Iterator[Line]:
    """Lines of a leaderboard, `width` characters wide; below the table, the best prompt in full."""
    number = len(board.rows)
    what = "1 prompt" if number == 1 else f"{number} prompts"
    yield from candidate_lines(f"{what} by answer loss, in nats per token", board.rows, width)
    if any(row.partial for row in board.rows):
        yield Line(_PARTIAL, "note")
    best = board.best
    name = f"#{best.index}" if best.index else "#0, the original"
    yield Line("")
    said = f"best: {name}{f', {board.statement}' if board.statement else ''}"
    yield from map(Line, wrap(said, width, break_long_words=False, break_on_hyphens=False))
    yield Line(visible(best.prompt) or "(an empty prompt)", "best")


def candidate_lines(
    title: str, rows: "Sequence[Row]", width: int, *, shown: int | None = None
) -> Iterator[Line]:
    """Lines of the best `shown` rows, or of all, and always of the original.

    For a candidate that the race dropped early, the loss is the estimate on the examples of the best (`~`),
    and the row shows on how many it was measured. The prompt is cut to fit; on a narrow terminal it has a
    line of its own.
    """
    yield Line(title, "title")
    listed = [row for row in rows if shown is None or row.rank <= shown or row.index == 0]
    cells = [_numbers(row, rows[0]) for row in listed]
    for headings, gap in ((_HEADINGS, "  "), (_SHORT_HEADINGS, " ")):
        widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
        room = width - sum(widths) - len(gap) * len(widths)
        if room >= _LEAST_TEXT:
            break
    beside = room >= _LEAST_TEXT
    yield Line(_joined(headings, widths, gap, "text" if beside else ""), "heading")
    for row, numbers in zip(listed, cells, strict=True):
        text = visible(" ".join(f"{'' if row.index else '(original) '}{row.prompt}".split()))
        text = cut(text, room if beside else max(1, width - 2))
        role: Literal["best", "original", "other"]
        role = "best" if row.rank == 1 else "other" if row.index else "original"
        yield Line(_joined(numbers, widths, gap, text if beside else ""), role)
        if not beside:
            yield Line(f"  {text}", role)


def _numbers(row: "Row", best: "Row") -> tuple[str, ...]:
    difference = row.difference_to_original
    return (
        str(row.rank),
        f"#{row.index}",
        f"{'~' if row.examples_scored < best.examples_scored else ''}{row.comparable_loss:.4f}",
        "" if difference is None else f"{difference:+.4f}",
        f"{row.examples_scored} of {row.examples}" if row.partial else str(row.examples),
    )


def _joined(cells: Sequence[str], widths: Sequence[int], gap: str, text: str) -> str:
    numbers = gap.join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return f"{numbers}{gap if text else ''}{text}"
