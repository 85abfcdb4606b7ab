"""The objects that all stages of a run share."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.tracking import Tracking
from sapo_lite.model.backbone import Backbone
from sapo_lite.prompts.pool import Pool
from sapo_lite.recipe import Recipe
from sapo_lite.run.progress import RunProgress
from sapo_lite.run.stage_folder import Stage
from sapo_lite.run.usage import Usage
from sapo_lite.run.watching import WatchTest
from sapo_lite.types import Candidate, Task


def stage_seed(recipe: Recipe, number: int) -> int:
    """Seed of the `number`-th stage, from 1. It depends on nothing else, so a resumed run draws the same."""
    seed = recipe.seed * 1000 + number
    # Libraries take 32 bits. Smaller seeds are used as they are: published results were made with them.
    if seed < 2**32:
        return seed
    return int.from_bytes(hashlib.sha256(f"{recipe.seed}/{number}".encode()).digest()[:4])


@dataclass(frozen=True)
class RunContext:
    """Recipe, backbone, adapter, the pools of candidates by task id, and tests of what is watched by name.

    base: keeps measurements of candidates on the untrained backbone; None if each is measured in its stage
    tracking: the trackers of the run
    others: tasks by key, with the other run's prompts as their instructions (sapo_lite.run.other_run)
    """

    recipe: Recipe
    backbone: Backbone
    adapter: BlockAdapter
    pools: Mapping[str, Pool]
    usage: Usage
    progress: RunProgress
    tracking: Tracking
    watched: Mapping[str, WatchTest] = field(default_factory=dict)
    base: Stage | None = None
    others: Mapping[str, Task] = field(default_factory=dict)

    def seed(self, number: int) -> int:
        return stage_seed(self.recipe, number)

    def candidates(self, task: Task) -> Sequence[Candidate]:
        """Candidates that the strategy may choose from."""
        return self.pools[task.id].split(self.recipe.paraphrase.held_out)[0]

    def held_out(self, task: Task) -> Sequence[Candidate]:
        """Candidates that are used for testing only."""
        return self.pools[task.id].split(self.recipe.paraphrase.held_out)[1]

    def heading(self, task: Task) -> str:
        """`task 2 of 5: odd_one_out`."""
        return f"task {list(self.pools).index(task.id) + 1} of {len(self.pools)}: {task.name}"
