"""Dots with intervals, as the report's page and the figures draw them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sapo_lite.leaderboard.board import Row
from sapo_lite.prompts.intervals import relative_loss
from sapo_lite.prompts.losses import CandidateLoss


@dataclass(frozen=True)
class Dot:
    """A value with an interval, in a row of its own; `text` says both in words.

    role: gives colour and shape: "best", "original", "dropped", "other"
    """

    name: str
    value: float
    low: float | None
    high: float | None
    role: str
    text: str


def loss_dots(rows: Sequence[Row], scores: Mapping[int, CandidateLoss], chosen: int) -> list[Dot]:
    """The loss of each candidate relative to the chosen one, in nats per answer token, with an interval.

    scores: by number of the candidate
    """
    return [_dot(row, scores, chosen) for row in rows]


def _dot(row: Row, scores: Mapping[int, CandidateLoss], chosen: int) -> Dot:
    found = relative_loss(scores[row.index], scores[chosen])
    name = "original" if row.index == 0 else f"#{row.index}"
    interval = "" if found.low is None else f", 95 % {found.low:+.3f} to {found.high:+.3f}"
    text = f"{name}: {found.mean:+.4f} nats per token{interval}, {found.examples} examples"
    return Dot(name, found.mean, found.low, found.high, _role(row, chosen), text)


def _role(row: Row, chosen: int) -> str:
    if row.index == chosen:
        return "best"
    if row.index == 0:
        return "original"
    return "dropped" if row.partial else "other"
