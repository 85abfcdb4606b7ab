"""The `lab` source: paraphrases of the lab's instructions from the grammar."""

from collections.abc import Iterator, Sequence
from itertools import islice

from sapo_lite.errors import ParaphraseError
from sapo_lite.lab.wordings import PHRASINGS, every_wording, original
from sapo_lite.support.messages import quoted
from sapo_lite.types import Task


class LabWordings:
    """Paraphrases of a lab task's instruction, in an order drawn from `seed`, as many as the grammar has."""

    generated = False

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def answers(self, task: Task, numbers: range, taken: Sequence[str]) -> Iterator[str]:
        """The paraphrases with these numbers.

        Raises:
            ParaphraseError: the instruction is not one of the lab's.
        """
        by_instruction = {original(name): name for name in PHRASINGS}
        name = by_instruction.get(task.instruction)
        if name is None:
            raise ParaphraseError(
                'paraphrase.backend "lab" words the tasks of the lab alone: expected the instruction of one, '
                f'found {quoted(task.instruction)}. Use "builtin", which rewords any instruction by rules.'
            )
        yield from islice(every_wording(name, self._seed), numbers.start, numbers.stop)
