"""`sapo-lite report`: where the file goes, and what is refused."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from made_runs import made_run, two_tasks
from report_pages import full_run

Typed = Callable[..., subprocess.CompletedProcess[str]]


def test_a_report_goes_into_the_folder_of_its_run(typed: Typed, tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    done = typed("report", run)
    assert (done.returncode, done.stdout) == (0, f"{run / 'report.html'}\n")
    assert (run / "report.html").read_text().startswith("<!doctype html>")


def test_a_report_goes_to_the_file_that_is_named(typed: Typed, tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", two_tasks(50.0))
    done = typed("report", run, "--out", tmp_path / "mine.html")
    assert done.returncode == 0
    assert (tmp_path / "mine.html").exists()
    assert not (run / "report.html").exists()


@pytest.mark.slow
def test_figures_are_written_beside_the_report(typed: Typed, tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    done = typed("report", run, "--figures", tmp_path / "figures")
    report, *figures = done.stdout.splitlines()
    assert report == str(run / "report.html")
    assert f"{tmp_path / 'figures' / 'tasks.svg'}" in figures
    assert all(Path(path).stat().st_size > 500 for path in figures)


def test_figures_that_cannot_be_written_say_so(typed: Typed, tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    (tmp_path / "file").write_text("")
    done = typed("report", run, "--figures", tmp_path / "file")
    assert done.returncode == 1
    assert "figures cannot be written (File exists)" in done.stderr


def test_a_report_of_nothing_is_refused(typed: Typed, tmp_path: Path) -> None:
    done = typed("report", tmp_path / "none")
    assert done.returncode == 1
    assert "expected the folder of a finished run, found no such folder" in done.stderr


def test_a_report_that_cannot_be_written_says_so(typed: Typed, tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", two_tasks(50.0))
    done = typed("report", run, "--out", tmp_path / "no" / "such.html")
    assert done.returncode == 1
    assert "such.html: the report cannot be written (No such file or directory)" in done.stderr


def test_open_shows_the_file_in_the_browser(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, shown = made_run(tmp_path / "run", two_tasks(50.0)), []
    monkeypatch.setattr("typer.launch", shown.append)  # the desktop is the outermost edge
    assert typed("report", run, "--open").returncode == 0
    assert shown == [(run / "report.html").as_uri()]
