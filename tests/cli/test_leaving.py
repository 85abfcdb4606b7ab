"""`export`, `chat` and `predict`: the commands around a run that was learned before."""

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sapo_lite.report.beside_view import beside
from sapo_lite.report.console import ForeignConsole
from sapo_lite.run.snapshot import read_snapshot
from sapo_lite.support.foreign_text import visible
from small import small_run

pytestmark = pytest.mark.slow

Typed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "lab-1"
    small_run(out, "sequence.tasks=['oldest','mood']", "evaluation.prompts=chosen")
    return out


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`say("a", "b")`: lines that the next command reads from stdin."""

    def lines(*text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in text)))

    return lines


def test_an_export_says_what_it_wrote_and_how_many_answers_are_the_same(
    typed: Typed, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = typed("export", run, "--to", "adapter", "--check", "10")
    assert done.returncode == 0, done.stderr
    assert "adapter of stage 2 (mood): 7 files" in done.stdout
    assert "in exports/lab-1-2-adapter" in done.stdout
    assert "10 of 10 stored answers are given again, by transformers" in done.stdout
    again = typed("export", run, "--to", "adapter")
    assert (again.returncode, again.stdout) == (1, "")
    assert "error: exports/lab-1-2-adapter exists. Delete it" in again.stderr


def test_nothing_is_verified_if_nothing_is_asked(typed: Typed, run: Path, tmp_path: Path) -> None:
    done = typed("export", run, "--to", "merged", "--stage", "1", "--check", "0", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "merged of stage 1 (oldest)" in done.stdout
    assert "not verified" in done.stdout
    assert "Not checked" in (tmp_path / "out/README.md").read_text()


def test_a_line_is_answered_with_the_wording_of_its_task(
    typed: Typed, run: Path, say: Callable[..., None]
) -> None:
    snapshot = read_snapshot(run)
    task = snapshot.tasks["mood"]
    rows = snapshot.stored_rows(task)[1][:2]
    older = snapshot.stored_rows(snapshot.tasks["oldest"])[1][0]
    say(rows[0].input, "", rows[1].input, "/task oldest", older.input, "/quit", "never read")
    done = typed("chat", run)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(f"{visible(row.answer)}\n" for row in (*rows, older))
    assert "stage 2 (mood), tasks: oldest, mood" in done.stderr


def test_two_stages_answer_the_same_text(typed: Typed, run: Path, say: Callable[..., None]) -> None:
    first, last = read_snapshot(run, 1), read_snapshot(run)
    task = last.tasks["oldest"]
    assert first.prompts["oldest"] == last.prompts["oldest"]
    rows = list(zip(last.stored_rows(task)[1], first.stored_rows(task)[1], strict=True))[:3]
    say(*(row.input for row, _ in rows))
    done = typed("chat", run, "--task", "oldest", "--beside", "1")
    assert done.stdout == "".join(
        visible(f"stage 2 (mood): {row.answer}\nstage 1 (oldest): {earlier.answer}\n")
        for row, earlier in rows
    )


def test_on_a_terminal_answers_stand_side_by_side() -> None:
    shown = io.StringIO()
    ForeignConsole(shown, width=60).print(
        beside({"stage 2 (mood)": "bright", "stage 1 (oldest)": "dark\x1b[2J"})
    )
    assert shown.getvalue() == (
        "stage 2 (mood)                stage 1 (oldest)              \n"
        "bright                        dark␛[2J                      \n"
    )


def test_the_model_before_training_answers_beside(typed: Typed, run: Path, say: Callable[..., None]) -> None:
    say("/prompt kate : 41 years", "/task nothing", "kate : 41 years , john : 36 years")
    done = typed("chat", run, "--stage", "1", "--beside", "base")
    before = "stage 0 (before any training): "
    assert done.stdout.splitlines()[-1].startswith(before)
    assert "Text:\nkate : 41 years\n\nanswer :<|im_end|>" in done.stdout
    assert "error: --task: expected oldest or mood, found nothing" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--beside", "first"], 2, "--beside: expected base, or the number of a stage, found first"),
        (["--beside", "7"], 1, "expected a finished stage of the run, out of 0, 1, 2, found 7"),
        (["--task", "mod"], 2, "--task: expected oldest or mood, found mod; did you mean mood?"),
    ],
)
def test_what_a_chat_cannot_have_is_said(
    words: list[str], code: int, said: str, typed: Typed, run: Path
) -> None:
    done = typed("chat", run, *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_new_rows_of_a_table_get_answers_beside_their_columns(
    typed: Typed, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = read_snapshot(run).stored_rows(read_snapshot(run).tasks["mood"])[1]
    with Path("new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["nr", "text"], *([n, row.input] for n, row in enumerate(rows))])
    done = typed("predict", run, "new.csv", "--task", "mood")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"new-mood.csv: {len(rows)} rows of mood, answered by stage 2 (mood)\n"
    found = list(csv.DictReader(io.StringIO(Path("new-mood.csv").read_text())))
    assert [row["predicted_answer"] for row in found] == [row.answer for row in rows]
    assert [row["nr"] for row in found] == [str(n) for n in range(len(rows))]
    again = typed("predict", run, "new.csv", "--task", "mood")
    assert again.returncode == 2
    assert "new-mood.csv exists" in again.stderr
