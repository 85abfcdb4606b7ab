"""`sapo-lite export`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sapo_lite.cli.options import OUTPUT, Offline, Plain, RunPath, Stage
from sapo_lite.cli.terminal import show, wide_console, working
from sapo_lite.run.export import Form
from sapo_lite.support.disk import writing_to
from sapo_lite.support.shipped import typed_path

_To = Annotated[
    Form,
    typer.Option(
        help="PEFT adapter, whole model in 16 bits, GGUF file, Modelfiles for Ollama, or adapter for the hub."
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder to write to.",
        metavar="FOLDER",
        parser=typed_path,
        show_default="exports/RUN-STAGE-FORM",
        rich_help_panel=OUTPUT,
    ),
]
_Quant = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE",
        help="Number format of a GGUF: f16, q8_0, or one of llama-quantize, such as q4_k_m.",
        show_default="f16",
    ),
]
_Check = Annotated[
    int, typer.Option(min=0, metavar="N", help="Number of stored answers to ask again from the export.")
]
_Create = Annotated[bool, typer.Option("--create", help="Create the models in Ollama, too.")]
_Push = Annotated[
    str | None,
    typer.Option(
        metavar="OWNER/NAME", help="Upload the export to the Hugging Face hub, as a private repository."
    ),
]


def export(
    run: RunPath,
    to: _To,
    stage: Stage = None,
    out: _Out = None,
    quant: _Quant = None,
    check: _Check = 50,
    create: _Create = False,
    push: _Push = None,
    offline: Offline = False,
    plain: Plain = False,
) -> None:
    """Write what a run has learned in a form for other programs, and ask stored answers again from it."""
    from sapo_lite.run.export.push import push as upload
    from sapo_lite.run.export.push import require_push
    from sapo_lite.run.snapshot import read_snapshot

    snapshot = read_snapshot(run, stage)
    if push is not None:
        require_push(push)
    folder = out or Path("exports") / f"{run.resolve().name}-{snapshot.number}-{to}"
    then = f"{folder} is complete if it is there"
    with writing_to(folder), working(f"export {run.name}", plain, then=then) as progress:
        progress.stage("starting")
        from sapo_lite.run.export.export import export as write

        made = write(snapshot, to, folder, progress, quant=quant, check=check, create=create)
        address = upload(folder, push) if push is not None else None
    from sapo_lite.report.export_view import export_view

    wide_console(sys.stdout).print(export_view(made, snapshot))
    if address:
        show(f"uploaded to {address}")
