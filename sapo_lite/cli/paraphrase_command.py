"""`sapo-lite paraphrase`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapo_lite.cli.terminal import display, interruptible, is_stdout, wide_console, write_json
from sapo_lite.prompts.sources import SOURCES
from sapo_lite.support.messages import one_of
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.prompts.command import Request


def paraphrase(
    what: Annotated[
        str,
        typer.Argument(metavar="INSTRUCTION|RECIPE", help="A text in quotes, or a recipe's name or path."),
    ],
    count: Annotated[
        int | None, typer.Option("--count", "-n", help="Number of paraphrases to make.", show_default="20")
    ] = None,
    labels: Annotated[str, typer.Option(metavar="A,B,C", help="Labels to keep letter for letter.")] = "",
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Source of paraphrases: {one_of(SOURCES)}; or ollama/MODEL; repeatable.",
            show_default="ollama",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Name of the chat model.", show_default="qwen3:8b, or the recipe's")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address of the Ollama server.", show_default="$OLLAMA_HOST")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Address of an OpenAI-compatible server; its key is $OPENAI_API_KEY.")
    ] = None,
    path: Annotated[
        str | None, typer.Option(metavar="FILE", help="File of candidates, for --backend file.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Sampling temperature of the chat model.", show_default="0.6")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of everything that is drawn.", show_default="0, or the recipe's")
    ] = None,
    unlike: Annotated[
        bool | None, typer.Option("--unlike", help="Show the model what it has said, and ask for another.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION.KEY=VALUE", help="Change a setting of the recipe; repeatable."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder that holds the recipe's SUPERNI/ or TRACE/.", metavar="FOLDER", parser=typed_path
        ),
    ] = None,
    pull: Annotated[bool, typer.Option("--pull", help="Have Ollama fetch the model if it lacks it.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask again for what earlier runs have saved.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", parser=typed_path, help="Write a candidates file; - for stdout."
        ),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of a live display.")] = False,
) -> None:
    """Other wordings of an instruction, or of all tasks of a recipe ahead of its run."""
    from sapo_lite.prompts.command import Request

    options = {
        "count": count,
        "backend": backend,
        "model": model,
        "host": host,
        "base_url": base_url,
        "path": path,
        "temperature": temperature,
        "unlike": unlike,
    }
    request = Request(
        what=what,
        labels=[label.strip() for label in labels.split(",") if label.strip()],
        settings={key: value for key, value in options.items() if value is not None},
        overrides=settings or [],
        data=data,
        seed=seed,
        fresh=fresh,
        pull=pull,
    )
    _paraphrase(request, json_file, plain)


def _paraphrase(request: "Request", json_file: Path | None, plain: bool) -> None:
    from sapo_lite.prompts import command
    from sapo_lite.report.tables import pool_table
    from sapo_lite.support.library_logs import chatter_to

    on_stdout = is_stdout(json_file)
    # Made before stdout and stderr are taken from the libraries.
    tables = wide_console(sys.stderr)
    with (
        interruptible("the same command goes on where it stopped"),
        display("paraphrase", plain) as progress,
        chatter_to(Path(os.devnull)),
    ):
        pools = command.paraphrase(request, progress)
    for pool in pools:
        # On a terminal the accepted texts follow in full.
        listed = on_stdout or not sys.stdout.isatty()
        tables.print(pool_table(pool.task, pool.candidates, pool.rejected, accepted=listed))
    if not on_stdout:
        typer.echo(command.as_text(pools), nl=False)
    if json_file is not None:
        write_json(json_file, command.as_json(pools))
