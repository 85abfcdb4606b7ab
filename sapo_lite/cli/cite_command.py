"""`sapo-lite cite`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sapo_lite.errors import RunFolderError
from sapo_lite.run.paths import ENVIRONMENT
from sapo_lite.support.shipped import typed_path

_What = Annotated[
    str,
    typer.Argument(
        metavar="RUN|COMPARISON|RECIPE", help="The folder of a run or of a comparison, or a recipe."
    ),
]


def cite(what: _What) -> None:
    """Print BibTeX of what a run used: methods, data, metrics, programs. The run need not be finished."""
    from sapo_lite.model.hub import EMBEDDED
    from sapo_lite.report.bibtex import bibtex
    from sapo_lite.run.papers import papers_of

    recipes = _recipes(what)
    models = dict.fromkeys(recipe["model"]["name"] for recipe, _ in recipes)
    for name in (name for name in models if name not in EMBEDDED):
        typer.echo(f"% {name}: cite the model as its card asks\n")
    papers = [paper for recipe, on_a_gpu in recipes for paper in papers_of(recipe, on_a_gpu=on_a_gpu)]
    typer.echo(bibtex(dict.fromkeys(papers)), nl=False)


def _recipes(what: str) -> list[tuple[Mapping[str, Any], bool]]:
    """The resolved recipes of a run, of the runs of a comparison that were begun, or of a recipe.

    With each, whether it was run on a GPU.
    """
    from sapo_lite.compare.read import runs_in
    from sapo_lite.recipe import load_recipe
    from sapo_lite.run.binding import is_run, read_binding

    folder = typed_path(what)
    if not folder.is_dir():
        return [(load_recipe(what).resolved(), False)]
    runs: list[Path] = [path for path, _ in runs_in(folder) if is_run(path)]
    if not runs:
        raise RunFolderError(f"{folder}: expected the folder of a run or of a comparison, found neither")
    return [(read_binding(path).recipe, _on_a_gpu(path)) for path in runs]


def _on_a_gpu(run: Path) -> bool:
    """Whether the run's environment.json names a GPU. False for a run that has not loaded its model yet."""
    file = run / ENVIRONMENT
    try:
        return file.exists() and json.loads(file.read_text(encoding="utf-8"))["device"] != "cpu"
    except (ValueError, KeyError, TypeError):
        raise RunFolderError(
            f"{file}: expected the environment of a run, found something else. Repeat the command of the "
            "run, which writes it again."
        ) from None
