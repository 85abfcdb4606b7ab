"""Tables of candidates and of scores, as rich renderables."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from sapo_lite.leaderboard.board import Leaderboard, rows_of
from sapo_lite.leaderboard.layout import Line, candidate_lines, leaderboard_lines
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.pool import Rejection
from sapo_lite.report.number_table import NumberTable
from sapo_lite.types import Candidate

# Of the lines of a leaderboard.
_STYLES = {"title": "italic", "heading": "bold", "best": "bold green", "original": "cyan", "note": "dim"}


@dataclass(frozen=True)
class _Fitted:
    """Lines that are laid out for the width of the console."""

    lines: Callable[[int], Iterable[Line]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines(options.max_width):
            yield Text(line.text, style=_STYLES.get(line.role, ""))


def candidate_table(
    pool: Sequence[Candidate], scores: Sequence[CandidateLoss], *, rows: int
) -> RenderableType:
    """The `rows` best candidates, and always the original; losses in nats per answer token."""
    title = f"{len(scores)} of {len(pool)} candidates scored"
    ranks = rows_of(pool, scores)
    return _Fitted(lambda width: candidate_lines(title, ranks, width, shown=rows))


def leaderboard_view(board: Leaderboard) -> RenderableType:
    """All prompts by loss, and the best in full."""
    return _Fitted(lambda width: leaderboard_lines(board, width))


def pool_table(
    task: str,
    candidates: Sequence[Candidate],
    rejected: Sequence[Rejection],
    *,
    rows: int = 0,
    accepted: bool = True,
) -> RenderableType:
    """A task's candidates by number, and what was rejected with reasons; the last `rows` of each, or all.

    Not the candidates where those that are `accepted` stand elsewhere.
    """
    table = Table(box=None, pad_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("from", no_wrap=True)
    table.add_column("text")  # the only one that gives way on a narrow terminal
    for candidate in candidates[-rows:] if accepted else ():
        style = "cyan" if candidate.index == 0 else ""
        text = Text(_line(candidate.text), no_wrap=True, overflow="ellipsis")
        table.add_row(f"#{candidate.index}", candidate.origin, text, style=style)
    for rejection in rejected[-rows:]:
        text = Text.assemble(
            (f"{rejection.reason}: ", "yellow"), _line(rejection.text), no_wrap=True, overflow="ellipsis"
        )
        table.add_row("", "rejected", text, style="dim")
    return titled(f"{task}: {len(candidates) - 1} paraphrases, {len(rejected)} rejected", table)


def score_matrix(
    tasks: Sequence[str], lessons: Sequence[str], rows: Sequence[Sequence[float]], title: str
) -> RenderableType:
    """R in percent; row 0 is before any training, row i after lesson i (named after its task, or "joint").

    A task's own score after its training is bold.
    """
    named: list[list[str | Text]] = []
    for i, row in enumerate(rows):
        lesson = lessons[i - 1] if i else None
        scores = zip(tasks, row, strict=True)
        cells = [Text(f"{value:.1f}", style="bold" if task == lesson else "") for task, value in scores]
        named.append(["nothing" if lesson is None else f"{i} {lesson}", *cells])
    return NumberTable(title, ["after training", *tasks], named)


def titled(title: str, table: Table) -> RenderableType:
    """`table` under its title; a title of rich's own would be wrapped to the table's width."""
    return Group(Text(title, style="italic"), table)


def shorten(text: str, width: int) -> str:
    """`text` on one line of at most `width` characters."""
    line = _line(text)
    return line if len(line) <= width else line[: width - 1] + "…"


def _line(text: str) -> str:
    return " ".join(text.split())


def spaced(parts: Sequence[RenderableType] | Iterator[RenderableType]) -> Iterator[RenderableType]:
    """The parts with an empty line between them."""
    for number, part in enumerate(parts):
        if number:
            yield Text()
        yield part
