"""`sapo-lite score`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sapo_lite.cli.terminal import display, interruptible, is_stdout, wide_console, write_json
from sapo_lite.prompts.sources import SOURCES
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.leaderboard.command import Request

_BACKENDS = [name for name, source in SOURCES.items() if source.stands_alone]


def score(
    model: Annotated[str, typer.Argument(help="A hub name, a local folder, or 'lab', the embedded model.")],
    examples: Annotated[
        Path,
        typer.Argument(help="File of examples: .jsonl, .json, .csv or .tsv.", parser=typed_path),
    ],
    prompts: Annotated[
        Path | None,
        typer.Argument(
            help="File of prompts, the original first: text, one a line; a .json list; or a candidates file.",
            parser=typed_path,
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help="Task of a candidates file that has several.")
    ] = None,
    instruction: Annotated[str | None, typer.Option(help="Original prompt.")] = None,
    generate: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Score N paraphrases of --instruction.")
    ] = None,
    backend: Annotated[
        str, typer.Option(metavar="|".join(_BACKENDS), help="Source of the paraphrases.")
    ] = "ollama",
    paraphraser: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the paraphrasing model in Ollama.")
    ] = None,
    adapter: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a PEFT adapter to put on the model.", metavar="FOLDER", parser=typed_path
        ),
    ] = None,
    suffix: Annotated[str, typer.Option(help="Text that closes every prompt, after the input.")] = "",
    limit: Annotated[
        int, typer.Option("--examples", min=1, help="Number of examples to use, from the first on.")
    ] = 250,
    race: Annotated[
        bool, typer.Option("--race/--all", help="Drop prompts that are clearly not the best, or score all.")
    ] = True,
    input_name: Annotated[str | None, typer.Option("--input", help="Column of the inputs.")] = None,
    answer_name: Annotated[str | None, typer.Option("--answer", help="Column of the answers.")] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Length in tokens to cut inputs to.", show_default="what the model reads"),
    ] = None,
    quantization: Annotated[
        Literal["none", "nf4"] | None,
        typer.Option(help="Load the weights in 4 bits, or not.", show_default="as it is stored"),
    ] = None,
    dtype: Annotated[
        Literal["bfloat16", "float32"] | None,
        typer.Option(help="Number format to compute in.", show_default="float32 on a CPU"),
    ] = None,
    loader: Annotated[
        Literal["transformers", "unsloth"], typer.Option(help="Library that loads the model.")
    ] = "transformers",
    seed: Annotated[int, typer.Option(help="Seed of the paraphrases and of the order of a race.")] = 0,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", parser=typed_path, help="Write the result as JSON; - for stdout."
        ),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of a live display.")] = False,
) -> None:
    """Rank prompts by their answer loss under a model as it is: a leaderboard for your own trainer."""
    from sapo_lite.leaderboard.command import Request

    request = Request(
        model=model,
        examples=examples,
        prompts=prompts,
        task=task,
        instruction=instruction,
        generate=generate,
        backend=backend,
        paraphraser=paraphraser,
        adapter=adapter,
        suffix=suffix,
        limit=limit,
        race=race,
        input_name=input_name,
        answer_name=answer_name,
        max_tokens=max_tokens,
        quantization=quantization,
        dtype=dtype,
        loader=loader,
        seed=seed,
    )
    _score(request, json_file, plain)


def _score(request: "Request", json_file: Path | None, plain: bool) -> None:
    from sapo_lite.leaderboard import command
    from sapo_lite.report.tables import leaderboard_view
    from sapo_lite.support.library_logs import chatter_to

    on_stdout = is_stdout(json_file)
    # Made before stdout and stderr are taken from the libraries.
    table = wide_console(sys.stderr if on_stdout else sys.stdout)
    with (
        interruptible("no result was written"),
        display(f"score {request.model}", plain) as progress,
        chatter_to(Path(os.devnull)),
    ):
        result = command.score(request, progress)
    table.print(leaderboard_view(result.board))
    if json_file is not None:
        write_json(json_file, result.to_json())
