"""Text in columns of a terminal."""

import pytest
from rich.cells import cell_len
from rich.text import Text

from sapo_lite.support.columns import columns, cut

TEXTS = [
    "",
    "decide which word does not belong",
    "判断情感：积极或消极。",
    "Answer 积极 or 消极, naïve café – no more",
    "한글 ひらがな ｆｕｌｌ 😀 done",
    "cafe\u0301 with a combining accent",
]


@pytest.mark.parametrize("text", TEXTS)
def test_widths_and_cuts_are_those_of_the_library_that_draws(text: str) -> None:
    assert columns(text) == cell_len(text)
    for width in range(1, 40):
        drawn = Text(text)
        drawn.truncate(width, overflow="ellipsis")
        assert cut(text, width) == drawn.plain
        assert columns(cut(text, width)) <= width


def test_half_of_a_wide_character_becomes_a_space() -> None:
    assert cut("判断情感", 4) == "判 …"
    assert cut("判断情感", 5) == "判断…"
