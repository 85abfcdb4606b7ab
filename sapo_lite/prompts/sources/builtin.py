"""The `builtin` source: rewordings of any instruction by rules, without a model, offline and at once."""

from collections.abc import Iterator, Sequence
from itertools import islice

from sapo_lite.prompts.sources.rules import rewordings
from sapo_lite.types import Task


class Builtin:
    """Rewordings in an order drawn from `seed`, until the rules have no more."""

    generated = False

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def answers(self, task: Task, numbers: range, taken: Sequence[str]) -> Iterator[str]:
        yield from islice(rewordings(task, self._seed), numbers.start, numbers.stop)
