"""The notebooks of labs/: execute them and store their outputs, or write them without solutions.

    python scripts/notebooks.py --execute [labs/1-does-the-wording-matter.ipynb ...]
    python scripts/notebooks.py --handout FOLDER

Cells have tags: "parameters" (sizes, which tests make smaller), "exercise" (code to be completed, which runs
as it is) and "solution" (text, often with the code of the exercise above it).
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

LABS = Path(__file__).resolve().parents[1] / "labs"
_CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def notebooks() -> list[Path]:
    """The notebooks, in the order of the course."""
    return sorted(LABS.glob("[0-9]-*.ipynb"))


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def tagged(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", ())


def solved(book: NotebookNode) -> NotebookNode:
    """The notebook with the code of every solution as a cell behind the solution."""
    cells = []
    for cell in book.cells:
        cells.append(cell)
        if tagged(cell, "solution"):
            cells += [_solution(code) for code in _CODE.findall(cell.source)]
    return new_notebook(cells=cells, metadata=book.metadata)


def _solution(code: str) -> NotebookNode:
    return new_code_cell(code.strip(), metadata={"tags": ["solved"]})


def with_settings(book: NotebookNode, settings: str) -> NotebookNode:
    """The notebook with other values behind its parameters."""
    at = next(place for place, cell in enumerate(book.cells) if tagged(cell, "parameters"))
    book.cells.insert(at + 1, new_code_cell(settings))
    return book


def execute(book: NotebookNode, timeout: int = 900) -> NotebookNode:
    """Execute a notebook in labs/. What libraries write to stderr, and times, are not kept.

    Raises:
        CellExecutionError: a cell failed.
    """
    client = NotebookClient(
        book,
        timeout=timeout,
        startup_timeout=timeout,
        record_timing=False,
        resources={"metadata": {"path": str(LABS)}},
    )
    client.execute(env={**os.environ, "PYTHONPATH": str(LABS.parent)})  # this package, whatever is installed
    for cell in code_cells(book):
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return book


def with_outputs(book: NotebookNode) -> NotebookNode:
    """The notebook with what it shows if its exercises are solved; these show what their solutions do."""
    done = execute(solved(book))
    exercise = None
    for cell in list(done.cells):
        if tagged(cell, "exercise"):
            exercise = cell
        elif tagged(cell, "solved"):
            assert exercise is not None
            exercise.outputs = cell.outputs
            done.cells.remove(cell)
    for number, cell in enumerate(code_cells(done), start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
    return done


def code_cells(book: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def handout(book: NotebookNode) -> NotebookNode:
    """The notebook without solutions and outputs."""
    book.cells = [cell for cell in book.cells if not tagged(cell, "solution")]
    for cell in code_cells(book):
        cell.outputs, cell.execution_count = [], None
    return book


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Execute the notebooks, or write them without solutions.")
    parser.add_argument("files", nargs="*", type=Path, default=notebooks(), help="default: all of labs/")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--execute", action="store_true", help="run every cell and store its output")
    what.add_argument("--handout", type=Path, metavar="FOLDER", help="write them without solutions")
    options = parser.parse_args(argv)
    for path in options.files:
        if options.execute:
            nbformat.write(with_outputs(read(path)), path)
        else:
            options.handout.mkdir(parents=True, exist_ok=True)
            nbformat.write(handout(read(path)), options.handout / path.name)
        print(path.name, file=sys.stderr)


if __name__ == "__main__":
    main()
