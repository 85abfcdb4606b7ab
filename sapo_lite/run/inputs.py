"""Inputs of a run besides its recipe, identified by content: data, model, file of candidates, metrics."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.data.watch_sets import is_set, set_file
from sapo_lite.errors import RecipeError
from sapo_lite.evaluation.own_metrics import metric_file, shown_name
from sapo_lite.model.identity import model_identity
from sapo_lite.run.binding import Inputs
from sapo_lite.run.folder import RunFolder
from sapo_lite.support.files import sha256
from sapo_lite.types import Task

if TYPE_CHECKING:
    from sapo_lite.recipe import Recipe


def inputs_of(recipe: "Recipe", tasks: Sequence[Task] = ()) -> Inputs:
    """Hashes of the model and of the file of candidates, and the tasks' metrics, by name.

    They are empty for what is not on this disk yet.
    """
    found = {f"the model {recipe.model.name}": model_identity(recipe.model.name)}
    if recipe.wants_candidates and "file" in recipe.paraphrase.backend:
        content: dict[str, str] = {}
        with contextlib.suppress(RecipeError, OSError):  # the source of candidates says what is wrong
            content = {"content": sha256(recipe.paraphrase.candidates_file())}
        found[f"the file of candidates {recipe.paraphrase.path}"] = content
    for name in filter(is_set, recipe.sequence.watch):
        if watched := set_file(name, recipe.sequence.folder):
            found[f"the watch set {name}"] = {"content": sha256(watched)}
    for task in tasks:
        file = metric_file(task.metric)
        found[f"the metric of {task.key}"] = {
            "name": shown_name(task.metric),
            **({"content": sha256(file)} if file else {}),
        }
    return found


def bind(folder: RunFolder, recipe: "Recipe", tasks: Sequence[Task]) -> None:
    """Bind a run folder to the recipe, its data and its inputs.

    Raises:
        RunFolderError: the folder is bound to others.
    """
    folder.bind(recipe.resolved(), data_fingerprint(tasks), inputs_of(recipe, tasks))
