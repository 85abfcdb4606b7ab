"""`sapo-lite diff`."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapo_lite.cli.options import RunPath
from sapo_lite.cli.terminal import is_stdout, wide_console, write_json
from sapo_lite.errors import RecipeError
from sapo_lite.support.messages import nearest, one_of
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.evaluation.flips import Flip

_Stages = Annotated[
    list[int] | None,
    typer.Option(
        "--stage",
        metavar="NUMBER",
        min=0,
        help="Stage to compare, given twice; 0 is before any training.",
        show_default="the one in which a task was learned, and the last",
    ),
]
_Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        metavar="NAME",
        help="Task, or what is watched; repeatable.",
        show_default="all tasks that are learned",
    ),
]
_Kind = Annotated[
    str | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="Kind of prompt that the tasks were tested with, such as original or chosen.",
        show_default="the first that the run was tested with",
    ),
]
_Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write all rows as JSON; - for stdout.", parser=typed_path),
]


def diff(
    run: RunPath,
    stage: _Stages = None,
    task: _Tasks = None,
    kind: _Kind = None,
    json_file: _Json = None,
) -> None:
    """List the test rows whose score changed between two stages of a run, the largest losses first."""
    from sapo_lite.run.overview import read_overview
    from sapo_lite.run.read_run import changed_rows, read_stages

    on_stdout = is_stdout(json_file)
    numbers = sorted(stage or [])
    if len(numbers) not in (0, 2):
        raise RecipeError(f"--stage: expected it twice or not at all, found {len(numbers)} of them")
    first, last = numbers or (None, None)
    found, stages = read_overview(run), read_stages(run)
    watched = [name for read in stages[:1] if read.record for name in read.record.watched]
    for name in task or ():
        _require_known("--task", name, [*found.task_metrics, *watched])
    if kind is not None:
        kinds = {tested: None for read in stages if read.record for tested in read.record.scores}
        _require_known("--kind", kind, list(kinds))
    changes = {name: changed_rows(stages, name, first, last, kind) for name in task or found.task_metrics}
    if json_file is not None:
        write_json(json_file, _as_json(changes))
    if not on_stdout:
        from sapo_lite.report.looking_view import changed_rows_view

        since = f"from stage {first} to stage {last}" if numbers else "since it was learned"
        since += f", {kind} prompts" if kind else ""
        wide_console(sys.stdout).print(changed_rows_view(changes, stages, since))


def _require_known(option: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        close = nearest(name, known)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise RecipeError(f"{option}: expected {one_of(known)}, found {name}{hint}")


def _as_json(changes: "Mapping[str, Sequence[Flip]]") -> str:
    rows = [asdict(flip) for found in changes.values() for flip in found]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
