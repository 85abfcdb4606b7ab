"""The lab's world as a benchmark: examples of its held-out tasks, drawn from a seed."""

from collections.abc import Collection
from random import Random

from sapo_lite.lab.heldout import TASKS, LabTask
from sapo_lite.types import Example

__all__ = ["TASKS", "LabTask", "examples"]


def examples(task: str, count: int, seed: int | str, avoid: Collection[str] = frozenset()) -> list[Example]:
    """Draw `count` examples of a held-out task; none of them has an input in `avoid`.

    Draws are independent, so an input may occur twice; the same seed always gives the same list.

    Raises:
        ValueError: the task has no inputs left.
    """
    rng = Random(f"{task}/{seed}")
    return [_draw(task, rng, avoid) for _ in range(count)]


def _draw(task: str, rng: Random, avoid: Collection[str], tries: int = 1000) -> Example:
    """One example; if its input is in `avoid`, the label is kept and the input drawn again, for balance."""
    first = drawn = TASKS[task].generate(rng)
    for _ in range(tries):
        if drawn.input not in avoid and (drawn.answer == first.answer or not TASKS[task].labels):
            return drawn
        drawn = TASKS[task].generate(rng)
    raise ValueError(
        f"lab task {task!r}: expected a new input with the answer {first.answer!r}, found none in {tries} "
        "draws; give the task more inputs, or draw fewer examples"
    )
