"""How learning accumulates over tasks: the base methods of continual learning, on LoRA blocks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.adapters.ewc import ewc
from sapo_lite.learning.adapters.olora import olora, orthogonality
from sapo_lite.learning.adapters.replay import replay, replayed
from sapo_lite.types import Task, TrainingSet

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone
    from sapo_lite.recipe import AdapterConfig

__all__ = ["METHODS", "BlockAdapter", "Lesson", "Method", "name_of", "orthogonality"]

# Tasks that are learned together.
Lesson = tuple[Task, ...]


def lorainc(
    backbone: "Backbone", config: "AdapterConfig", *, tasks: int, checkpointing: bool
) -> BlockAdapter:
    """LoRAInc: a new block per task, earlier blocks frozen and added in at full scale."""
    return BlockAdapter(backbone, config, blocks=tasks, checkpointing=checkpointing)


def sequential(
    backbone: "Backbone", config: "AdapterConfig", *, tasks: int, checkpointing: bool
) -> BlockAdapter:
    """One block, trained on through all tasks: plain sequential fine-tuning."""
    return BlockAdapter(backbone, config, blocks=1, checkpointing=checkpointing)


def name_of(lesson: Lesson) -> str:
    """Short and fit for a folder: the task's key, or "joint"."""
    return lesson[0].key if len(lesson) == 1 else "joint"


def one_by_one(tasks: Sequence[Task]) -> list[Lesson]:
    """Every task by itself, in order."""
    return [(task,) for task in tasks]


def all_at_once(tasks: Sequence[Task]) -> list[Lesson]:
    """All tasks together: what a method that sees them one by one could reach at best."""
    return [tuple(tasks)]


def nothing(_tasks: Sequence[Task]) -> list[Lesson]:
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


@dataclass(frozen=True)
class Method:
    """A base method: `build` makes its blocks, `lessons` says which tasks are learned together.

    `replay_rows(backbone, config, past, new, seed)` gives rows of earlier tasks that are mixed into the
    new ones; `replay_count(config, past, new)` says how many these are, of numbers of rows.
    """

    build: Callable[..., BlockAdapter]
    lessons: Callable[[Sequence[Task]], list[Lesson]] = one_by_one
    replay_rows: Callable[
        ["Backbone", "AdapterConfig", Sequence[TrainingSet], Sequence[TrainingSet], int], list[TrainingSet]
    ] = no_rehearsal
    replay_count: Callable[["AdapterConfig", int, int], int] = none_rehearsed


METHODS: dict[str, Method] = {
    "lorainc": Method(lorainc),
    "olora": Method(olora),
    "sequential": Method(sequential),
    "ewc": Method(ewc),
    "replay": Method(sequential, replay_rows=replay, replay_count=replayed),
    "joint": Method(sequential, lessons=all_at_once),
    "zero": Method(sequential, lessons=nothing),
}
