"""The base methods of continual learning: a table by name, without the implementations.

A method is a function in a file of sapo_lite/learning/adapters and an entry in METHODS that describes it in
full. This module does not import torch, so a recipe is checked at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sapo_lite.support.late import late
from sapo_lite.types import Task, TrainingSet

if TYPE_CHECKING:
    from sapo_lite.learning.adapters.blocks import BlockAdapter
    from sapo_lite.model.backbone import Backbone
    from sapo_lite.recipe import AdapterConfig

# Tasks that are learned together.
TaskGroup = tuple[Task, ...]
T = TypeVar("T")
Sets = Sequence[TrainingSet]


def group_name(group: TaskGroup) -> str:
    """Name of a task group, fit for a folder: the task's key, or "joint"."""
    return group[0].key if len(group) == 1 else "joint"


def one_by_one(tasks: Sequence[T]) -> list[tuple[T, ...]]:
    """One group for every task, in order."""
    return [(task,) for task in tasks]


def all_at_once(tasks: Sequence[T]) -> list[tuple[T, ...]]:
    """One group of all tasks: the upper bound for methods that see them one by one."""
    return [tuple(tasks)]


def one_for_all(_tasks: int) -> int:
    """One LoRA block, however many tasks there are."""
    return 1


def one_for_each(tasks: int) -> int:
    """A LoRA block for each task."""
    return tasks


def nothing(_tasks: Sequence[T]) -> list[tuple[T, ...]]:
    """No group, so no training: the zero-shot lower bound."""
    return []


def no_rehearsal(
    _backbone: "Backbone",
    _config: "AdapterConfig",
    _past: Sequence[TrainingSet],
    _new: Sequence[TrainingSet],
    _seed: int,
) -> list[TrainingSet]:
    """No replayed rows: earlier tasks are never seen again."""
    return []


def none_rehearsed(_config: "AdapterConfig", _past: Sequence[int], _new: int) -> int:
    """Number of replayed rows: always 0."""
    return 0


def replayed(config: "AdapterConfig", past: Sequence[int], new: int) -> int:
    """Number of rows of earlier tasks that are mixed into `new` rows.

    past: number of rows of each earlier task
    """
    if config.replay_rows is not None:
        return sum(min(rows, config.replay_rows) for rows in past)
    return min(sum(past), max(1, round(config.replay_share * new)))


@dataclass(frozen=True)
class Method:
    """A base method.

    description: what it does, in one sentence
    build: makes its BlockAdapter
    blocks: number of LoRA blocks for so many tasks
    groups: the task groups, each learned together, of tasks or task ids
    replay_rows: rows of earlier tasks to mix in, from (backbone, config, past sets, new sets, seed)
    replay_count: the number of these rows, from (config, numbers of rows of past tasks, number of new rows)
    penalty: whether a penalty is added to the loss; its weight must not be 0
    settings: keys of the section `adapter` that not every method reads
    first_like: the method that learns the first task to the same bytes; "" if there is none
    """

    description: str
    build: "Callable[..., BlockAdapter]"
    blocks: Callable[[int], int] = one_for_all
    groups: Callable[[Sequence[Any]], list[tuple[Any, ...]]] = one_by_one
    replay_rows: "Callable[[Backbone, AdapterConfig, Sets, Sets, int], list[TrainingSet]]" = no_rehearsal
    replay_count: Callable[["AdapterConfig", Sequence[int], int], int] = none_rehearsed
    penalty: bool = False
    settings: tuple[str, ...] = ()
    first_like: str = ""

    @property
    def trains(self) -> bool:
        """Whether the method trains; otherwise no prompt is chosen either."""
        return bool(self.groups(["any"]))

    @property
    def replays(self) -> bool:
        """Whether rows of earlier tasks are mixed into those of a new one."""
        return self.replay_count is not none_rehearsed


def trains(method: str) -> bool:
    """Whether the method of this name trains. True for names of removed methods in old runs."""
    return method not in METHODS or METHODS[method].trains


_one_block = late("sapo_lite.learning.adapters.blocks", "one_block")

METHODS: dict[str, Method] = {
    "lorainc": Method(
        "a new LoRA block per task, earlier blocks frozen",
        late("sapo_lite.learning.adapters.blocks", "block_per_task"),
        blocks=one_for_each,
    ),
    "olora": Method(
        "a new LoRA block per task, kept orthogonal to the frozen ones",
        late("sapo_lite.learning.adapters.olora", "olora"),
        blocks=one_for_each,
        penalty=True,
        settings=("penalty_weight",),
        first_like="lorainc",  # the penalty is 0 without a past
    ),
    "sequential": Method("one LoRA block, trained on through all tasks", _one_block),
    "ewc": Method(
        "one LoRA block, whose weights stay near those that earlier tasks need",
        late("sapo_lite.learning.adapters.ewc", "ewc"),
        penalty=True,
        settings=("penalty_weight", "fisher_examples", "fisher_decay"),
    ),
    "replay": Method(
        "one LoRA block, and rows of earlier tasks among those of the new one",
        _one_block,
        replay_rows=late("sapo_lite.learning.adapters.replay", "replay"),
        replay_count=replayed,
        settings=("replay_share", "replay_rows", "replay_by"),
    ),
    "joint": Method("one LoRA block, trained on all tasks together", _one_block, groups=all_at_once),
    "zero": Method("no training at all", _one_block, groups=nothing),
}
