"""The base methods of continual learning, by name: what each of them is, without its implementation.

A method is a function in a file of sapo_lite/learning/adapters and an entry in METHODS that says everything
about it.
Nothing here brings torch, so a recipe is checked at once.
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
    """Short and fit for a folder: the task's key, or "joint"."""
    return group[0].key if len(group) == 1 else "joint"


def one_by_one(tasks: Sequence[T]) -> list[tuple[T, ...]]:
    """Every task by itself, in order."""
    return [(task,) for task in tasks]


def all_at_once(tasks: Sequence[T]) -> list[tuple[T, ...]]:
    """All tasks together: what a method that sees them one by one could reach at best."""
    return [tuple(tasks)]


def nothing(_tasks: Sequence[T]) -> list[tuple[T, ...]]:
    """No training at all: what a method has to beat."""
    return []


def no_rehearsal(
    _backbone: "Backbone",
    _config: "AdapterConfig",
    _past: Sequence[TrainingSet],
    _new: Sequence[TrainingSet],
    _seed: int,
) -> list[TrainingSet]:
    """Earlier tasks are never seen again."""
    return []


def none_rehearsed(_config: "AdapterConfig", _past: int, _new: int) -> int:
    """Their rows are none."""
    return 0


def replayed(config: "AdapterConfig", past: int, new: int) -> int:
    """How many rows of earlier tasks are mixed into `new` rows, of the `past` ones there are."""
    return min(past, max(1, round(config.replay_share * new)))


@dataclass(frozen=True)
class Method:
    """A base method.

    description: what it does, in one sentence
    build: makes its blocks
    groups: which tasks, or ids of tasks, are learned together
    replay_rows: of (backbone, config, past, new, seed), rows of earlier tasks mixed into the new ones
    replay_count: of (config, past, new), all numbers of rows, how many these are
    penalty: whether a penalty is added to the loss, whose weight must not be 0
    settings: keys of the section `adapter` that it alone, or not every method, reads
    first_like: the method that learns a first task to the same bytes; none but itself if empty
    """

    description: str
    build: "Callable[..., BlockAdapter]"
    groups: Callable[[Sequence[Any]], list[tuple[Any, ...]]] = one_by_one
    replay_rows: "Callable[[Backbone, AdapterConfig, Sets, Sets, int], list[TrainingSet]]" = no_rehearsal
    replay_count: Callable[["AdapterConfig", int, int], int] = none_rehearsed
    penalty: bool = False
    settings: tuple[str, ...] = ()
    first_like: str = ""

    @property
    def trains(self) -> bool:
        """Whether anything is learned: otherwise no prompt is chosen, either."""
        return bool(self.groups(["any"]))


def trains(method: str) -> bool:
    """Whether anything is learned by a method, also one that a finished run names and that is gone."""
    return method not in METHODS or METHODS[method].trains


_one_block = late("sapo_lite.learning.adapters.blocks", "one_block")

METHODS: dict[str, Method] = {
    "lorainc": Method(
        "a new LoRA block per task, earlier blocks frozen",
        late("sapo_lite.learning.adapters.blocks", "block_per_task"),
    ),
    "olora": Method(
        "a new LoRA block per task, kept orthogonal to the frozen ones",
        late("sapo_lite.learning.adapters.olora", "olora"),
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
        settings=("replay_share", "replay_by"),
    ),
    "joint": Method("one LoRA block, trained on all tasks together", _one_block, groups=all_at_once),
    "zero": Method("no training at all", _one_block, groups=nothing),
}
