"""`sapo-lite doctor`."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from sapo_lite.cli.options import Offline, Plain
from sapo_lite.cli.terminal import wide_console, working
from sapo_lite.support.foreign_text import escaped_json

_Gpu = Annotated[bool, typer.Option("--gpu", help="Learn two small tasks on the GPU with each loader, too.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of a table.")]


def doctor(gpu: _Gpu = False, as_json: _Json = False, offline: Offline = False, plain: Plain = False) -> None:
    """Check this installation and machine, and say how to mend what is wrong.

    The exit status is 1 if a check failed. Keys are looked for and never shown.
    """
    console = wide_console(sys.stdout)  # made before `working` redirects stdout, which libraries write to
    with working("doctor", plain, then="nothing was changed") as progress:
        progress.stage("checking")
        from sapo_lite.run.doctor.diagnosis import diagnose

        checks = diagnose(on_gpu=gpu, report=lambda check: progress.stage(f"checked {check.name}"))
    if as_json:
        content = {"checks": [asdict(check) for check in checks]}
        typer.echo(escaped_json(json.dumps(content, indent=2, ensure_ascii=False)))
    else:
        from sapo_lite.report.doctor_view import doctor_view

        console.print(doctor_view(checks))
    raise typer.Exit(int(any(check.state == "fail" for check in checks)))
