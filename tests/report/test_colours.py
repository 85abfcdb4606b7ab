"""The palette of the terminal can be read on light and on dark grounds, and no other colours are used."""

import io
import re

import pytest
from rich.color import Color
from rich.text import Text

from sapo_lite.report import colours
from sapo_lite.report.console import ForeignConsole
from small import ROOT

PALETTE = {name: getattr(colours, name) for name in ("GOOD", "CARE", "BAD", "ACTIVE", "ORIGINAL")}
_NAMED = re.compile(r"""["'](?:(?:bold|dim|italic|not) )*(?:red|green|yellow|blue|magenta|cyan)["']""")


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    parts = (channel / 255 for channel in Color.parse(colour).get_truecolor())
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", PALETTE)
def test_a_colour_stands_out_from_white_black_and_dark_grey(name: str) -> None:
    own = luminance(PALETTE[name])
    assert 1.05 / (own + 0.05) >= 3.8
    assert (own + 0.05) / 0.05 >= 3.8
    assert (own + 0.05) / (luminance("#292929") + 0.05) >= 3.4


def test_no_other_colour_is_named_in_the_programs_that_print() -> None:
    files = [path for room in ("report", "cli") for path in (ROOT / "sapo_lite" / room).glob("*.py")]
    texts = {path.name: re.sub(r"#.*", "", path.read_text(encoding="utf-8")) for path in files}
    assert {name for name, text in texts.items() if _NAMED.search(text)} == set()


def printed(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TERM", "xterm-256color")
    console = ForeignConsole(io.StringIO(), force_terminal=True)
    console.print(Text("lost", style=f"bold {colours.BAD}"))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_no_color_leaves_what_is_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert printed(monkeypatch) == "\x1b[1;38;5;196mlost\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert printed(monkeypatch) == "\x1b[1mlost\x1b[0m\n"
