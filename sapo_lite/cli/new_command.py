"""`sapo-lite new`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapo_lite.cli.options import Offline
from sapo_lite.cli.terminal import show, wide_console
from sapo_lite.errors import ParaphraseError, SapoLiteError
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.data.guess import Guess

MODEL = "unsloth/Qwen3-4B-unsloth-bnb-4bit"
_PARAPHRASERS = ("qwen3:8b", "qwen3:4b")  # of the shipped recipes

_Target = Annotated[
    Path, typer.Argument(metavar="RECIPE.toml", help="File to write the recipe to.", parser=typed_path)
]
_Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="For each task a .csv, .tsv, .json, .jsonl or .parquet file, or hf:NAME; learned in this order.",
    ),
]
_Model = Annotated[
    str, typer.Option(metavar="NAME", help="A hub name, a local folder, or 'lab', the embedded model.")
]


def new(target: _Target, files: _Files, model: _Model = MODEL, offline: Offline = False) -> None:
    """Write a recipe for your own files: guess columns, labels and instructions, for you to edit."""
    if target.suffix != ".toml" or not target.parent.is_dir():
        raise SapoLiteError(f"{target}: expected the name of a .toml file in a folder that exists.")
    if target.exists():
        raise SapoLiteError(f"{target} exists. Choose another name, or delete it first.")
    from sapo_lite.data.guess import guess, paired
    from sapo_lite.data.tasks import load_sequence
    from sapo_lite.model.hub import EMBEDDED
    from sapo_lite.recipe import load_recipe
    from sapo_lite.recipe.writing import recipe_for

    guesses = [guess(*task) for task in paired(files)]
    paraphraser = None if model in EMBEDDED else _paraphraser()
    target.write_text(recipe_for(guesses, target, model, paraphraser), encoding="utf-8")
    notices: list[str] = []
    try:  # whatever is wrong with the files is said now, not at the start of a run
        load_sequence(load_recipe(target).sequence, notify=notices.append)
    except SapoLiteError:
        target.unlink()
        raise
    _show(guesses, notices)
    show(f"{target}: read it, then run it with `sapo-lite run {target}`", err=True)


def _paraphraser() -> str | None:
    """A chat model of the Ollama server of this machine, if there is one."""
    from sapo_lite.prompts.sources.ollama_server import OllamaServer, resolve_host

    try:
        server = OllamaServer(resolve_host(None), patience=0)
        server.version()
        return next((name for name in _PARAPHRASERS if server.has(name)), None)
    except ParaphraseError:
        return None


def _show(guesses: "Sequence[Guess]", notices: Sequence[str]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title="guessed", title_justify="left")
    for heading in ("task", "rows", "input", "answer", "kind", "language"):
        table.add_column(heading, overflow="fold")
    for task in guesses:
        kind = f"labels: {', '.join(task.labels)}" if task.labels else "free text"
        table.add_row(task.name, str(task.rows), task.input, task.answer, kind, task.language)
    console = wide_console(sys.stdout)
    console.print(table)
    for notice in notices:
        console.print(f"note: {notice}")
