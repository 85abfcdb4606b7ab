"""`sapo-lite data check`."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapo_lite.cli.failures import show_error
from sapo_lite.cli.options import OUTPUT, Data, Offline, Plain, Settings
from sapo_lite.cli.terminal import is_stdout, wide_console, working, write_json
from sapo_lite.errors import BackboneError, SapoLiteError
from sapo_lite.support.messages import many
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.model.chat import ChatFormat
    from sapo_lite.recipe import ModelConfig, SequenceConfig

_NAMED = 3  # tasks that a note lists

_What = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE|FOLDER", help="A recipe, or the folder of a suite or of one of its tasks."
    ),
]
_Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Model whose tokens are counted.", show_default="the recipe's; of a folder, none"
    ),
]
_JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        parser=typed_path,
        help="Write all as JSON; - for stdout.",
        rich_help_panel=OUTPUT,
    ),
]


def check(
    what: _What,
    settings: Settings = None,
    data: Data = None,
    model: _Model = None,
    json_file: _JsonFile = None,
    offline: Offline = False,
    plain: Plain = False,
) -> None:
    """Check data before it is learned: labels, duplicates, leaks, order, lengths, cut inputs, the metric.

    The exit status is 0 if nothing was found, 1 if something was, and 2 if the data cannot be used.
    """
    on_stdout = is_stdout(json_file)
    # Made before `working` redirects stdout and stderr, which libraries write to.
    console = wide_console(sys.stderr if on_stdout else sys.stdout)
    notes: list[str] = []
    try:
        with working(f"check {what}", plain, then="nothing was written") as progress:
            from sapo_lite.run.data_check import check_sequence, exit_code

            progress.stage("reading")
            sequence, place, config = _asked(what, settings or [], data, model, notes.append)
            chat = _chat_format(config, notes.append, required=model is not None)
            checked = []
            for task in check_sequence(sequence, chat, place, notes.append):
                progress.stage(f"checked {task.task}")
                checked.append(task)
    except SapoLiteError as error:
        show_error(str(error))
        raise typer.Exit(2) from None
    from sapo_lite.report.check_view import check_view

    console.print(check_view(checked, notes))
    if json_file is not None:
        content = {"tasks": [asdict(task) for task in checked], "notes": notes}
        write_json(json_file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    raise typer.Exit(exit_code(checked))


def _asked(
    what: str, settings: list[str], data: Path | None, model: str | None, note: Callable[[str], None]
) -> "tuple[SequenceConfig, Path | None, ModelConfig | None]":
    """The tasks to check, the folder of their suites, and the model, if one is named."""
    from sapo_lite.recipe import ModelConfig, load_recipe
    from sapo_lite.run.data_check import suite_of

    folder = typed_path(what)
    if not folder.is_dir():
        recipe = load_recipe(what, settings)
        config = recipe.model if model is None else recipe.model.model_copy(update={"name": model})
        return recipe.sequence, data, config
    sequence, suite, missing = suite_of(folder)
    if missing:
        tasks = f"{many(len(missing), 'task')} of instructions.json {'has' if len(missing) == 1 else 'have'}"
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        note(f"{tasks} no folder here: {', '.join(missing[:_NAMED])}{more}")
    return sequence, suite, None if model is None else ModelConfig(name=model)


def _chat_format(
    config: "ModelConfig | None", note: Callable[[str], None], *, required: bool
) -> "ChatFormat | None":
    """The model's chat format. Without its tokenizer, and if none is `required`, lengths are not checked."""
    if config is None:
        return None
    from sapo_lite.model.tokenizer import load_chat_format

    try:
        return load_chat_format(config)
    except BackboneError as error:
        if required:
            raise
        note(f"lengths and cut inputs are not checked: {error}")
        return None
