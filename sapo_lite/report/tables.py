"""Tables of candidates and of scores, as rich renderables."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from sapo_lite.leaderboard.board import Leaderboard, rows_of
from sapo_lite.leaderboard.layout import Line, candidate_lines, leaderboard_lines
from sapo_lite.prompts.indicators import CandidateValue, Indicator, best_first
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.pool import Rejection, tally
from sapo_lite.report.colours import GOOD, ORIGINAL
from sapo_lite.report.measures import headings
from sapo_lite.report.number_table import NumberTable
from sapo_lite.support.foreign_text import visible
from sapo_lite.types import Candidate

# Style of a leaderboard's line, by its role.
_STYLES = {
    "title": "italic",
    "heading": "bold",
    "best": f"bold {GOOD}",
    "original": ORIGINAL,
    "note": "dim",
}


@dataclass(frozen=True)
class _Fitted:
    """A renderable whose lines are computed from the width of the console."""

    lines: Callable[[int], Iterable[Line]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines(options.max_width):
            yield Text(line.text, style=_STYLES.get(line.role, ""))


def candidate_table(
    pool: Sequence[Candidate], scores: Sequence[CandidateLoss], *, rows: int
) -> RenderableType:
    """Table of the `rows` best candidates, and always the original; losses in nats per answer token."""
    title = f"{len(scores)} of {len(pool)} candidates scored"
    ranks = rows_of(pool, scores)
    return _Fitted(lambda width: candidate_lines(title, ranks, width, shown=rows))


def indicator_table(
    pool: Sequence[Candidate], values: Sequence[CandidateValue], indicator: Indicator, *, rows: int
) -> RenderableType:
    """Table of the `rows` best candidates by an indicator other than loss, and always the original."""
    texts = {candidate.index: _line(candidate.text) for candidate in pool}
    lines = [
        [str(rank), f"#{found.index}", f"{found.value:.4g}", texts[found.index]]
        for rank, found in enumerate(best_first(indicator, values), start=1)
        if rank <= rows or found.index == 0
    ]
    title = f"{len(pool)} candidates by {indicator.name}"
    return NumberTable(title, ["rank", "prompt", "value", "text"], lines, texts=0, tail=True)


def leaderboard_view(board: Leaderboard) -> RenderableType:
    """Table of all prompts by loss, followed by the full text of the best."""
    return _Fitted(lambda width: leaderboard_lines(board, width))


def pool_table(
    task: str,
    candidates: Sequence[Candidate],
    rejected: Sequence[Rejection],
    *,
    rows: int = 0,
    accepted: bool = True,
) -> RenderableType:
    """Table of a task's candidates, and of rejected texts with their reasons.

    rows: the last so many of each are shown; 0 shows all
    accepted: whether the candidates are shown, or the rejected texts only
    """
    table = Table(box=None, pad_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("from", no_wrap=True)
    table.add_column("text")  # the only column that is cut on a narrow terminal
    for candidate in candidates[-rows:] if accepted else ():
        style = ORIGINAL if candidate.index == 0 else ""
        text = Text(_line(candidate.text), no_wrap=True, overflow="ellipsis")
        table.add_row(f"#{candidate.index}", candidate.origin, text, style=style)
    for rejection in rejected[-rows:]:
        text = Text.assemble(
            (f"{rejection.reason}: ", "bold"), _line(rejection.text), no_wrap=True, overflow="ellipsis"
        )
        table.add_row("", "rejected", text, style="dim")
    title = f"{task}: {len(candidates) - 1} paraphrases, {len(rejected)} rejected"
    title += f" ({tally(rejected, most=3)})" if rejected else ""
    return Group(Text(title, style="italic", no_wrap=True, overflow="ellipsis"), table)


def score_matrix(
    metrics: Mapping[str, str], groups: Sequence[str], rows: Sequence[Sequence[float]], title: str
) -> RenderableType:
    """Table of R in percent; row 0 is before any training, row i after task group `groups[i - 1]`.

    `metrics` has the tasks in order, each with the metric of its scores. The score of a task
    right after its own training is bold. In a terminal that is too narrow for the names of the tasks, columns
    are numbered.
    """
    named: list[list[str | Text]] = []
    for i, row in enumerate(rows):
        group = groups[i - 1] if i else None
        scores = zip(metrics, row, strict=True)
        cells = [Text(f"{value:.1f}", style="bold" if task == group else "") for task, value in scores]
        named.append(["nothing" if group is None else f"{i} {group}", *cells])
    names = headings(metrics)
    numbers = [str(number) for number in range(1, len(names) + 1)]
    key = ", ".join(f"{number}={name}" for number, name in zip(numbers, names, strict=True))
    return _Matrix(title, "after training", names, numbers, key, named)


@dataclass(frozen=True)
class _Matrix:
    """A table of scores. If its columns do not fit under their names, they are headed by short forms of them.

    first: heading of the first column
    names, short: headings of the others
    key: what the short ones mean
    """

    title: str
    first: str
    names: Sequence[str]
    short: Sequence[str]
    key: str
    rows: Sequence[Sequence[str | Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        named = NumberTable(self.title, [self.first, *self.names], self.rows)
        if named.is_whole(options.max_width):
            yield named
            return
        yield NumberTable(self.title, [self.first, *self.short], self.rows)
        yield Text(f"columns: {visible(self.key)}")


def watched_table(groups: Sequence[str], scores: Mapping[str, Sequence[float]], title: str) -> RenderableType:
    """Table of what is watched, in percent: a row each, a column for each stage, and the change since the
    first."""
    after = ["nothing", *groups][: max(map(len, scores.values()))]
    numbers = [str(number) for number in range(len(after))]
    names = ["nothing", *(f"{number} {group}" for number, group in enumerate(after[1:], start=1))]
    key = ", ".join(f"{number}={name}" for number, name in zip(numbers, after, strict=True))
    rows = [[name, *(f"{s:.1f}" for s in own), f"{own[-1] - own[0]:+.1f}"] for name, own in scores.items()]
    return _Matrix(title, "watched", [*names, "change"], [*numbers, "change"], key, rows)


def titled(title: str, table: Table) -> RenderableType:
    """`table` under a title of its own: rich would wrap the title of a table to the table's width."""
    return Group(Text(title, style="italic"), table)


def shorten(text: str, width: int) -> str:
    """`text` on one line of at most `width` characters."""
    line = _line(text)
    return line if len(line) <= width else line[: width - 1] + "…"


def _line(text: str) -> str:
    return " ".join(text.split())


def spaced(parts: Sequence[RenderableType] | Iterator[RenderableType]) -> Iterator[RenderableType]:
    """The parts, with an empty line between any two."""
    for number, part in enumerate(parts):
        if number:
            yield Text()
        yield part
