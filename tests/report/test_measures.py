"""Scores under the name of their metric: in a run's summary, while it runs, and in comparisons."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from made_runs import made_results, made_run, two_tasks
from sapo_lite.compare.comparison import compare_folders
from sapo_lite.errors import RunFolderError
from sapo_lite.evaluation.robustness import robustness
from sapo_lite.report.comparison_view import as_markdown, as_text
from sapo_lite.report.export import as_json
from sapo_lite.report.live import LiveDisplay
from sapo_lite.report.measures import headings, measure
from sapo_lite.report.run_summary import summary

MIXED = {"stars": "accuracy", "mood": "mine:score"}
ALIKE = {"stars": "accuracy", "mood": "accuracy"}


def shown(part: RenderableType) -> str:
    console = Console(width=120, file=io.StringIO())
    with console.capture() as capture:
        console.print(part)
    return capture.get()


def summary_of(metrics: dict[str, str]) -> str:
    results = made_results({"chosen": two_tasks(50.0)}, "fixed", "lorainc", 0)
    report = robustness([40.0, 60.0], 50.0)
    results = replace(results, task_metrics=metrics, robustness=dict.fromkeys(metrics, report))
    return shown(summary(results, {"seconds": {}, "peak_memory_gb": {}}, Path("runs/lab")))


@pytest.mark.parametrize(
    ("metrics", "name", "columns"),
    [
        (["rougeL", "rougeL"], "ROUGE-L", ["a", "b"]),
        (["accuracy"] * 2, "accuracy", ["a", "b"]),
        (["mine:score"] * 2, "mine:score", ["a", "b"]),
        (["chrf", "rougeL"], "each task's own metric", ["a (chrF)", "b (ROUGE-L)"]),
    ],
)
def test_scores_have_the_name_of_their_metric(metrics: list[str], name: str, columns: list[str]) -> None:
    assert measure(metrics) == name
    assert headings(dict(zip("ab", metrics, strict=True))) == columns


def test_a_summary_names_the_metric_that_all_tasks_have() -> None:
    text = summary_of(ALIKE)
    assert "R: accuracy in percent, learned tasks tested with their chosen prompt" in text
    assert "fixed on lorainc, accuracy in percent" in text
    assert "robustness: accuracy in percent over held-out prompts" in text
    assert "after training  stars  mood" in text


def test_a_summary_names_the_metric_of_every_task_where_they_differ() -> None:
    text = summary_of(MIXED)
    assert "R: each task's own metric in percent, learned tasks tested with their chosen prompt" in text
    assert "after training  stars (accuracy)  mood (mine:score)" in text
    assert "robustness: each task's own metric in percent" in text
    assert text.count("mood (mine:score)") == 2


def test_a_summary_shows_the_matrix_of_the_tasks_metrics() -> None:
    results = made_results({"chosen": two_tasks(50.0)}, "fixed", "lorainc", 0)
    results.matrices["chosen"]["rougeL"] = [[1.5, 1.5]] * 3
    text = shown(summary(results, {"seconds": {}, "peak_memory_gb": {}}, Path("runs/lab")))
    assert "50.0" in text
    assert "1.5" not in text


def test_the_live_matrix_names_the_metric() -> None:
    display = LiveDisplay(Console(width=100, file=io.StringIO()), "lab")
    display.scores(MIXED, ["stars"], [[0.0, 1.0], [50.0, 1.0]], {})
    assert "R so far: each task's own metric, %" in shown(display._matrix)
    display.scores(ALIKE, ["stars"], [[0.0, 1.0], [50.0, 1.0]], {})
    assert "R so far: accuracy, %" in shown(display._matrix)


def test_a_comparison_names_the_metrics(tmp_path: Path) -> None:
    folders = [
        made_run(tmp_path / strategy, two_tasks(50.0), strategy=strategy, more={"task_metrics": MIXED})
        for strategy in ("fixed", "worst")
    ]
    comparison = compare_folders(folders, None)
    text, by_task = shown(as_text(comparison)), "Metrics: stars by accuracy, mood by mine:score."
    assert "lab: each task's own metric in percent, chosen prompts" in text
    assert by_task in text
    assert by_task in as_markdown(comparison)
    assert json.loads(json.dumps(as_json(comparison)))["task_metrics"] == MIXED


def test_a_comparison_with_one_metric_says_it_once(tmp_path: Path) -> None:
    comparison = compare_folders([made_run(tmp_path / "one", two_tasks(50.0))], None)
    assert "lab: ROUGE-L in percent" in shown(as_text(comparison))
    assert "Metrics:" not in as_markdown(comparison)


def test_runs_that_score_a_task_by_different_metrics_are_not_compared(tmp_path: Path) -> None:
    folders = [
        made_run(tmp_path / name, two_tasks(50.0), more={"task_metrics": metrics})
        for name, metrics in (("one", ALIKE), ("other", MIXED))
    ]
    with pytest.raises(RunFolderError) as caught:
        compare_folders(folders, None)
    assert f"{folders[1]}: scored by another metric than {folders[0]}: mood" in str(caught.value)
