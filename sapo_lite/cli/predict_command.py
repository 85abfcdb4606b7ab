"""`sapo-lite predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapo_lite.cli.options import OUTPUT, Offline, Plain, RunPath, Stage, TaskName
from sapo_lite.cli.terminal import show, working
from sapo_lite.support.disk import writing_to
from sapo_lite.support.messages import many
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.run.snapshot import Snapshot
    from sapo_lite.types import Task

_File = Annotated[
    Path,
    typer.Argument(help="File of new rows: .jsonl, .json, .csv, .tsv or .parquet.", parser=typed_path),
]
_Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="COLUMN",
        help='Column of the inputs, or a template such as "{title}: {text}".',
        show_default="as in the recipe, or the column with a usual name",
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        help="File to write to, .csv or .jsonl.",
        metavar="FILE",
        parser=typed_path,
        show_default="FILE-TASK.jsonl, or .csv for a table",
        rich_help_panel=OUTPUT,
    ),
]


def predict(
    run: RunPath,
    file: _File,
    task: TaskName = None,
    stage: Stage = None,
    input_name: _Input = None,
    out: _Out = None,
    offline: Offline = False,
    plain: Plain = False,
) -> None:
    """Answer new rows with the model of a run and the wording of a task, with probabilities."""
    from sapo_lite.data.new_rows import read_new_rows
    from sapo_lite.run.predict import PredictionFile, predict_all
    from sapo_lite.run.snapshot import read_snapshot

    snapshot = read_snapshot(run, stage)
    asked = snapshot.task(task)
    target = out or _default(file, asked)
    then = f"the same command goes on where it stopped, and writes {target}"
    with writing_to(target.parent), working(f"predict {asked.name}", plain, then=then) as progress:
        new = read_new_rows(file, input_name or _input_of(snapshot, asked), progress.notice)
        predictions = PredictionFile(target, snapshot, asked, new)
        from sapo_lite.run.answering import load_answers

        predict_all(predictions, load_answers(snapshot, progress), asked, new, progress)
    show(f"{target}: {many(len(new.texts), 'row')} of {asked.name}, answered by {snapshot.label}")


def _input_of(snapshot: "Snapshot", task: "Task") -> str | None:
    """The column or template that the recipe names for the inputs of a task of its own."""
    tables = snapshot.binding.recipe["sequence"].get("task", ())
    return next((table["input"] for table in tables if table["name"] == task.id), None)


def _default(file: Path, task: "Task") -> Path:
    ending = ".csv" if file.suffix.lower() in (".csv", ".tsv") else ".jsonl"
    return Path(f"{file.stem}-{task.key}{ending}")
