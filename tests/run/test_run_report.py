"""The report that the commands write when a run or a grid ends."""

from pathlib import Path

import pytest

from forked import run_program
from report_pages import parsed
from sapo_lite.report.verdict import verdict
from sapo_lite.run.results import read_results
from small import SETTINGS, command, small_command

pytestmark = pytest.mark.slow


def test_a_run_ends_with_its_report_and_a_finished_one_writes_none(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = run_program(small_command(out, "paraphrase.held_out=1"))
    assert done.returncode == 0, done.stderr
    page = parsed((out / "report.html").read_text(encoding="utf-8"))
    assert [item.text for item in page.all("section")[0].all("li")] == verdict(read_results(out))
    assert len(page.all("svg")) >= 2 + 2  # tasks over stages, candidates of both
    (out / "report.html").unlink()
    assert run_program(small_command(out, "paraphrase.held_out=1")).returncode == 0
    assert not (out / "report.html").exists()


def test_a_grid_ends_with_reports_of_itself_and_of_its_cells(tmp_path: Path) -> None:
    flags = [flag for setting in SETTINGS for flag in ("--set", setting)]
    grid = (
        "compare",
        "lab",
        "--strategies",
        "fixed,sapo",
        "--seeds",
        "1",
        "--plain",
        "--out",
        tmp_path / "c",
    )
    done = run_program(command(*grid, *flags))
    assert done.returncode == 0, done.stderr
    written = {path.relative_to(tmp_path / "c").as_posix() for path in tmp_path.rglob("report.html")}
    assert written == {"report.html", "fixed-lorainc-0/report.html", "sapo-lorainc-0/report.html"}
