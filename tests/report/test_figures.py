"""Figures as files: all of a run and of a comparison, in three formats, the same twice."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from made_runs import made_run, two_tasks
from report_pages import full_run
from sapo_lite.compare.comparison import compare_folders
from sapo_lite.errors import RunFolderError, SapoLiteError
from sapo_lite.run.results import read_results, write_results

pytest.importorskip("matplotlib")

from sapo_lite.report.figures.comparison_figures import comparison_figures
from sapo_lite.report.figures.files import FORMATS, write_figures
from sapo_lite.report.figures.run_figures import run_figures

BEGINNINGS = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}


def texts(svg: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_run_has_its_figures_in_three_formats(tmp_path: Path) -> None:
    written = write_figures(full_run(tmp_path / "run"), tmp_path / "figures")
    names = ["R-chosen", "R-original", "tasks", "training", "candidates-stars"]
    assert [path.name for path in written] == [f"{name}.{kind}" for name in names for kind in FORMATS]
    for path in written:
        assert path.read_bytes().startswith(BEGINNINGS[path.suffix[1:]])


@pytest.mark.slow
def test_the_numbers_of_a_heat_map_are_those_of_r(tmp_path: Path) -> None:
    write_figures(full_run(tmp_path / "run"), tmp_path)
    found = texts(tmp_path / "R-original.svg")
    for label in ("0.0", "12.5", "100.0", "10.0", "50.0", "75.2", "nothing", "1 stars", "2 mood"):
        assert label in found
    assert "ROUGE-L in percent, original prompts" in found


@pytest.mark.slow
def test_the_same_figure_twice_is_the_same_file(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    once, again = (write_figures(run, tmp_path / name) for name in ("once", "again"))
    assert [a.read_bytes() for a in once] == [b.read_bytes() for b in again]


@pytest.mark.slow
def test_candidates_are_marked_as_in_the_report(tmp_path: Path) -> None:
    write_figures(full_run(tmp_path / "run"), tmp_path)
    assert {"#1", "original"} <= set(texts(tmp_path / "candidates-stars.svg"))


def test_a_run_that_trained_nothing_has_r_alone(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", two_tasks(50.0))
    assert [name for name, _ in run_figures(run)] == ["R-chosen", "R-original", "tasks"]


def test_a_comparison_has_seeds_and_differences_of_every_metric(tmp_path: Path) -> None:
    runs = [
        made_run(tmp_path / f"{way}-{seed}", two_tasks(ap + seed), strategy=way, seed=seed)
        for way, ap in (("fixed", 40.0), ("sapo", 60.0))
        for seed in (0, 1, 2)
    ]
    found = dict(comparison_figures(compare_folders(runs, None)))
    assert {"seeds-original-AP", "differences-original-AP"} <= found.keys()
    axes = found["seeds-original-AP"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fixed on lorainc", "sapo on lorainc"]
    assert sorted(axes.lines[0].get_xdata()) == [40.0, 41.0, 42.0]
    assert found["differences-original-AP"].axes[0].lines[0].get_xdata() == [20.0]


@pytest.mark.slow
def test_signs_of_mathematics_in_names_are_shown_as_they_are(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", two_tasks(50.0))
    tasks = ["$x_{$", "mood"]
    results = replace(read_results(run), tasks=tasks, task_metrics=dict.fromkeys(tasks, "rougeL"))
    write_results(run, replace(results, lessons=tasks))
    write_figures(run, tmp_path)
    assert "$x_{$" in texts(tmp_path / "R-chosen.svg")


def test_without_matplotlib_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(SapoLiteError, match=r'pip install "sapo-lite\[figures\]"'):
        write_figures(made_run(tmp_path / "run", two_tasks(50.0)), tmp_path)


def test_an_unfinished_run_has_no_figures_and_no_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="expected the folder of a finished run"):
        write_figures(tmp_path, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()
