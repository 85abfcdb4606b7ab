"""Foreign text: what acts on a terminal or hides becomes a sign, and nothing else changes."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapo_lite.support.foreign_text import escaped_json, visible
from sapo_lite.support.messages import markdown


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("a\x1b[31mred\x07", "a␛[31mred␇"),
        ("over\rwritten\x08\x7f", "over␍written␈␡"),
        ("\x9b31m \x85 \x00", "[U+009B]31m [U+0085] ␀"),
        ("user\u202egpj.exe", "user[U+202E]gpj.exe"),
        ("\u2066in\u2069 \u200f \u061c", "[U+2066]in[U+2069] [U+200F] [U+061C]"),
        ("pay\u200bpal \ufeff \u2060", "pay[U+200B]pal [U+FEFF] [U+2060]"),
        ("one\u2028two\u2029three", "one[U+2028]two[U+2029]three"),
        ("half \ud83d", "half [U+D83D]"),
        ("tag\U000e0041", "tag[U+E0041]"),
        ("a\u200db", "a[U+200D]b"),
    ],
)
def test_a_character_that_acts_or_hides_becomes_a_sign(text: str, signs: str) -> None:
    assert visible(text) == signs


@pytest.mark.parametrize(
    "text",
    [
        "plain, with\ttab\nand line [bold]",
        "可以 café naïve Ελληνικά العربية עברית",
        "می\u200cخواهم",  # a Persian word with its own non-joiner
        "क्\u200dष",
        "👩\u200d💻 and ❤️",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@given(st.text(st.characters()))
def test_no_control_character_is_left_and_json_keeps_its_content(text: str) -> None:
    shown = visible(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") and c not in "\n\t"]
    assert visible(shown) == shown
    written = escaped_json(json.dumps({text: text}, ensure_ascii=False))
    assert visible(written) == written
    assert json.loads(written) == {text: text}


def test_no_text_ends_a_cell_of_a_markdown_table_or_opens_a_tag() -> None:
    lines = markdown(["a", "b"], [["x|y\n# z\x1b", "<img src=x> p < 0.1"]]).splitlines()
    assert lines == ["| a | b |", "| --- | ---: |", r"| x\|y # z␛ | &lt;img src=x> p < 0.1 |"]
