"""Metrics of the user: `module:function` as a task's metric. They run the user's code."""

import importlib
import importlib.util
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from sapo_lite.errors import RecipeError
from sapo_lite.support.messages import nearest, one_of, quoted
from sapo_lite.types import Task

_SIGNATURE = "a function of prediction, reference and labels that returns a number from 0 to 1"


def with_metrics(tasks: Sequence[Task], names: Sequence[str], folder: Path) -> list[Task]:
    """The tasks, with every `module:function` checked by one call.

    The module is `module.py` in `folder` (of the recipe) or in the working directory, else an installed one.
    In the tasks returned, a file found so stands in place of the module: `FILE.py:function`.

    names: of the metrics that come with sapo-lite

    Raises:
        RecipeError: metrics cannot be used; a line for each task.
    """
    found, faults = [], []
    for task in tasks:
        try:
            found.append(_checked(task, names, folder))
        except RecipeError as error:
            faults.append(f"metric of {task.name}: {error}")
    if faults:
        raise RecipeError("\n".join(faults))
    return found


def shown_name(metric: str) -> str:
    """The metric's name without the folder of its file: `module:function`."""
    place, _, function = metric.rpartition(":")
    return f"{Path(place).stem}:{function}" if place.endswith(".py") else metric


def metric_file(metric: str) -> Path | None:
    """The file of a metric that `with_metrics` found in one."""
    place = metric.rpartition(":")[0]
    return Path(place) if place.endswith(".py") else None


@cache
def own_metric(name: str) -> Callable[[str, str, Sequence[str]], float]:
    """The function of `module:function` or `FILE.py:function`; each of its values is checked.

    Raises:
        RecipeError: there is no such function, or its module cannot be imported.
    """
    place, _, function = name.rpartition(":")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:
        raise RecipeError(
            f"expected the module of {quoted(shown_name(name))}, found {type(error).__name__}: {error}. Put "
            "its file beside the recipe, or install it."
        ) from error
    found = getattr(module, function, None)
    if not callable(found):
        raise RecipeError(f"expected {_SIGNATURE} as {quoted(shown_name(name))}, found {quoted(found)}")

    def score(prediction: str, reference: str, labels: Sequence[str]) -> float:
        return _score(name, found, (prediction, reference, labels))

    return score


def _checked(task: Task, names: Sequence[str], folder: Path) -> Task:
    if task.metric in names:
        return task
    if not re.fullmatch(r"\w+(\.\w+)*:\w+", task.metric):
        close = nearest(task.metric, names)
        raise RecipeError(
            f"expected {one_of(map(quoted, names))}, or module:function, found {quoted(task.metric)}"
            + (f"; did you mean {quoted(close[0])}?" if close else "")
        )
    module, _, function = task.metric.rpartition(":")
    files = [(place / f"{module.replace('.', '/')}.py").absolute() for place in (folder, Path.cwd())]
    file = next((file for file in files if file.is_file()), None)
    task = replace(task, metric=f"{file}:{function}") if file else task
    for example in task.test[:1]:
        own_metric(task.metric)(example.answer, example.answer, task.labels)
    return task


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _score(name: str, function: Callable[..., Any], given: tuple[str, str, Sequence[str]]) -> float:
    try:
        value = function(*given)
    except Exception as error:
        raise RecipeError(
            f"{quoted(shown_name(name))}: expected {_SIGNATURE}, found {type(error).__name__}: {error}, for "
            f"the answer {quoted(given[0])}. Mend the function and repeat the command."
        ) from error
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise RecipeError(
            f"{quoted(shown_name(name))}: expected a number from 0 to 1, found {quoted(value)} for "
            f"the answer {quoted(given[0])}. Scale what it returns."
        )
    return number
