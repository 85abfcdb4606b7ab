"""Watch sets of choices: the choice with the highest likelihood as the model's answer is its answer."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from sapo_lite.data.watch_sets import ChoiceItem
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.loss import answer_nll


@dataclass(frozen=True)
class WatchScores:
    """Scores of a watched set or task.

    metric: name of its score
    predictions: answers, one a row: texts, or for choices the chosen ones
    rows: scores of these answers, in percent
    parts: mean scores by category, in percent; empty if there are no categories
    """

    metric: str
    predictions: list[str]
    rows: list[float]
    parts: dict[str, float]

    @property
    def score(self) -> float:
        """Mean score in percent."""
        return fmean(self.rows)


def score_choices(
    backbone: Backbone, items: Sequence[ChoiceItem], on_done: Callable[[int], None] = lambda _: None
) -> WatchScores:
    """Ask all items, the question as the user turn and every choice as the answer.

    Of each item, the choice with the lowest mean loss per answer token (the end of the turn included) is
    taken; a tie goes to the earlier one. `on_done` gets the number of choices scored since its last call.
    """
    chosen = []
    for item in items:
        nll_sum, tokens = answer_nll(backbone, backbone.chat.encode_choices(item.question, item.choices))
        losses = [nll / count for nll, count in zip(nll_sum, tokens, strict=True)]
        chosen.append(losses.index(min(losses)))
        on_done(len(item.choices))
    rows = [100.0 * (place == item.answer) for place, item in zip(chosen, items, strict=True)]
    by_category: dict[str, list[float]] = defaultdict(list)
    for item, row in zip(items, rows, strict=True):
        by_category[item.category].append(row)
    predictions = [item.choices[place] for place, item in zip(chosen, items, strict=True)]
    parts = {category: fmean(own) for category, own in by_category.items()}
    return WatchScores("accuracy", predictions, rows, parts)
