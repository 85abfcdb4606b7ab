"""The report in headless Chromium: quiet, complete, usable on a phone, and without accessibility faults."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from made_runs import made_runs
from report_pages import R, full_run
from sapo_lite.compare.comparison import compare_folders
from sapo_lite.report.html.comparison_page import write_comparison_report
from sapo_lite.report.html.run_page import write_run_report

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as Debian's package chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as found:
        started = found.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    runs = made_runs(root, {"fixed": [40.0, 42.0, 41.0], "sapo": [60.0, 65.0, 63.0]})
    return {
        "run": write_run_report(full_run(root / "run")),
        "comparison": write_comparison_report(compare_folders(runs, None), root / "comparison.html"),
    }


@pytest.mark.parametrize("report", ["run", "comparison"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 400)])
def test_a_report_is_quiet_complete_and_accessible(
    browser: Any, reports: dict[str, Path], report: str, scheme: str, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(reports[report].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    assert said == []
    assert [url for url in asked if url != reports[report].as_uri() and not url.startswith("data:")] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.title() != "hacked"
    found = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["impact"]) for v in found if v["impact"] in ("serious", "critical")] == []
    context.close()


def test_its_own_script_runs_under_the_policy_and_filters_rows(
    browser: Any, reports: dict[str, Path]
) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(reports["run"].as_uri())
    assert page.locator(".rows tbody tr:visible").count() == 1
    page.select_option("[data-filter=change]", "gained")
    assert page.locator(".rows tbody tr:visible").count() == 0
    assert page.locator("output").inner_text() == "0 of 1 rows"
    page.select_option("[data-filter=change]", "")
    page.fill("[data-filter=text]", "INPUT")
    assert page.locator(".rows tbody tr:visible").count() == 1
    assert said == []
    page.close()


def test_on_paper_tables_are_open_but_those_of_every_step_are_left_out(
    browser: Any, reports: dict[str, Path]
) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(reports["run"].as_uri())
    page.evaluate("addEventListener('beforeprint', () => (window.open_on_paper = opened()))")
    page.evaluate("window.opened = () => document.querySelectorAll('details[open]').length")
    assert page.pdf().startswith(b"%PDF")
    every = page.locator("details").count()
    assert page.evaluate("window.open_on_paper") == every - 1 > 0
    assert page.evaluate("opened()") == 0  # as it was on the screen
    page.emulate_media(media="print")
    assert not page.locator("details.screen").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.close()


def test_the_heat_map_shows_the_numbers(browser: Any, reports: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(reports["run"].as_uri())
    shown = page.locator(".heat").first.locator("td").all_inner_texts()
    assert shown == [f"{score:.1f}" for row in R for score in row]
    page.close()
