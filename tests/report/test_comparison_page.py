"""The report of a comparison as a page: the statement, the grid, differences with intervals, every seed."""

from pathlib import Path

import pytest

from made_runs import made_runs
from report_pages import Element, parsed
from sapo_lite.compare.comparison import Comparison, compare_folders
from sapo_lite.compare.findings import statement
from sapo_lite.report.html.comparison_page import comparison_page, write_comparison_report


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    ways = {"fixed": [40.0, 42.0, 41.0], "sapo": [60.0, 65.0, 63.0]}
    return compare_folders(made_runs(tmp_path_factory.mktemp("runs"), ways), None)


@pytest.fixture(scope="module")
def page(comparison: Comparison) -> Element:
    return parsed(comparison_page(comparison))


def test_the_statement_of_the_shown_kind_stands_first(comparison: Comparison, page: Element) -> None:
    first = page.all("section")[0]
    assert first.attributes["id"] == comparison.kind
    assert first.all("li")[0].text == statement(comparison.shown)


def test_the_grid_has_means_and_deviations(page: Element) -> None:
    grid = page.all("section")[0].all("table")[0]
    cells = [
        [cell.text for cell in row.every() if cell.tag in ("th", "td")][:2] for row in grid.all("tr")[1:]
    ]
    assert cells == [["fixed on lorainc", "41.0 ± 1.0"], ["sapo on lorainc", "62.7 ± 2.5*"]]


def test_differences_have_intervals_in_plot_and_table(page: Element) -> None:
    plot = page.all("section")[0].all("svg")[0]
    assert plot.attributes["aria-label"] == (
        "Differences of AP to the baseline: sapo on lorainc +21.7 points, 95 % +17.9 to +25.5, 3 seeds"
    )
    assert "+17.9 to +25.5" in [cell.text for cell in page.all("section")[0].all("td")]


def test_every_seed_is_shown(page: Element) -> None:
    words = [plot.attributes["aria-label"] for plot in page.all("section")[0].all("svg")]
    assert any("sapo on lorainc, seed 1: 65.0" in text for text in words)
    assert "0: 60.00, 1: 65.00, 2: 63.00" in [cell.text for cell in page.all("td")]


def test_runs_of_one_group_have_a_report_too(tmp_path: Path) -> None:
    found = compare_folders(made_runs(tmp_path / "runs", {"sapo": [60.0, 61.0]}), None)
    written = write_comparison_report(found, tmp_path)
    assert written == tmp_path / "report.html"
    assert "Nothing was compared: all runs are of one group." in parsed(written.read_text()).text
