"""Watch sets of choices: the choice with the highest likelihood as the model's answer is its answer."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean

from sapo_lite.data.watch_sets import ChoiceItem
from sapo_lite.evaluation.rows import Row, WatchScores
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.loss import answer_nll


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
    rows = [_row(item, place) for item, place in zip(items, chosen, strict=True)]
    by_category: dict[str, list[float]] = defaultdict(list)
    for item, row in zip(items, rows, strict=True):
        by_category[item.category].append(row.score)
    parts = {category: fmean(own) for category, own in by_category.items()}
    return WatchScores("accuracy", rows, parts)


def _row(item: ChoiceItem, chosen: int) -> Row:
    right = chosen == item.answer
    return Row(item.question, item.choices[item.answer], item.choices[chosen], 100.0 * right)
