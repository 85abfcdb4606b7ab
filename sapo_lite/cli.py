"""The command line. The only place that prints errors; nothing heavy is imported before it is needed."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from sapo_lite import __version__
from sapo_lite.errors import SapoLiteError
from sapo_lite.terminal import display, interruptible, wide_console

if TYPE_CHECKING:
    from sapo_lite.leaderboard.command import Request
    from sapo_lite.recipe import Recipe

app = typer.Typer(
    name="sapo-lite",
    help="Prompt-aware continual fine-tuning on one GPU: learn tasks in a row, choosing for each the "
    "wording of its instruction that forgets least (SAPO, State-Adaptive Prompt Optimization).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
recipes_app = typer.Typer(help="List, show or copy the shipped recipes.", invoke_without_command=True)
app.add_typer(recipes_app, name="recipes")


def main() -> None:
    """Entry point of the installed command and of cli.py."""
    # OpenMP threads that spin while they wait cost several times the work on a machine that has
    # anything else to do. Read when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        app()
    except SapoLiteError as error:
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        console.print(f"error: {error}", style="red", markup=False)
        raise SystemExit(1) from None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sapo-lite {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A path to a TOML file, or the name of a shipped recipe.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder.", show_default="runs/RECIPE-TIME")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that holds SUPERNI/ or TRACE/.", show_default="$SAPO_LITE_DATA"),
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option("--resume/--fresh", help="Go on with the latest run, or discard what --out holds."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; load no model.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of a live display.")] = False,
) -> None:
    """Learn a sequence of tasks as a recipe says, and report what was learned and forgotten."""
    from sapo_lite.recipe import load_recipe

    loaded = load_recipe(recipe, settings or [])
    if dry_run:
        _print_plan(loaded, data)
    else:
        _run(loaded, out=out, data=data, resume=resume, plain=plain)


def _print_plan(recipe: "Recipe", data: Path | None) -> None:
    from sapo_lite.summary import plan
    from sapo_lite.tasks import load_sequence

    Console().print(plan(recipe, load_sequence(recipe.sequence, data)))


def _run(recipe: "Recipe", *, out: Path | None, data: Path | None, resume: bool | None, plain: bool) -> None:
    from sapo_lite.quiet import chatter_to
    from sapo_lite.rundir import RunFolder, choose_folder

    path = choose_folder(recipe.name, out, resume=resume)
    stdout = Console()
    with (
        RunFolder(path, fresh=resume is False) as folder,
        interruptible(f"the same command with --out {path} goes on where it stopped"),
        display(recipe.name, plain) as show,
        chatter_to(path / "log.txt"),
    ):
        show.stage("starting")
        from sapo_lite.pipeline import run as run_pipeline

        results = run_pipeline(recipe, folder, show, data)
        usage = folder.usage
    from sapo_lite.summary import summary

    stdout.print(summary(results, usage, path))


@app.command()
def score(
    model: Annotated[str, typer.Argument(help="A hub name, a local folder, or 'lab', the embedded model.")],
    examples: Annotated[Path, typer.Argument(help="Examples: a .jsonl, .json, .csv or .tsv file.")],
    prompts: Annotated[
        Path | None, typer.Argument(help="Prompts: a text file, one a line, or a .json list. Original first.")
    ] = None,
    instruction: Annotated[str | None, typer.Option(help="The original prompt.")] = None,
    generate: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Score N paraphrases of --instruction.")
    ] = None,
    backend: Annotated[Literal["ollama", "builtin"], typer.Option(help="Who paraphrases.")] = "ollama",
    paraphraser: Annotated[str | None, typer.Option(metavar="NAME", help="Model in Ollama.")] = None,
    adapter: Annotated[Path | None, typer.Option(help="Folder of a PEFT adapter to put on it.")] = None,
    suffix: Annotated[str, typer.Option(help="Closes every prompt, after the input.")] = "",
    limit: Annotated[int, typer.Option("--examples", min=1, help="Use the first so many examples.")] = 250,
    race: Annotated[
        bool, typer.Option("--race/--all", help="Drop prompts that are clearly not the best, or score all.")
    ] = True,
    input_name: Annotated[str | None, typer.Option("--input", help="Column of the inputs.")] = None,
    answer_name: Annotated[str | None, typer.Option("--answer", help="Column of the answers.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Cut longer inputs.", show_default="what the model reads")
    ] = None,
    quantization: Annotated[
        Literal["none", "nf4"] | None, typer.Option(help="4 bits, or not.", show_default="as it is stored")
    ] = None,
    dtype: Annotated[
        Literal["bfloat16", "float32"] | None,
        typer.Option(help="What it computes in.", show_default="float32 on a CPU"),
    ] = None,
    loader: Annotated[
        Literal["transformers", "unsloth"], typer.Option(help="What loads it.")
    ] = "transformers",
    seed: Annotated[int, typer.Option(help="Of paraphrases, and of the order of a race.")] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; - for stdout.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of a live display.")] = False,
) -> None:
    """Rank prompts by their answer loss under a model as it is: a leaderboard for your own trainer."""
    from sapo_lite.leaderboard.command import Request

    request = Request(
        model=model,
        examples=examples,
        prompts=prompts,
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
    from sapo_lite.quiet import chatter_to

    on_stdout = json_file == Path("-")
    if json_file is not None and (json_file.is_dir() or not json_file.parent.is_dir()):
        raise SapoLiteError(f"--json {json_file}: expected the name of a file in a folder that exists.")
    # Made before stdout and stderr are taken from the libraries.
    table = wide_console(sys.stderr if on_stdout else sys.stdout)
    with (
        interruptible("nothing was written"),
        display(f"score {request.model}", plain) as show,
        chatter_to(Path(os.devnull)),
    ):
        result = command.score(request, show)
    table.print(result.board)
    if on_stdout:
        typer.echo(result.to_json(), nl=False)
    elif json_file is not None:
        try:
            json_file.write_text(result.to_json(), encoding="utf-8")
        except OSError as error:
            raise SapoLiteError(f"--json {json_file}: cannot be written ({error.strerror})") from None


@recipes_app.callback()
def recipes(context: typer.Context) -> None:
    """List the shipped recipes."""
    if context.invoked_subcommand:
        return
    from sapo_lite.recipe import describe, shipped_recipes

    table = Table(box=None, pad_edge=False, show_header=False)
    for path in shipped_recipes():
        table.add_row(f"[bold]{path.stem}[/]", describe(path))
    Console().print(table)


@recipes_app.command()
def show(name: Annotated[str, typer.Argument(help="Name of a shipped recipe.")]) -> None:
    """Print a shipped recipe."""
    from sapo_lite.recipe import recipe_text

    typer.echo(recipe_text(name), nl=False)


@recipes_app.command()
def copy(
    name: Annotated[str, typer.Argument(help="Name of a shipped recipe.")],
    path: Annotated[Path, typer.Argument(help="Where to write it; a folder keeps the name.")],
) -> None:
    """Copy a shipped recipe to edit it. An existing file is not overwritten."""
    from sapo_lite.recipe import find_recipe

    source = find_recipe(name)
    target = path / source.name if path.is_dir() else path
    if target.exists():
        raise SapoLiteError(f"{target} exists. Choose another path, or delete it first.")
    shutil.copyfile(source, target)
    typer.echo(f"{target}: run it with `sapo-lite run {target}`", err=True)
