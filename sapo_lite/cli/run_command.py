"""`sapo-lite run`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapo_lite.cli.options import OUTPUT, RECIPE, Data, DryRun, Offline, Plain, Pull, Settings
from sapo_lite.cli.terminal import wide_console, working
from sapo_lite.support.disk import writing_to
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.recipe import Recipe

_Recipe = Annotated[str, typer.Argument(help="A path to a TOML file, or the name of a shipped recipe.")]
_Out = Annotated[
    Path | None,
    typer.Option(
        help="Run folder to write to.",
        metavar="FOLDER",
        parser=typed_path,
        show_default="runs/RECIPE-TIME",
        rich_help_panel=OUTPUT,
    ),
]
_Resume = Annotated[
    bool | None,
    typer.Option(
        "--resume/--fresh",
        help="Go on with the latest run, or discard what --out holds.",
        rich_help_panel=OUTPUT,
    ),
]
_AcceptEdits = Annotated[
    bool,
    typer.Option(
        "--accept-edits",
        help="Take candidates edited by hand; what was made from the old is made again.",
        rich_help_panel=OUTPUT,
    ),
]
_Processes = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="Processes that compute together, each on a GPU of its own where there are any.",
        rich_help_panel=RECIPE,
    ),
]
_Vram = Annotated[
    float | None,
    typer.Option(
        min=0.5,
        metavar="GB",
        help="Gigabytes of the GPU's memory that the run may use.",
        show_default="all that is free",
        rich_help_panel=RECIPE,
    ),
]


def run(
    recipe: _Recipe,
    settings: Settings = None,
    out: _Out = None,
    data: Data = None,
    resume: _Resume = None,
    accept_edits: _AcceptEdits = False,
    pull: Pull = False,
    processes: _Processes = 1,
    vram: _Vram = None,
    offline: Offline = False,
    dry_run: DryRun = False,
    plain: Plain = False,
) -> None:
    """Learn a sequence of tasks as a recipe says, and report what was learned and forgotten."""
    from sapo_lite.recipe import load_recipe

    loaded = load_recipe(recipe, settings or [])
    if dry_run:
        _print_plan(loaded, data)
    else:
        _run(
            loaded,
            out=out,
            data=data,
            resume=resume,
            accept_edits=accept_edits,
            pull=pull,
            processes=processes,
            vram=vram,
            plain=plain,
        )


def _print_plan(recipe: "Recipe", data: Path | None) -> None:
    from sapo_lite.report.plan_view import plan
    from sapo_lite.run.checks import as_notices, findings_of_examples
    from sapo_lite.run.tasks import load_run_tasks

    notices: list[str] = []
    console = wide_console(sys.stdout)
    tasks = load_run_tasks(recipe.sequence, data, notices.append)
    console.print(plan(recipe, tasks))
    for notice in [*notices, *as_notices(findings_of_examples(tasks, metrics=False))]:
        console.print(f"note: {notice}")


def _run(
    recipe: "Recipe",
    *,
    out: Path | None,
    data: Path | None,
    resume: bool | None,
    accept_edits: bool,
    pull: bool,
    processes: int,
    vram: float | None,
    plain: bool,
) -> None:
    from sapo_lite.run.folder import RunFolder, choose_folder, read_usage
    from sapo_lite.run.paths import LOG
    from sapo_lite.run.start import finished_results

    path = choose_folder(recipe.name, out, resume=resume)
    fresh = resume is False
    stdout = wide_console(sys.stdout)
    results = None if fresh or accept_edits else finished_results(recipe, path, data)
    if results is None:
        if vram is not None:
            from sapo_lite.model.memory import cap_memory

            cap_memory(vram)
        then = f"the same command with --out {path} goes on where it stopped"
        with (
            writing_to(path),
            RunFolder(path, fresh=fresh) as folder,
            working(recipe.name, plain, then=then, log=path / LOG) as progress,
        ):
            progress.stage("starting")
            from sapo_lite.model.notices import noticed
            from sapo_lite.run.pipeline import run as run_pipeline

            with noticed(progress.notice):
                results = run_pipeline(
                    recipe,
                    folder,
                    progress,
                    data,
                    pull=pull,
                    accept_edits=accept_edits,
                    processes=processes,
                )
            from sapo_lite.report.write_report import write_report

            try:
                write_report(path)
            except OSError as error:  # the run is finished all the same
                progress.notice(f"no report ({error.strerror}); `sapo-lite report {path}` writes it later")
    from sapo_lite.report.run_summary import summary

    stdout.print(summary(results, read_usage(path), path))
