"""The curriculum: the examples of each pretraining step, with more of the families of high loss."""

from collections.abc import Sequence
from random import Random

from pretraining.family import Family
from pretraining.mixture import PretrainExample, pretrain_examples
from sapo_lite.model.chat import ChatFormat, EncodedRow
from sapo_lite.types import Task, TrainingRow

# Nats per answer token: a family's initial loss, and the loss above which it is not drawn more often.
_START, _CEILING = 3.0, 1.5
_FLOOR = 0.12  # a fully learned family is still drawn this often, relative to one at `_CEILING`
_MEMORY = 0.95

EXAMPLES_OF_A_WORDING = 3  # they share the computation of the instruction (pretraining.batch)


class Curriculum:
    """Draws families by their running loss. A step's examples depend on seed, step and these losses alone."""

    def __init__(self, families: dict[str, Family], seed: int) -> None:
        self._families = families
        self._seed = seed
        self.losses = dict.fromkeys(families, _START)

    def groups(self, step: int, count: int) -> list[list[PretrainExample]]:
        """`count` instructions, each with a few examples of one family that share it."""
        rng = Random(f"{self._seed}/{step}")
        weights = [_FLOOR + min(loss, _CEILING) for loss in self.losses.values()]
        families = rng.choices(list(self._families.values()), weights, k=count)
        return [pretrain_examples(family, rng, EXAMPLES_OF_A_WORDING) for family in families]

    def note(self, drawn: Sequence[PretrainExample], losses: Sequence[float]) -> None:
        """Update the running losses with those of these examples, in nats per answer token."""
        for one, loss in zip(drawn, losses, strict=True):
            self.losses[one.family] = _MEMORY * self.losses[one.family] + (1 - _MEMORY) * loss

    def weakest(self, count: int) -> list[str]:
        """The families with the highest running losses."""
        return sorted(self.losses, key=self.losses.__getitem__, reverse=True)[:count]


def encode(chat: ChatFormat, drawn: Sequence[PretrainExample]) -> list[EncodedRow]:
    """Examples as tokens, in the chat format that every run of sapo-lite uses."""
    encoded: dict[int, EncodedRow] = {}
    for suffix in {one.suffix for one in drawn}:
        numbers = [n for n, one in enumerate(drawn) if one.suffix == suffix]
        rows = [TrainingRow(drawn[n].instruction, drawn[n].input, drawn[n].answer) for n in numbers]
        task = Task("pretraining", "lab", "", suffix, (), "en", train=(), test=())
        encoded.update(zip(numbers, chat.encode(task, rows), strict=True))
    return [encoded[n] for n in range(len(drawn))]
