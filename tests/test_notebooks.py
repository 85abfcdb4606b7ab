"""The notebooks of labs/ run, as they are and with their solutions, and have what a class needs."""

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from forked import Program
from small import ROOT

pytest.importorskip("nbclient")


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "scripts/notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NOTEBOOKS = script()
FILES: list[Path] = NOTEBOOKS.notebooks()

# In place of what the cell with parameters says: a run of a second or two.
SMALL = {
    "1": "WORDINGS, EXAMPLES, TEST, EPOCHS, SEEDS = 2, 8, 3, 1, [0, 1]",
    "2": 'TASKS, WORDINGS, EXAMPLES, TEST, EPOCHS = ["stars", "odd_one_out"], 2, 8, 3, 1',
    "3": 'TASKS, EXAMPLES, TEST, EPOCHS, WEIGHTS = ["stars", "oldest"], 8, 3, 1, [0.5]',
    "4": "ROWS, EPOCHS = 40, 1",
    "5": "DRAWS, EXAMPLES, TEST, WORDINGS, EPOCHS = 50, 16, 4, 3, 1",
}


def cells(book: Any, tag: str) -> list[Any]:
    return [cell for cell in book.cells if NOTEBOOKS.tagged(cell, tag)]


def forked_kernel(
    command: Sequence[str], *, env: Mapping[str, str], cwd: str | None = None, **_: Any
) -> Program:
    """A kernel that need not import the libraries."""
    silent = os.open(os.devnull, os.O_WRONLY)
    return Program(command, cwd=Path(cwd or "."), env=env, out=silent, err=silent, start_new_session=True)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_notebook_runs_and_its_solutions_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if path != FILES[-1]:  # one in a kernel that has just started
        monkeypatch.setattr("jupyter_client.provisioning.local_provisioner.launch_kernel", forked_kernel)
    book = NOTEBOOKS.with_settings(NOTEBOOKS.read(path), SMALL[path.name[0]])
    done = NOTEBOOKS.execute(NOTEBOOKS.solved(book), timeout=300)
    # A solution shows something, or defines what a later cell shows.
    for cell in cells(done, "solved"):
        assert cell.outputs or re.search(r"^(def|\w+ =)", cell.source, re.MULTILINE), cell.source


def test_there_are_five_notebooks_in_the_order_of_the_readme() -> None:
    assert list(SMALL) == [path.name[0] for path in FILES]
    readme = (ROOT / "labs/README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\d-[\w-]+\.ipynb)\)", readme) == [path.name for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_exercise_has_a_solution_behind_it(path: Path) -> None:
    book = NOTEBOOKS.read(path)
    tags = [tag for cell in book.cells for tag in cell.metadata.get("tags", ())]
    assert tags[0] == "parameters"
    assert tags.count("exercise") >= 2
    following = [b for a, b in pairwise(tags) if a == "exercise"]
    # A guess of the students has no solution.
    assert set(following) <= {"solution", "exercise"} or path.name.startswith("1-")
    questions = re.findall(r"\*\*Question (\d+)", "\n".join(cell.source for cell in book.cells))
    assert questions == [str(number) for number in range(1, len(questions) + 1)]
    assert len(questions) >= 3


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_notebook_shows_is_stored_in_it_without_faults_and_places(path: Path) -> None:
    book = NOTEBOOKS.read(path)
    shown = [output for cell in NOTEBOOKS.code_cells(book) for output in cell.outputs]
    assert len(shown) >= 5
    assert not [output for output in shown if output.output_type == "error" or output.get("name") == "stderr"]
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(work|home|root|tmp)/", text)
    assert len(text) < 500_000


def test_the_handout_has_neither_solutions_nor_outputs(tmp_path: Path) -> None:
    NOTEBOOKS.main(["--handout", str(tmp_path)])
    assert [path.name for path in sorted(tmp_path.iterdir())] == [path.name for path in FILES]
    for path in tmp_path.iterdir():
        book = NOTEBOOKS.read(path)
        assert not cells(book, "solution")
        assert len(cells(book, "exercise")) >= 2
        assert not any(cell.outputs for cell in NOTEBOOKS.code_cells(book))
