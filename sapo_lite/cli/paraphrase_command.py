"""`sapo-lite paraphrase`."""

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapo_lite.cli.options import OUTPUT, Data, Offline, Plain, Pull, Settings
from sapo_lite.cli.terminal import is_stdout, wide_console, working, write_json
from sapo_lite.errors import RecipeError
from sapo_lite.prompts.sources import SOURCES
from sapo_lite.support.foreign_text import visible
from sapo_lite.support.messages import one_of, quoted
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.prompts.pool import Pool

_SOURCE = "Source"

_What = Annotated[
    str, typer.Argument(metavar="INSTRUCTION|RECIPE", help="A text in quotes, or a recipe's name or path.")
]
_Count = Annotated[
    int | None, typer.Option("--count", "-n", help="Number of paraphrases to make.", show_default="20")
]
_Labels = Annotated[str, typer.Option(metavar="A,B,C", help="Labels to keep letter for letter.")]
_Backend = Annotated[
    list[str] | None,
    typer.Option(
        help=f"Source of paraphrases: {one_of(SOURCES)}; or ollama/MODEL; repeatable.",
        show_default="ollama",
        rich_help_panel=_SOURCE,
    ),
]
_Model = Annotated[
    str | None,
    typer.Option(
        help="Name of the chat model.", show_default="qwen3:8b, or the recipe's", rich_help_panel=_SOURCE
    ),
]
_Host = Annotated[
    str | None,
    typer.Option(help="Address of the Ollama server.", show_default="$OLLAMA_HOST", rich_help_panel=_SOURCE),
]
_BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="Address of an OpenAI-compatible server; its key is $OPENAI_API_KEY.", rich_help_panel=_SOURCE
    ),
]
_File = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="File of candidates, for --backend file.", rich_help_panel=_SOURCE),
]
_Temperature = Annotated[
    float | None,
    typer.Option(help="Sampling temperature of the chat model.", show_default="0.6", rich_help_panel=_SOURCE),
]
_Seed = Annotated[
    int | None, typer.Option(help="Seed of everything that is drawn.", show_default="0, or the recipe's")
]
_Unlike = Annotated[
    bool | None,
    typer.Option(
        "--unlike", help="Show the model what it has said, and ask for another.", rich_help_panel=_SOURCE
    ),
]
_Fresh = Annotated[
    bool, typer.Option("--fresh", help="Ask again for what earlier runs have saved.", rich_help_panel=_SOURCE)
]
_JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        parser=typed_path,
        help="Write a candidates file; - for stdout.",
        rich_help_panel=OUTPUT,
    ),
]


def paraphrase(
    what: _What,
    count: _Count = None,
    labels: _Labels = "",
    backend: _Backend = None,
    model: _Model = None,
    host: _Host = None,
    base_url: _BaseUrl = None,
    path: _File = None,
    temperature: _Temperature = None,
    seed: _Seed = None,
    unlike: _Unlike = None,
    settings: Settings = None,
    data: Data = None,
    pull: Pull = False,
    fresh: _Fresh = False,
    json_file: _JsonFile = None,
    offline: Offline = False,
    plain: Plain = False,
) -> None:
    """Other wordings of an instruction, or of all tasks of a recipe ahead of its run."""
    on_stdout = is_stdout(json_file)
    given: dict[str, object] = {"count": count, "backend": backend, "model": model, "host": host}
    given |= {"base_url": base_url, "path": path, "temperature": temperature, "unlike": unlike}
    section = {key: value for key, value in given.items() if value is not None}
    named = [label.strip() for label in labels.split(",") if label.strip()]
    if count is not None and count < 1:
        raise RecipeError(f"--count: expected a whole number of at least 1, found {count}")
    from sapo_lite.prompts.pool import candidates_file, pools_to_text
    from sapo_lite.report.tables import pool_table
    from sapo_lite.run.paraphrase_ahead import paraphrase_instruction, paraphrase_recipe

    make: Callable[..., list[Pool]]
    if _is_recipe(what):
        if named:
            raise RecipeError(
                "--labels belongs to an instruction; the tasks of a recipe have labels of their own"
            )
        seeded = [*(settings or []), *([] if seed is None else [f"seed={seed}"])]
        make = partial(paraphrase_recipe, what, seeded, section, data=data)
    else:
        if settings or data:
            raise RecipeError(f"--set and --data belong to a recipe; found an instruction, {quoted(what)}")
        make = partial(paraphrase_instruction, what, named, section, seed=seed or 0)
    # Made before `working` redirects stdout and stderr, which libraries write to.
    tables = wide_console(sys.stderr)
    with working("paraphrase", plain, then="the same command goes on where it stopped") as progress:
        pools = make(fresh=fresh, pull=pull, progress=progress)
    # On a terminal, the table omits accepted texts: they are printed in full below.
    accepted = on_stdout or not sys.stdout.isatty()
    for pool in pools:
        tables.print(pool_table(pool.task, pool.candidates, pool.rejected, accepted=accepted))
    if not on_stdout:
        typer.echo(visible(pools_to_text(pools)), nl=False)
    if json_file is not None:
        write_json(json_file, candidates_file(pools))


def _is_recipe(what: str) -> bool:
    """Whether the argument means a recipe, by name or path, and not an instruction."""
    return what.endswith(".toml") or re.fullmatch(r"[a-z0-9_./~-]*[a-z0-9_]", what) is not None
