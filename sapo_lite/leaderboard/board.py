"""The leaderboard: prompts by their loss under a model, and what the lead of the first is worth."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from sapo_lite.prompts.confidence import Margin, statement
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.report.candidate_table import CandidateTable, Row, rows_of
from sapo_lite.types import Candidate

_PARTIAL = "n of N examples, ~ losses estimated: the race was clear by then. --all (race=False) scores all."


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
        number = len(self.rows)
        what = "1 prompt" if number == 1 else f"{number} prompts"
        yield CandidateTable(f"{what} by answer loss, in nats per token", self.rows)
        if any(row.partial for row in self.rows):
            yield Text(_PARTIAL, style="dim")
        best = self.best
        name = f"#{best.index}" if best.index else "#0, the original"
        yield Text(f"\nbest: {name}{f', {self.statement}' if self.statement else ''}")
        # In full: the table has room for its beginning only.
        yield Text(best.prompt or "(an empty prompt)", style="bold green")

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
    return Leaderboard(rows_of(pool, scores), certainty, tuple(notices))
