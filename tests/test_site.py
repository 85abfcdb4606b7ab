"""The documentation site builds strictly: every link and anchor leads somewhere, and nothing is fetched."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from small import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_every_page_is_built_and_formulas_need_no_script(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    assert {
        page for page in pages if page.name != "index" and not (site / page / "index.html").exists()
    } == set()
    method = (site / "method/index.html").read_text(encoding="utf-8")
    assert method.count("<math") > 20
    assert "arithmatex" not in method


@pytest.mark.slow
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = re.compile(
        r'<(?:script|img|iframe)[^>]+src="?(https?:[^"\s>]+)|<link[^>]+href="?(https?:[^"\s>]+)'
    )
    found = {page.name: loaded.findall(page.read_text(encoding="utf-8")) for page in site.rglob("*.html")}
    assert {name: urls for name, urls in found.items() if urls} == {}
