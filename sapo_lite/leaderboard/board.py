"""The leaderboard: prompts by their loss under a model, and what the lead of the first is worth."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from sapo_lite.prompts.confidence import Margin, statement
from sapo_lite.prompts.losses import CandidateLoss, comparable_loss, excess, ranked
from sapo_lite.report.tables import shorten, titled
from sapo_lite.types import Candidate

_PARTIAL = "n of N examples, ~ losses estimated: the race was clear by then. --all (race=False) scores all."
# Columns of a terminal that all but the text of a prompt take.
_NUMBERS = 50


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


@dataclass(frozen=True, repr=False)
class Leaderboard:
    """Ranked prompts, the best first. Printed, it is a table.

    certainty: what the lead of the best is worth; None where there is no rival
    notices: what to know about these losses, a sentence each
    """

    rows: tuple[Row, ...]
    certainty: Margin | None
    notices: tuple[str, ...] = ()

    @property
    def best(self) -> Row:
        """The row of the lowest loss; of equal ones, that of the earlier prompt."""
        return self.rows[0]

    @property
    def statement(self) -> str | None:
        """The certainty in one sentence."""
        return None if self.certainty is None else statement(self.certainty)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain dicts and lists."""
        return {
            "best": self.best.index,
            "prompts": [asdict(row) for row in self.rows],
            "certainty": None if self.certainty is None else asdict(self.certainty),
            "statement": self.statement,
            "notices": list(self.notices),
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._table(max(20, options.max_width - _NUMBERS))
        if any(row.partial for row in self.rows):
            yield Text(_PARTIAL, style="dim")
        best = self.best
        name = f"#{best.index}" if best.index else "#0, the original"
        yield Text(f"\nbest: {name}{f', {self.statement}' if self.statement else ''}")
        # In full: the table has room for its beginning only.
        yield Text(best.prompt or "(an empty prompt)", style="bold green")

    def _table(self, width: int) -> RenderableType:
        table = Table(box=None, pad_edge=False)
        for heading in ("rank", "prompt", "loss", "to original", "examples"):
            table.add_column(heading, justify="right")
        table.add_column("text", no_wrap=True)
        for row in self.rows:
            difference = row.difference_to_original
            table.add_row(
                str(row.rank),
                f"#{row.index}",
                f"{'~' if row.examples_scored < self.best.examples_scored else ''}{row.comparable_loss:.4f}",
                "" if difference is None else f"{difference:+.4f}",
                f"{row.examples_scored} of {row.examples}" if row.partial else str(row.examples),
                Text(shorten(f"{'' if row.index else '(original) '}{row.prompt}", width)),
                style="bold green" if row.rank == 1 else "" if row.index else "cyan",
            )
        number = len(self.rows)
        what = "1 prompt" if number == 1 else f"{number} prompts"
        return titled(f"{what} by answer loss, in nats per token", table)

    def __repr__(self) -> str:
        text = io.StringIO()
        Console(file=text, width=110, no_color=True, force_terminal=False).print(self)
        return text.getvalue().rstrip()


def board(
    pool: Sequence[Candidate],
    scores: Sequence[CandidateLoss],
    certainty: Margin | None,
    notices: Sequence[str] = (),
) -> Leaderboard:
    """The scores of all candidates (the original among them) as a leaderboard."""
    texts = {candidate.index: candidate.text for candidate in pool}
    original = next(score for score in scores if score.index == 0)
    order = ranked(scores)
    rows = [
        Row(
            rank=rank,
            index=score.index,
            prompt=texts[score.index],
            loss=score.loss,
            comparable_loss=comparable_loss(score, order[0]),
            difference_to_original=None if score is original else excess(score, original),
            partial=score.partial,
            examples_scored=len(score.examples),
            examples=score.total,
        )
        for rank, score in enumerate(order, start=1)
    ]
    return Leaderboard(tuple(rows), certainty, tuple(notices))
