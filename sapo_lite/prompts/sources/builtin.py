"""The `builtin` source: wordings without a model, offline and at once.

The lab's instructions have a grammar of their own; any other is reworded by rules.
"""

from collections.abc import Iterator, Sequence
from itertools import count, islice

from sapo_lite.errors import ParaphraseError
from sapo_lite.lab.wordings import PHRASINGS, original, wordings
from sapo_lite.prompts.sources.rules import rewordings
from sapo_lite.types import Task


class Builtin:
    """Wordings in an order drawn from `seed`, until the grammar has no more."""

    generated = False

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def answers(self, task: Task, numbers: range, taken: Sequence[str]) -> Iterator[str]:
        yield from islice(self._all(task), numbers.start, numbers.stop)

    def _all(self, task: Task) -> Iterator[str]:
        by_instruction = {original(name): name for name in PHRASINGS}
        name = by_instruction.get(task.instruction)
        return rewordings(task, self._seed) if name is None else _from_the_grammar(name, self._seed)


def _from_the_grammar(name: str, seed: int) -> Iterator[str]:
    """A longer list of wordings begins with the shorter one, so only its last is new."""
    for length in count(1):
        try:
            yield wordings(name, length, seed)[-1]
        except ParaphraseError:
            return  # the grammar is exhausted
