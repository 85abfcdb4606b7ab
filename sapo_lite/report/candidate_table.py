"""The table of candidates by loss, one for `run` and `score`: its numbers stay whole at every width."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from sapo_lite.prompts.losses import CandidateLoss, comparable_loss, excess, ranked
from sapo_lite.types import Candidate

_HEADINGS = ("rank", "prompt", "loss", "to original", "examples")
_SHORT_HEADINGS = ("", "#", "loss", "to orig.", "examples")
# Columns of the terminal below which a text stands on a line of its own.
_LEAST_TEXT = 16


@dataclass(frozen=True)
class Row:
    """One prompt's place. Losses in nats per answer token.

    index: the prompt's place in the list that was given; 0 is the original
    loss: on the `examples_scored` of `examples`. Examples differ more than prompts, so losses on fewer of
        them than another prompt was scored on say nothing against it
    comparable_loss: on as many examples as the best was scored on. Where the prompt was scored on fewer,
        the best's loss plus the difference to it on the examples that both have
    difference_to_original: on the examples that both have; None for the original itself
    """

    rank: int
    index: int
    prompt: str
    loss: float
    comparable_loss: float
    difference_to_original: float | None
    partial: bool
    examples_scored: int
    examples: int


def rows_of(pool: Sequence[Candidate], scores: Sequence[CandidateLoss]) -> tuple[Row, ...]:
    """The scored candidates, the best first; empty without scores."""
    if not scores:
        return ()
    texts = {candidate.index: candidate.text for candidate in pool}
    original = next((score for score in scores if score.index == 0), None)
    order = ranked(scores)
    return tuple(
        Row(
            rank=rank,
            index=score.index,
            prompt=texts[score.index],
            loss=score.loss,
            comparable_loss=comparable_loss(score, order[0]),
            difference_to_original=(
                None if original is None or score is original else excess(score, original)
            ),
            partial=score.partial,
            examples_scored=len(score.examples),
            examples=score.total,
        )
        for rank, score in enumerate(order, start=1)
    )


@dataclass(frozen=True)
class CandidateTable:
    """The best `shown` rows, or all, and always the original.

    The loss of a candidate that left a race early is the one expected on the winner's examples (`~`); the
    row says on how many it was measured. Numbers are never cut: the text gives way, and on a narrow
    terminal it has a line of its own.
    """

    title: str
    rows: Sequence[Row]
    shown: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.title, style="italic")
        yield from self._lines(options.max_width)

    def _lines(self, width: int) -> Iterator[Text]:
        rows = [row for row in self.rows if self.shown is None or row.rank <= self.shown or row.index == 0]
        cells = [_numbers(row, self.rows[0]) for row in rows]
        for headings, gap in ((_HEADINGS, "  "), (_SHORT_HEADINGS, " ")):
            widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
            room = width - sum(widths) - len(gap) * len(widths)
            if room >= _LEAST_TEXT:
                break
        beside = room >= _LEAST_TEXT
        yield _line(headings, widths, gap, Text("text" if beside else "", style="bold"), style="bold")
        for row, numbers in zip(rows, cells, strict=True):
            text = Text(" ".join(f"{'' if row.index else '(original) '}{row.prompt}".split()))
            text.truncate(room if beside else max(1, width - 2), overflow="ellipsis")
            style = "bold green" if row.rank == 1 else "" if row.index else "cyan"
            yield _line(numbers, widths, gap, text if beside else Text(), style=style)
            if not beside:
                yield Text.assemble("  ", text, style=style)


def _numbers(row: Row, best: Row) -> tuple[str, ...]:
    difference = row.difference_to_original
    return (
        str(row.rank),
        f"#{row.index}",
        f"{'~' if row.examples_scored < best.examples_scored else ''}{row.comparable_loss:.4f}",
        "" if difference is None else f"{difference:+.4f}",
        f"{row.examples_scored} of {row.examples}" if row.partial else str(row.examples),
    )


def _line(cells: Sequence[str], widths: Sequence[int], gap: str, text: Text, *, style: str) -> Text:
    numbers = gap.join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return Text.assemble(numbers, gap if text else "", text, style=style)
