"""Inputs of a run besides its recipe, identified by content: data, model, file of candidates, metrics."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.data.watch_sets import is_set, set_file
from sapo_lite.errors import RecipeError, RunFolderError
from sapo_lite.evaluation.own_metrics import metric_file, shown_name
from sapo_lite.model.identity import model_identity
from sapo_lite.run.binding import Inputs, is_run, read_binding
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.other_run import other_prompts, prompts_hash
from sapo_lite.support.files import sha256
from sapo_lite.types import Task, learned_tasks

if TYPE_CHECKING:
    from sapo_lite.recipe import Recipe


# The prompts of the run in evaluation.other_run. They change the tests of kind "other" only.
OTHER_RUN = "the other run"
# Not an input that could be read again, but like one it must stay the same in a run and among runs compared.
_METRIC = "the metric of "
_CHOICE, _FORMAT = 'what model.dtype = "auto" chose', "number format"


def chosen_format(path: Path) -> Inputs:
    """The number format that was chosen for the run in a folder, as an input; empty if none was."""
    known = read_binding(path).inputs if is_run(path) else {}
    return {_CHOICE: known[_CHOICE]} if _CHOICE in known else {}


def kept_format(path: Path) -> str | None:
    """The number format that was chosen for the run in a folder, or None."""
    return chosen_format(path).get(_CHOICE, {}).get(_FORMAT)


def inputs_of(recipe: "Recipe", tasks: Sequence[Task] = ()) -> Inputs:
    """Hashes of the model, of its chat template's file and of the file of candidates, and the tasks' metrics.

    By name. They are empty for what is not on this disk yet.
    """
    found = {f"the model {recipe.model.name}": model_identity(recipe.model.name)}
    if recipe.wants_candidates and "file" in recipe.paraphrase.backend:
        content: dict[str, str] = {}
        with contextlib.suppress(RecipeError, OSError):  # the source of candidates says what is wrong
            content = {"content": sha256(recipe.paraphrase.candidates_file())}
        found[f"the file of candidates {recipe.paraphrase.path}"] = content
    with contextlib.suppress(RecipeError, OSError):  # the loader of the model says what is wrong
        if template := recipe.model.template_file():
            found[f"the chat template {recipe.model.chat_template}"] = {"content": sha256(template)}
    for name in filter(is_set, recipe.sequence.watch):
        if watched := set_file(name, recipe.sequence.folder):
            found[f"the watch set {name}"] = {"content": sha256(watched)}
    if recipe.evaluation.other_run is not None:
        content = {}
        with contextlib.suppress(RunFolderError, OSError):  # the run says what is wrong
            content = {"prompts": prompts_hash(other_prompts(recipe.evaluation, learned_tasks(tasks)))}
        found[OTHER_RUN] = content
    for task in tasks:
        file = metric_file(task.metric)
        found[f"{_METRIC}{task.key}"] = {
            "name": shown_name(task.metric),
            **({"content": sha256(file)} if file else {}),
        }
    return found


def metrics_of(inputs: Inputs) -> dict[str, str]:
    """Names of the metrics of a run's tasks by key, in order; watched tasks come last."""
    return {what.removeprefix(_METRIC): of["name"] for what, of in inputs.items() if what.startswith(_METRIC)}


def bind(folder: RunFolder, recipe: "Recipe", tasks: Sequence[Task], dtype: str | None = None) -> None:
    """Bind a run folder to the recipe, its data and its inputs.

    dtype: number format of the model, if it is known already; part of the inputs where the recipe has "auto"

    Raises:
        RunFolderError: the folder is bound to others.
    """
    inputs = inputs_of(recipe, tasks)
    if dtype and recipe.model.dtype == "auto":
        inputs[_CHOICE] = {_FORMAT: dtype}
    folder.bind(recipe.resolved(), data_fingerprint(tasks), inputs, tasks)
