"""The live display on terminals of three sizes, as a terminal emulator shows its bytes."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pyte
import pytest
from rich.console import Console
from rich.text import Text

from sapo_lite.recipe import load_recipe
from sapo_lite.report.console import print_above
from sapo_lite.report.live import LiveDisplay
from sapo_lite.report.overall import Overall
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.run.workplan import RunPlan, plan_of
from sapo_lite.types import Candidate
from tiny import candidate_score

SIZES = [(80, 24), (120, 30), (200, 50)]
TASKS = ["oldest", "odd_one_out", "stars", "mood", "title"]
WORDS = "decide which of the words does not belong to the others , and answer with that word"
POOL = [Candidate(i, f"{i}: {WORDS}", "original" if i == 0 else "file") for i in range(21)]
SCORES = [candidate_score(i, [24.0 + i] * 32, [2] * 32, total=160) for i in range(21)]


@pytest.fixture(scope="module")
def plan() -> RunPlan:
    recipe = load_recipe("lab")
    return plan_of(recipe, load_run_tasks(recipe.sequence, None))


class Terminal:
    """A display, and the screen of a terminal that obeys what it writes."""

    def __init__(self, width: int, height: int) -> None:
        self.file = io.StringIO()
        console = Console(
            file=self.file, width=width, height=height, force_terminal=True, color_system="standard"
        )
        self.display = LiveDisplay(console, "lab")
        self._screen = pyte.HistoryScreen(width, height, history=1000)
        self._stream = pyte.Stream(self._screen)

    @contextmanager
    def showing(self) -> Iterator[LiveDisplay]:
        with self.display:
            yield self.display

    def screen(self) -> list[str]:
        """Lines on the screen, without those that are empty at the end."""
        self.display._live.refresh()
        self._stream.feed(self.file.getvalue().replace("\n", "\r\n"))
        self.file.seek(0)
        self.file.truncate()
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip().splitlines()


def memory_left_out(line: str) -> str:
    return re.sub(r"\d+\.\d GB", "0.8 GB", line)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_heading_says_where_the_run_is(plan: RunPlan, width: int, height: int) -> None:
    terminal = Terminal(width, height)
    with terminal.showing() as display:
        display.planned(plan)
        display.reached(0)
        display.stage("loading the backbone")
        lines = terminal.screen()
        assert memory_left_out(lines[0]) == "lab  0 % · 0.8 GB"
        assert re.fullmatch(r"\S loading the backbone  \d+ s", lines[1])  # a spinner
        display.reached(2)
        display.stage("task 2 of 5: odd_one_out · training on 64 examples")
        with display.work("training", 10, "steps") as meter:
            meter.advance(5, "loss 0.123")
            lines = terminal.screen()
    pattern = r"lab  task 2 of 5 · \d\d % · \d+ (s|min) left · \d+\.\d GB"
    assert re.fullmatch(pattern, lines[0]), lines[0]
    assert lines[1] == "task 2 of 5: odd_one_out · training on 64 examples"
    assert "5/10" in lines[2]
    assert lines[3] == "loss 0.123"


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_numbers_are_whole_while_candidates_are_scored(plan: RunPlan, width: int, height: int) -> None:
    terminal = Terminal(width, height)
    with terminal.showing() as display:
        display.planned(plan)
        display.reached(2)
        display.scores(dict.fromkeys(TASKS, "rougeL"), TASKS, [[1.0] * 5, [2.0] * 5], {})
        display.stage("task 2 of 5: odd_one_out · scoring 21 candidates")
        with display.work("scoring", 3360, "examples") as meter:
            meter.advance(672)
            display.candidates(POOL, SCORES)
            lines = terminal.screen()
    assert len(lines) < height
    text = "\n".join(" ".join(line.split()) for line in lines)
    assert "rank prompt loss to original examples text" in text
    for rank in range(1, 9):
        index = rank - 1
        excess = f"{index / 2:+.4f} " if index else ""
        assert f"{rank} #{index} {12 + index / 2:.4f} {excess}32 of 160 " in text
    assert "672/3360" in text
    assert "1 oldest 2.0 2.0 2.0 2.0 2.0" in text
    cut = [line for line in lines if line.endswith("…")]
    assert (len(cut) == 0) == (width == 200)
    assert all(len(line) == width for line in cut)  # texts take the rest


@pytest.mark.parametrize("watched", [0, 12])
def test_the_table_gives_way_on_a_low_terminal_and_a_long_matrix_goes_above(watched: int) -> None:
    terminal = Terminal(80, 24)
    rows = [[float(i)] * 5 for i in range(6)]
    with terminal.showing() as display:
        kept = {f"general {i}": [50.0] * 6 for i in range(watched)}
        display.scores(dict.fromkeys(TASKS, "rougeL"), TASKS, rows, kept)
        above = terminal.screen()
        display.stage("task 5 of 5: title · scoring 21 candidates")
        with display.work("scoring", 3360, "examples") as meter:
            display.candidates(POOL, SCORES)
            meter.advance(21)
            lines = terminal.screen()
    assert ("5 title" in "\n".join(above)) or not watched
    assert sum(line.startswith("lab  ") for line in lines) == 1
    assert any("21/3360" in line for line in lines)  # the last lines are not cut off
    assert any(line.startswith("rank") for line in lines)
    assert ("R so far" in "\n".join(lines[-9:])) == (not watched)


def test_a_finished_leaderboard_and_notes_stay_above_the_live_part() -> None:
    terminal = Terminal(80, 24)
    with terminal.showing() as display:
        display.stage("task 1 of 5: oldest · scoring 21 candidates")
        display.candidates(POOL, SCORES, final=True)
        display.notice("the disk is nearly full")
        display.stage("task 1 of 5: oldest · training on 64 examples")
        lines = terminal.screen()
        live = lines.index(next(line for line in lines if line.startswith("lab  ")))
        assert lines[0] == "task 1 of 5: oldest · scoring 21 candidates"
        assert lines[1] == "21 of 21 candidates scored"
        assert lines[live - 1] == "note: the disk is nearly full"
    after = terminal.screen()
    assert after[:live] == lines[:live]
    assert not any(line.startswith("lab  ") for line in after)  # only what stays is left


def test_a_redraw_at_the_same_moment_erases_nothing_above() -> None:
    terminal = Terminal(80, 24)
    live = terminal.display._live

    class Interrupted:
        """A text; while it is drawn, the display's own thread comes to redraw."""

        def __rich_console__(self, *_: object) -> Iterator[Text]:
            redraw = Thread(target=live.refresh, daemon=True)
            redraw.start()
            redraw.join(0.2)
            yield Text("the second")

    with terminal.showing() as display:
        display.notice("the first")
        display.candidates(POOL, SCORES)
        terminal.screen()
        display.stage("task 1 of 5: oldest · training on 64 examples")  # of fewer lines
        print_above(live, Interrupted())
        lines = terminal.screen()
    assert lines[:2] == ["note: the first", "the second"]


def test_no_color_means_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    def colours() -> set[str]:
        terminal = Terminal(80, 24)
        with terminal.showing() as display:
            display.stage("task 1 of 5: oldest · scoring 21 candidates")
            display.candidates(POOL, SCORES, final=True)
        codes = re.findall(r"\x1b\[([0-9;]*)m", terminal.file.getvalue())
        return {code for code in codes if re.search(r"\b3[0-8]\b", code)}

    assert colours()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colours()


def test_the_time_left_is_that_of_the_speed_so_far(plan: RunPlan) -> None:
    now = 0.0
    overall = Overall(plan, clock=lambda: now)
    assert (overall.share, overall.left) == (0.0, None)
    overall.reach(3)  # a run that goes on: two stages were read, in no time
    begun = overall.share
    assert 0.3 < begun < 0.7
    assert overall.left is None
    overall.begin()
    now = 10.0
    overall.advance(10, "steps")
    done = overall.share - begun
    assert done > 0
    assert overall.left == pytest.approx(10.0 / done * (1 - overall.share))
    now = 500.0  # loading, or a pause between two pieces of work
    overall.begin()
    assert overall.left == pytest.approx(10.0 / done * (1 - overall.share))
    overall.advance(10**9, "steps")  # more than was planned
    assert overall.share < 1.0
