"""Fixtures shared by all tests."""

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

# Read before any test changes the environment.
_BENCHMARKS = os.environ.get("SAPO_LITE_DATA") or Path(__file__).resolve().parents[1] / "../shared/benchmarks"

_MINIMAL_RECIPE = """\
[model]
name = "lab"
[sequence]
suite = "SUPERNI"
tasks = ["195"]
[paraphrase]
backend = "builtin"
"""


@pytest.fixture
def benchmarks() -> Path:
    """Folder that holds SUPERNI/ and TRACE/; the test is skipped where there is none."""
    folder = Path(_BENCHMARKS).resolve()
    if not folder.is_dir():
        pytest.skip(f"no benchmark data: {folder} is no folder (set SAPO_LITE_DATA)")
    return folder


@pytest.fixture
def write_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Write ./x.toml (a recipe of seven lines, and more) and work there, so that messages call it x.toml."""
    monkeypatch.chdir(tmp_path)

    def write(text: str = _MINIMAL_RECIPE, before: str = "", more: str = "") -> str:
        Path("x.toml").write_text(before + textwrap.dedent(text) + more, encoding="utf-8")
        return "x.toml"

    return write
