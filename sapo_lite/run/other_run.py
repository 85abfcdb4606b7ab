"""Prompts that another run chose: the kind "other" of the test matrix (evaluation.other_run)."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sapo_lite.errors import RunFolderError
from sapo_lite.run.results import read_results
from sapo_lite.types import Task

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone
    from sapo_lite.prompts.pool import Pool
    from sapo_lite.recipe import EvaluationConfig


def other_prompts(config: "EvaluationConfig", tasks: Sequence[Task]) -> dict[str, str]:
    """The prompts that the other run chose, by task key; empty if the recipe names no such run.

    Raises:
        RunFolderError: the folder holds no finished run, or not one that learned these tasks.
    """
    folder = config.other_folder()
    if folder is None:
        return {}
    try:
        results = read_results(folder)
    except RunFolderError as error:
        raise RunFolderError(f"evaluation.other_run: {error}") from None
    expected = [task.key for task in tasks]
    if set(results.chosen) != set(expected):
        raise RunFolderError(
            f"evaluation.other_run: expected a run that learned {', '.join(expected)}, found one that "
            f"learned {', '.join(results.chosen) or 'nothing'} in {folder}"
        )
    return {task: candidate.text for task, candidate in results.chosen.items()}


def prompts_hash(prompts: Mapping[str, str]) -> str:
    """Hash of chosen prompts, given by task key."""
    return hashlib.sha256(json.dumps(prompts, sort_keys=True).encode()).hexdigest()


def asked_otherwise(
    backbone: "Backbone", tasks: Sequence[Task], pools: Mapping[str, "Pool"], prompts: Mapping[str, str]
) -> dict[str, Task]:
    """The tasks with the other run's prompts as their instructions, by key.

    pools: by task id
    prompts: by task key

    Inputs are cut to fit the longest of all prompts. This is for tests only: what a run trains with does not
    depend on the other run.
    """
    found = {}
    for task in tasks if prompts else ():
        texts = [*(candidate.text for candidate in pools[task.id].candidates), prompts[task.key]]
        found[task.key] = replace(backbone.chat.fit(task, texts), instruction=prompts[task.key])
    return found


def cut_further(tasks: Sequence[Task], others: Mapping[str, Task]) -> Iterator[str]:
    """A sentence for every task whose test inputs are shorter under the other run's prompt."""
    for task in tasks:
        if task.key in others and others[task.key].test != task.test:
            yield (
                f"{task.name}: under the other run's prompt, which is longer than any candidate here, some "
                "test inputs are cut further"
            )
