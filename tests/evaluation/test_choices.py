"""Watch sets of choices: the likeliest choice is the answer, measured as every other answer is."""

from collections.abc import Callable

import pytest

from sapo_lite.data.watch_sets import ChoiceItem
from sapo_lite.evaluation.choices import score_choices
from sapo_lite.evaluation.rows import Row
from sapo_lite.model.backbone import Backbone
from tiny import FAMILIES, plain_nll

ITEMS = [
    ChoiceItem("films", "Was the film a joy?", ("yes", "not even for money", "maybe"), 0),
    ChoiceItem("films", "Would I watch this again?", ("positive", "no", "maybe not"), 1),
    ChoiceItem("中文", "这部电影精彩吗?", ("精彩", "不", "消极的"), 2),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_choice_of_the_lowest_mean_loss_is_the_answer(
    make_backbone: Callable[..., Backbone], family: str
) -> None:
    backbone = make_backbone(family)
    expected = []
    for item in ITEMS:
        rows = backbone.chat.encode_choices(item.question, item.choices)
        losses = [plain_nll(backbone.causal_lm, row) / len(row.answer_ids) for row in rows]
        expected.append(losses.index(min(losses)))
    counts: list[int] = []
    found = score_choices(backbone, ITEMS, counts.append)
    assert found.rows == [
        Row(item.question, item.choices[item.answer], item.choices[n], 100.0 * (n == item.answer))
        for item, n in zip(ITEMS, expected, strict=True)
    ]
    scores = [row.score for row in found.rows]
    assert found.parts == {"films": sum(scores[:2]) / 2, "中文": scores[2]}
    assert found.score == pytest.approx(sum(scores) / 3)
    assert counts == [3, 3, 3]


def test_a_choice_is_asked_as_a_turn_of_the_question_alone(make_backbone: Callable[..., Backbone]) -> None:
    chat = make_backbone("qwen3").chat
    (row,) = chat.encode_choices("Why?", ["because"])
    text = chat.tokenizer.decode(row.ids)
    assert text == chat.frame.conversation("Why?", "because")
