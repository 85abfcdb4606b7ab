"""Training rows of one task group, which the trainer addresses by number."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import batch_tokens, batches, first_batch, grouped
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.loss import answer_nll, token_nll
from sapo_lite.types import TrainingSet


@dataclass(frozen=True)
class RowPart:
    """Rows of an optimiser step, by number, on their way to another process.

    alike: equal for rows that have the same instruction
    """

    rows: dict[int, EncodedRow]
    alike: dict[int, Hashable]
    pack: bool


class RowBatcher:
    """The rows of several training sets, one set after another, with their token ids."""

    def __init__(self, backbone: Backbone, training_sets: Sequence[TrainingSet], *, pack: bool) -> None:
        self.backbone, self.pack = backbone, pack
        self._rows = [(training_set, row) for training_set in training_sets for row in training_set.rows]
        self.encoded = [
            e
            for training_set in training_sets
            for e in backbone.chat.encode(training_set.task, training_set.rows)
        ]
        # Of the latest optimiser step, where a schedule chooses: instructions by the id of their training
        # set, and the rows under them by number.
        self._scheduled: dict[int, str] = {}
        self._under_schedule: dict[int, EncodedRow] = {}
        self._alike_elsewhere: dict[int, Hashable] = {}
        self.own_tokens = 1

    @classmethod
    def of_part(cls, backbone: Backbone, part: "RowPart") -> "RowBatcher":
        """Some rows of an optimiser step of another process."""
        rows = cls(backbone, (), pack=part.pack)
        rows._under_schedule, rows._alike_elsewhere = part.rows, part.alike
        return rows

    def part(self, numbers: Sequence[int]) -> "RowPart":
        """These rows in the latest optimiser step, for another process."""
        rows = {n: self._row(n) for n in numbers}
        return RowPart(rows, {n: self._alike(n) for n in numbers}, self.pack)

    def divided(self, numbers: Sequence[int]) -> list[list[int]]:
        """These rows of the latest optimiser step by rank of this run: those that have answer tokens.

        Rows with the same instruction stay together as far as possible. Answer tokens of the first part are
        then `own_tokens`.
        """
        parts = self._divided(numbers)
        self.own_tokens = max(1, self.tokens(parts[0]))  # a cut on the right may have taken all of them
        return parts

    def _divided(self, numbers: Sequence[int]) -> list[list[int]]:
        learned = [n for n in numbers if self._row(n).answer_ids]
        ranks = self.backbone.ranks
        if ranks is None or not learned:
            return [list(numbers)]
        together = [learned[place] for group in self._groups(learned) for place in group]
        whose = ranks.divide([len(self._row(n).ids) for n in together])
        return [[together[place] for place in own] for own in whose]

    def tokens(self, numbers: Sequence[int]) -> int:
        """Number of answer tokens of these rows in the latest optimiser step.

        It is the same for every candidate, unless rows are cut on the right.
        """
        if self.backbone.chat.cut == "input":
            return sum(len(self.encoded[n].answer_ids) for n in numbers)
        return sum(len(self._row(n).answer_ids) for n in numbers)

    def length(self, numbers: Sequence[int]) -> int:
        """Number of tokens of these rows in the latest optimiser step, prompts and answers."""
        return sum(len(self._row(n).ids) for n in numbers)

    def begin(self, step: int, epoch: int, numbers: Sequence[int]) -> None:
        """Start optimiser step `step` (from 0) of epoch `epoch` (from 0): schedules choose candidates."""
        self._under_schedule = {}
        by_set: dict[int, list[int]] = defaultdict(list)
        for n in numbers:
            by_set[id(self._rows[n][0])].append(n)
        for key, own in by_set.items():
            if schedule := self._rows[own[0]][0].schedule:
                self._scheduled[key] = schedule.at(step, partial(self._loss, own), epoch)
                encoded = self._encoded_under(own, self._scheduled[key])
                self._under_schedule |= dict(zip(own, encoded, strict=True))

    def _loss(self, numbers: Sequence[int], instruction: str) -> float:
        """Mean loss of rows of one training set under an instruction, in nats per answer token."""
        nll_sum, tokens = answer_nll(self.backbone, self._encoded_under(numbers, instruction))
        return sum(nll_sum) / max(1, sum(tokens))  # a cut on the right may have taken all answers

    def _encoded_under(self, numbers: Sequence[int], instruction: str) -> list[EncodedRow]:
        rows = [replace(self._rows[n][1], instruction=instruction) for n in numbers]
        return self.backbone.chat.encode(self._rows[numbers[0]][0].task, rows)

    def nll(self, numbers: Sequence[int]) -> Tensor:
        """Summed answer NLL of these rows in the latest optimiser step, in nats.

        Rows with the same instruction share a prefix of a pack.
        """
        rows = [self._row(n) for n in numbers]
        losses = [
            token_nll(self.backbone, batch).sum()
            for batch in batches(self.backbone, rows, groups=self._groups(numbers), pack=self.pack)
        ]
        if not losses:  # rows that were cut on the right to their last answer token
            return torch.zeros((), device=self.backbone.device, requires_grad=True)
        return torch.stack(losses).sum()

    def passes(self, numbers: Sequence[int], most: int, budget: int) -> Iterator[list[int]]:
        """These rows in the latest optimiser step, in parts for one forward and backward pass each.

        A part has at most `most` rows and at most `budget` tokens (fewer once memory has run out), or one
        row. Its rows are of like lengths; with packs, they have the same instruction, if enough rows do.
        """
        rows, pack = [self._row(n) for n in numbers], self._packs
        todo = grouped(rows, groups=self._groups(numbers), pack=pack)
        if not todo:  # rows that were cut on the right to their last answer token: a step of loss 0
            yield list(numbers)
        while todo:
            limit = self.backbone.training_share * budget
            chosen, todo = first_batch(rows, todo, limit, pack=pack, most=most)
            yield [numbers[i] for group in chosen for i in group.rows]

    def halve(self, part: Sequence[int], budget: int) -> None:
        """From now on, parts have half the tokens of this one, for which memory did not suffice."""
        rows, pack = [self._row(n) for n in part], self._packs
        tokens = batch_tokens(rows, grouped(rows, groups=self._groups(part), pack=pack), pack=pack)
        self.backbone.training_share = 0.5 * min(self.backbone.training_share, tokens / budget)

    @property
    def _packs(self) -> bool:
        return self.pack and self.backbone.packs

    def _row(self, number: int) -> EncodedRow:
        """A row in the latest optimiser step."""
        return self._under_schedule[number] if number in self._under_schedule else self.encoded[number]

    def _alike(self, number: int) -> Hashable:
        """Equal for rows that have the same instruction in the latest optimiser step."""
        if number in self._alike_elsewhere:
            return self._alike_elsewhere[number]
        training_set, row = self._rows[number]
        return id(training_set), self._scheduled.get(id(training_set), row.instruction)

    def _groups(self, numbers: Sequence[int]) -> list[list[int]]:
        """Places among the numbers of rows that have the same instruction in the latest optimiser step."""
        places: dict[Hashable, list[int]] = defaultdict(list)
        for place, n in enumerate(numbers):
            places[self._alike(n)].append(place)
        # Rows with an instruction of their own form one group: they share the chat template's beginning.
        alone = [place for own in places.values() if len(own) == 1 for place in own]
        return [own for own in places.values() if len(own) > 1] + ([alone] if alone else [])
