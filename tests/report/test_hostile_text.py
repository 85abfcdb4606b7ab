"""Displays, tables and documents show hostile text, and obey nothing in it: no escape code, no markup."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from made_runs import made_results
from sapo_lite.leaderboard.board import board
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.pool import Rejection
from sapo_lite.report.console import ForeignConsole
from sapo_lite.report.live import LiveDisplay
from sapo_lite.report.number_table import NumberTable
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.report.rows_view import rows_view
from sapo_lite.report.run_summary import summary
from sapo_lite.report.svg import _text
from sapo_lite.report.tables import leaderboard_view, pool_table
from sapo_lite.types import Candidate, Example, Task

# Sets the title of a terminal; turns the rest of a line; a code of one character; markup and an emoji code.
EVIL = "joy\x1b]0;owned\x07\u202eevil\x9b31m\u200b[red]:smile:[/red]"
ACTING = re.compile("\x1b\\]|\x07|\u202e|\x9b|\u200b|😄")
POOL = [Candidate(0, EVIL, EVIL), Candidate(1, EVIL, EVIL)]
LOSSES = [CandidateLoss(index, (1.0, 2.0 - index), (1, 1), (0, 1), 2) for index in (0, 1)]
REJECTED = [Rejection(EVIL, EVIL)]
TASK = Task("t", EVIL, EVIL, EVIL, (EVIL,), "en", (Example(EVIL, EVIL),), (Example(EVIL, EVIL),))


def checked(printed: str) -> str:
    assert not ACTING.search(printed), repr(printed)
    assert "␛" in printed
    assert "[red]" in printed
    return printed


def show(display: Any) -> None:
    with display:
        display.stage(EVIL)
        with display.work(EVIL, 4, EVIL) as meter:
            meter.advance(2, EVIL)
            display.pool(EVIL, POOL, REJECTED, 3)
            display.candidates(POOL, LOSSES)
            display.candidates(POOL, LOSSES, final=True)
            display.scores({EVIL: "rougeL"}, [EVIL], [[1.0], [2.0]], {EVIL: [1.0, 2.0]})
            display.notice(EVIL)


def test_the_live_display_writes_its_own_codes_alone() -> None:
    file = io.StringIO()
    console = ForeignConsole(file, force_terminal=True, width=120, color_system="truecolor")
    show(LiveDisplay(console, EVIL))
    assert "\x1b[" in checked(file.getvalue())


def test_the_plain_display_writes_no_code_at_all() -> None:
    file = io.StringIO()
    show(PlainDisplay(ForeignConsole(file, width=120), pause=0.0))
    assert "\x1b" not in checked(file.getvalue())


VIEWS: dict[str, Callable[[], Any]] = {
    "text": lambda: Text(EVIL),
    "string": lambda: EVIL,
    "pool": lambda: pool_table(EVIL, POOL, REJECTED),
    "leaderboard": lambda: leaderboard_view(board(POOL, LOSSES, None)),
    "numbers": lambda: NumberTable(EVIL, [EVIL, EVIL], [[EVIL, "1"]]),
    "rows": lambda: rows_view(TASK, "train", 1, TASK.train, [None]),
    "summary": lambda: summary(
        made_results({"chosen": [[0, 0], [1, 1], [2, 2]]}, EVIL, EVIL, 0),
        {"seconds": {EVIL: 1.0}, "peak_memory_gb": {EVIL: 1.0}},
        Path(EVIL),
    ),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_shows_it_and_obeys_nothing(name: str) -> None:
    file = io.StringIO()
    ForeignConsole(file, width=110).print(VIEWS[name]())
    assert "\x1b" not in checked(file.getvalue())
    narrow = io.StringIO()
    ForeignConsole(narrow, width=30).print(VIEWS[name]())
    assert not ACTING.search(narrow.getvalue())


def test_a_table_keeps_its_columns_around_it() -> None:
    file = io.StringIO()
    ForeignConsole(file, width=200).print(NumberTable("", ["task", "n"], [[EVIL, "1"], ["mood", "2"]]))
    _, heading, *rows = file.getvalue().splitlines()
    assert {len(row.rstrip()) for row in rows} == {len(heading.rstrip())}


def test_a_board_printed_in_python_shows_it() -> None:
    checked(repr(board(POOL, LOSSES, None)))


def test_a_plot_is_still_xml() -> None:
    from xml.etree import ElementTree

    assert ElementTree.fromstring(_text(0, 0, EVIL, anchor="end")).text == (
        "joy␛]0;owned␇[U+202E]evil[U+009B]31m[U+200B][red]:smile:[/red]"
    )
