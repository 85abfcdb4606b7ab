"""Tables of candidates and of scores, as rich renderables."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sapo_lite.prompts.losses import CandidateLoss, comparable_loss, excess, ranked
from sapo_lite.prompts.pool import Rejection
from sapo_lite.types import Candidate


def candidate_table(
    pool: Sequence[Candidate], scores: Sequence[CandidateLoss], *, rows: int, width: int = 72
) -> RenderableType:
    """The `rows` best candidates, and always the original; losses in nats per answer token.

    The loss of a candidate that left a race early is what it may be expected to be on the winner's
    examples (`~`); the row says on how many it was measured. Differences are on examples both have.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("rank", "loss", "to original", "examples"):
        table.add_column(heading, justify="right")
    table.add_column("instruction", no_wrap=True)
    original = next((s for s in scores if s.index == 0), None)
    order = ranked(scores) if scores else []
    for rank, score in enumerate(order, start=1):
        if rank > rows and score.index != 0:
            continue
        difference = "" if original is None or score is original else f"{excess(score, original):+.4f}"
        style = "bold green" if rank == 1 else "cyan" if score is original else ""
        text = f"{'(original) ' if score is original else ''}{shorten(pool[score.index].text, width)}"
        estimated = "~" if len(score.examples) < len(order[0].examples) else ""
        loss = f"{estimated}{comparable_loss(score, order[0]):.4f}"
        measured = f"{len(score.examples)}{' of ' + str(score.total) if score.partial else ''}"
        table.add_row(str(rank), loss, difference, measured, Text(text), style=style)
    return titled(f"{len(scores)} of {len(pool)} candidates scored", table)


def pool_table(
    task: str,
    candidates: Sequence[Candidate],
    rejected: Sequence[Rejection],
    *,
    rows: int = 0,
    width: int = 72,
    accepted: bool = True,
) -> RenderableType:
    """A task's candidates by number, and what was rejected with reasons; the last `rows` of each, or all.

    Not the candidates where those that are `accepted` stand elsewhere.
    """
    table = Table(box=None, pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("from", no_wrap=True)
    table.add_column("text", no_wrap=True)
    for candidate in candidates[-rows:] if accepted else ():
        style = "cyan" if candidate.index == 0 else ""
        text = Text(shorten(candidate.text, width))
        table.add_row(f"#{candidate.index}", candidate.origin, text, style=style)
    for rejection in rejected[-rows:]:
        text = Text.assemble((f"{rejection.reason}: ", "yellow"), shorten(rejection.text, width))
        table.add_row("", "rejected", text, style="dim")
    return titled(f"{task}: {len(candidates) - 1} paraphrases, {len(rejected)} rejected", table)


def score_matrix(
    tasks: Sequence[str], lessons: Sequence[str], rows: Sequence[Sequence[float]], title: str
) -> RenderableType:
    """R in percent; row 0 is before any training, row i after lesson i (named after its task, or "joint").

    A task's own score after its training is bold.
    """
    table = Table(box=None, pad_edge=False)
    table.add_column("after training")
    for task in tasks:
        table.add_column(task, justify="right")
    for i, row in enumerate(rows):
        lesson = lessons[i - 1] if i else None
        scores = zip(tasks, row, strict=True)
        cells = [Text(f"{value:.1f}", style="bold" if task == lesson else "") for task, value in scores]
        table.add_row("nothing" if lesson is None else f"{i} {lesson}", *cells)
    return titled(title, table)


def titled(title: str, table: Table) -> RenderableType:
    """`table` under its title; a title of rich's own would be wrapped to the table's width."""
    return Group(Text(title, style="italic"), table)


def shorten(text: str, width: int) -> str:
    """`text` on one line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def spaced(parts: Sequence[RenderableType] | Iterator[RenderableType]) -> Iterator[RenderableType]:
    """The parts with an empty line between them."""
    for number, part in enumerate(parts):
        if number:
            yield Text()
        yield part
