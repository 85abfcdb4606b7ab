"""Options that several commands have, each written once."""

from pathlib import Path
from typing import Annotated

import typer

from sapo_lite.support.offline import go_offline
from sapo_lite.support.shipped import typed_path

# Groups of options in the help of a command that has many.
RECIPE, OUTPUT = "Recipe and data", "Output"

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Change a setting of the recipe; repeatable.",
        rich_help_panel=RECIPE,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder that holds SUPERNI/ or TRACE/.",
        rich_help_panel=RECIPE,
        metavar="FOLDER",
        parser=typed_path,
        show_default="$SAPO_LITE_DATA",
    ),
]
Pull = Annotated[
    bool,
    typer.Option(
        "--pull",
        help="Have Ollama fetch the paraphrasing model if it lacks it.",
        rich_help_panel=RECIPE,
    ),
]
Plain = Annotated[
    bool, typer.Option("--plain", help="Plain lines instead of a live display.", rich_help_panel=OUTPUT)
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan; load no model.", rich_help_panel=OUTPUT)
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", parser=typed_path)]

Stage = Annotated[
    int | None,
    typer.Option(
        "--stage",
        metavar="NUMBER",
        min=0,
        help="Number of a stage; 0 is before any training.",
        show_default="the last finished one",
    ),
]
TaskName = Annotated[
    str | None,
    typer.Option(
        "--task", metavar="NAME", help="Task of the run.", show_default="the one that was learned last"
    ),
]


def _asked_offline(offline: bool) -> bool:
    if offline:
        go_offline()
    return offline


# It works by its callback, for all that the command starts: commands do not pass it on.
Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        callback=_asked_offline,
        help="Connect to servers on this machine only.",
        rich_help_panel=RECIPE,
    ),
]
