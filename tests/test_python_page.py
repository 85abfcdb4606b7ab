"""The Python API is documented: every example of the page runs, and every public name is in one."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

import sapo_lite
from small import ROOT

# Without the marks of blocks, which would count as output.
PAGE = re.sub(r"^```.*$", "", (ROOT / "docs/python.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
EXAMPLES = [example.source for example in doctest.DocTestParser().get_examples(PAGE)]
PUBLIC = [name for name in sapo_lite.__all__ if name != "__version__"]


@pytest.mark.slow
def test_every_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = doctest.DocTestParser().get_doctest(PAGE, {}, "python.md", "docs/python.md", 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    found = runner.run(page, clear_globs=False)
    assert (found.failed, found.attempted) == (0, len(EXAMPLES))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example_on_the_page(name: str) -> None:
    used = re.compile(rf"\b{name}\b")
    # A leaderboard is what score_prompts returns.
    assert any(map(used.search, EXAMPLES)) or name == "Leaderboard"


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_documented_and_typed(name: str) -> None:
    found = getattr(sapo_lite, name)
    assert inspect.getdoc(found)
    if inspect.isfunction(found):
        signature = inspect.signature(found)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(p.annotation is not p.empty for p in signature.parameters.values())


def test_the_list_of_public_names_is_that_of_their_homes() -> None:
    assert set(PUBLIC) == set(sapo_lite._HOMES)
    assert sapo_lite.__all__ == sorted(sapo_lite.__all__)
