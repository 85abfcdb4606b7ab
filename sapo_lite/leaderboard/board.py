"""The leaderboard: prompts ranked by their loss under a model, and the margin of the best."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sapo_lite.leaderboard.layout import leaderboard_lines
from sapo_lite.prompts.confidence import Margin, statement
from sapo_lite.prompts.losses import CandidateLoss, comparable_loss, excess, ranked
from sapo_lite.types import Candidate

if TYPE_CHECKING:
    from pandas import DataFrame

_PRINTED = 110  # width of a leaderboard printed from Python, in characters


@dataclass(frozen=True)
class Row:
    """A row of the leaderboard: one prompt. Losses are in nats per answer token.

    index: position of the prompt in the given list; 0 is the original
    loss: mean on the `examples_scored` of `examples`. Examples differ more than prompts do, so losses on
        different numbers of examples cannot be compared
    comparable_loss: loss on the examples of the best prompt. If this prompt was scored on fewer, it is
        estimated: loss of the best, plus the mean difference to it on the examples that both have
    difference_to_original: mean on the examples that both have; None for the original itself
    partial: whether the race dropped the prompt before all examples
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
    """Rows of the scored candidates, the best first; empty without scores."""
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


@dataclass(frozen=True, repr=False)
class Leaderboard:
    """Ranked prompts, the best first. Printed, it is a table.

    certainty: margin of the best prompt; None for a single prompt
    notices: remarks on these losses, a sentence each
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
        """The margin in one sentence."""
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

    def to_pandas(self) -> "DataFrame":
        """The rows as a table of pandas, a column for each field of `Row`, by rank."""
        from pandas import DataFrame

        return DataFrame([asdict(row) for row in self.rows]).set_index("rank")

    def __repr__(self) -> str:
        return "\n".join(line.text for line in leaderboard_lines(self, _PRINTED))


def board(
    pool: Sequence[Candidate],
    scores: Sequence[CandidateLoss],
    certainty: Margin | None,
    notices: Sequence[str] = (),
) -> Leaderboard:
    """Build the leaderboard from the losses of all candidates, the original included."""
    return Leaderboard(rows_of(pool, scores), certainty, tuple(notices))
