"""The report of a run as a page: complete, with the numbers of results.json; texts are shown, never run."""

import re
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from kept import put
from made_runs import made_run, two_tasks
from report_pages import SCRIPT, Element, R, full_run, parsed, rows
from sapo_lite.data.check.finding import Finding
from sapo_lite.errors import RunFolderError
from sapo_lite.evaluation.robustness import robustness
from sapo_lite.recipe import load_recipe
from sapo_lite.report.html.run_page import as_recipe, run_page, write_run_report
from sapo_lite.report.html.words import side_by_side
from sapo_lite.report.verdict import verdict
from sapo_lite.run.binding import read_binding
from sapo_lite.run.results import WatchedScores, read_results


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return full_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def page(run: Path) -> Element:
    return parsed(run_page(run))


def section(page: Element, name: str) -> Element:
    return next(one for one in page.all("section") if one.attributes["id"] == name)


def test_the_verdict_stands_first(run: Path, page: Element) -> None:
    first = page.all("section")[0]
    assert [item.text for item in first.all("li")] == verdict(read_results(run))


def test_the_heat_map_has_the_numbers_of_the_results(page: Element) -> None:
    table, original = page.all("table", "heat")
    found = [row.all("td") for row in table.all("tr")[1:]]
    assert [[float(cell.attributes["data-value"]) for cell in row] for row in found] == R
    assert [[cell.text for cell in row] for row in found] == [[f"{s:.1f}" for s in row] for row in R]
    assert [cell.text for row in found for cell in row if "learned" in cell.attributes["class"]] == [
        "100.0",
        "75.2",
    ]
    assert original.attributes["data-kind"] == "original"


def test_rows_that_changed_have_input_reference_both_answers_and_the_stage(page: Element) -> None:
    (row,) = section(page, "rows").all("table", "rows")[0].all("tr")[1:]
    texts = [cell.text for cell in row.all("td")]
    assert texts == ["stars, 2", f"input {SCRIPT}", "1", "1", SCRIPT, "100 → 0", "2 mood"]
    assert row.attributes["data-change"] == "lost"


def test_texts_of_data_and_models_are_shown_and_not_run(run: Path, page: Element) -> None:
    assert SCRIPT in section(page, "rows").text
    assert SCRIPT in section(page, "wordings").text
    (script,) = page.all("script")
    assert script.text.lstrip().startswith('"use strict"')
    assert run_page(run).count("<script") == 1


def test_nothing_is_loaded_and_only_the_own_script_may_run(page: Element) -> None:
    for element in page.every():
        for name in ("src", "href", "data", "action", "poster", "srcset"):
            assert element.attributes.get(name, "#").startswith(("#", "data:,")), element
    assert not re.search(r"url\(|@import", page.all("style")[0].text)
    (policy,) = [m.attributes["content"] for m in page.all("meta") if "http-equiv" in m.attributes]
    assert policy.startswith("default-src 'none'")
    assert "script-src 'sha256-" in policy


def test_every_plot_has_a_text_alternative(page: Element) -> None:
    plots = page.all("svg")
    assert len(plots) == 2 + 1 + 1  # two tasks over stages, candidates of one, one training
    assert all(plot.attributes["role"] == "img" and plot.attributes["aria-label"] for plot in plots)


def test_candidates_have_dots_with_intervals_and_a_table(page: Element) -> None:
    wordings = section(page, "wordings")
    (plot,) = wordings.all("svg")
    assert [title.text for title in plot.all("title")] == [
        "#1: +0.0000 nats per token, 95 % +0.000 to +0.000, 4 examples",
        "original: +0.7500 nats per token, 95 % +0.024 to +1.476, 4 examples",
    ]
    ranks = [[cell.text for cell in row.all("td")][:4] for row in wordings.all("tr")[1:]]
    assert ranks == [["1", "1", "0.5000", "-0.7500"], ["2", "0", "1.2500", "–"]]


def test_a_run_without_answers_candidates_or_history_has_a_report_too(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", two_tasks(60.0))
    found = parsed(run_page(run))
    assert {one.attributes["id"] for one in found.all("section")} == {
        *("verdict", "scores", "stages", "rows", "data", "cost", "repeat")
    }


def test_a_report_is_of_a_finished_run(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    (run / "results.json").unlink()
    with pytest.raises(RunFolderError, match="finish it first"):
        write_run_report(run)
    assert not (run / "report.html").exists()


def test_a_report_of_many_long_rows_stays_below_3_megabytes(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    long = "x" * 5000
    put(run / "01-stars/predictions/stars-chosen.json", _evaluation([long] * 1000, 100.0))
    put(run / "02-mood/predictions/stars-chosen.json", _evaluation([long + "y"] * 1000, 0.0))
    put(run / "00-zero-shot/predictions/stars-chosen.json", _evaluation([long] * 1000, 0.0))
    written = write_run_report(run)
    assert written == run / "report.html"
    assert written.stat().st_size < 3e6
    assert "600 more rows changed" in parsed(written.read_text()).text


def _evaluation(answers: list[str], score: float) -> dict[str, object]:
    return asdict(rows(answers, [score] * len(answers)))


def test_words_that_differ_are_marked_on_their_side() -> None:
    before, after = side_by_side("Name the <b> stars", "count the <b> Stars please")
    assert before == "<del>Name</del> the &lt;b&gt; stars"
    assert after == "<ins>count</ins> the &lt;b&gt; Stars <ins>please</ins>"
    assert side_by_side("同じ", "違う")[0] == "<del>同 じ</del>"


def test_the_recipe_in_the_report_is_the_one_of_the_run(run: Path, page: Element, tmp_path: Path) -> None:
    command, recipe = section(page, "repeat").all("pre")
    assert command.text == "sapo-lite run lab.toml"
    (tmp_path / "lab.toml").write_text(recipe.text)
    assert load_recipe(tmp_path / "lab.toml").resolved() == read_binding(run).recipe


def test_robustness_watched_sets_findings_and_notices_are_shown(tmp_path: Path) -> None:
    more = {
        "robustness": {"stars": robustness([50.0], 40.0), "mood": None},
        "watched": {
            "facts": WatchedScores("accuracy", [60.0, 58.0, 50.25], [2.0, 9.75], {"sums": [1.0, 2.0, 3.0]})
        },
        "findings": [Finding("stars", "leak", "test", "3 rows are in train, too", {"rows": 3}, "fault")],
        "notices": ["a <b>notice</b>"],
    }
    page = parsed(run_page(made_run(tmp_path / "run", R, more=more)))
    (held_out,) = section(page, "robustness").all("table")
    texts = [[cell.text.strip() for cell in row.all("td")] for row in held_out.all("tr")[1:]]
    assert texts == [["1", "50.0", "–", "50.0", "50.0", "50.0"], ["0", "no wording was held out"]]
    assert "-9.8 points since before any training" in section(page, "watched").text
    assert "50.2" in [cell.text for cell in section(page, "watched").all("td")]
    items = [item.text for item in section(page, "data").all("li")]
    assert items == ["stars (fault, test): 3 rows are in train, too", "a <b>notice</b>"]


@pytest.mark.parametrize(("adapter", "lessons", "r"), [("zero", [], R[:1]), ("joint", ["joint"], R[:2])])
def test_runs_without_a_sequence_have_a_report(
    adapter: str, lessons: list[str], r: list[list[float]], tmp_path: Path
) -> None:
    run = made_run(tmp_path / "run", r, adapter=adapter, more={"lessons": lessons})
    page = parsed(run_page(run))
    cells = page.all("table", "heat")[0].all("td")
    assert [float(cell.attributes["data-value"]) for cell in cells] == [score for row in r for score in row]
    assert not [cell for cell in cells if "learned" in cell.attributes["class"]]
    assert len(page.all("svg")) == 2 * len(lessons)


def test_the_recipe_of_the_page_leaves_out_keys_without_a_value() -> None:
    task = {"name": "tickets", "train": "tickets.csv", "metric": None}
    text = as_recipe({"name": "my", "limit": None, "data": {"folder": None, "tasks": [task]}})
    assert tomllib.loads(text) == {"data": {"tasks": [{"name": "tickets", "train": "tickets.csv"}]}}
