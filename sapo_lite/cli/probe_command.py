"""`sapo-lite probe`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapo_lite.cli.options import OUTPUT, Data, DryRun, Offline, Plain, Pull, Settings
from sapo_lite.cli.terminal import wide_console, working
from sapo_lite.support.disk import writing_to
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.probe.plan import ProbePlan
    from sapo_lite.probe.results import ProbeResults

_PROBES = "Probes"

_Recipe = Annotated[str, typer.Argument(help="A path to a TOML file, or the name of a shipped recipe.")]
_After = Annotated[
    str | None,
    typer.Option(
        metavar="N,N",
        help="Numbers of tasks that are learned before the one that is probed.",
        show_default="half of the tasks",
        rich_help_panel=_PROBES,
    ),
]
_Seeds = Annotated[
    str, typer.Option(metavar="N", help="Number of seeds, or which seeds: 0-4,7.", rich_help_panel=_PROBES)
]
_Orders = Annotated[
    int, typer.Option(min=1, help="Number of orders of the rows to train in.", rich_help_panel=_PROBES)
]
_Draw = Annotated[
    bool,
    typer.Option(
        "--draw",
        help="Draw the order of the tasks and the examples by the seed, too.",
        rich_help_panel=_PROBES,
    ),
]
_State = Annotated[
    str,
    typer.Option(
        metavar="STRATEGY", help="Strategy that the tasks before are learned with.", rich_help_panel=_PROBES
    ),
]
_Accuracy = Annotated[
    bool,
    typer.Option(
        "--accuracy", help="Also let every candidate answer the scoring examples.", rich_help_panel=_PROBES
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the probes to write to.",
        metavar="FOLDER",
        parser=typed_path,
        show_default="runs/probe-RECIPE-SETTINGS",
        rich_help_panel=OUTPUT,
    ),
]


def probe(
    recipe: _Recipe,
    after: _After = None,
    seeds: _Seeds = "3",
    orders: _Orders = 2,
    draw: _Draw = False,
    state: _State = "fixed",
    accuracy: _Accuracy = False,
    settings: Settings = None,
    out: _Out = None,
    data: Data = None,
    pull: Pull = False,
    dry_run: DryRun = False,
    offline: Offline = False,
    plain: Plain = False,
) -> None:
    """Learn a task with each of its candidates from one state, and test what each does to the others."""
    from sapo_lite.probe.plan import make_plan
    from sapo_lite.probe.run import Measure

    plan = make_plan(
        recipe,
        settings or (),
        seeds=seeds,
        draw=draw,
        state=state,
        after=after,
        measure=Measure(orders, accuracy),
        out=out,
        data=data,
    )
    stdout = wide_console(sys.stdout)
    if dry_run:
        from sapo_lite.report.probe_plan_view import probe_plan

        stdout.print(probe_plan(plan))
        return
    found = _run(plan, pull=pull, plain=plain)
    from sapo_lite.report.probe_view import probe_summary

    stdout.print(probe_summary(found, plan.out))


def _run(plan: "ProbePlan", *, pull: bool, plain: bool) -> "list[ProbeResults]":
    from sapo_lite.probe.execution import run_probes

    then = "the same command goes on where it stopped"
    with writing_to(plan.out), working(f"probe {plan.recipe.name}", plain, then=then) as progress:
        for note in plan.notes:
            progress.notice(note)
        return run_probes(plan, progress, pull=pull)
