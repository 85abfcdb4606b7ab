"""Training rows of one task group, which the trainer addresses by number."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import batches
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.loss import answer_nll, token_nll
from sapo_lite.types import TrainingSet


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
        # Scheduled instructions of the latest optimiser step, by the id of their training set.
        self._scheduled: dict[int, str] = {}

    def tokens(self, numbers: Sequence[int]) -> int:
        """Number of answer tokens of these rows in the latest optimiser step.

        It is the same for every candidate, unless rows are cut on the right.
        """
        if self.backbone.chat.cut == "input":
            return sum(len(self.encoded[n].answer_ids) for n in numbers)
        return sum(len(row.answer_ids) for rows in self._groups(numbers) for row in rows)

    def length(self, numbers: Sequence[int]) -> int:
        """Number of tokens of these rows in the latest optimiser step, prompts and answers."""
        return sum(len(row.ids) for rows in self._groups(numbers) for row in rows)

    def begin(self, step: int, epoch: int, numbers: Sequence[int]) -> None:
        """Start optimiser step `step` (from 0) of epoch `epoch` (from 0): schedules choose candidates."""
        by_set: dict[int, list[int]] = defaultdict(list)
        for n in numbers:
            by_set[id(self._rows[n][0])].append(n)
        for key, own in by_set.items():
            if schedule := self._rows[own[0]][0].schedule:
                self._scheduled[key] = schedule.at(step, partial(self._loss, own), epoch)

    def _loss(self, numbers: Sequence[int], instruction: str) -> float:
        """Mean loss of rows of one training set under an instruction, in nats per answer token."""
        nll_sum, tokens = answer_nll(self.backbone, self._encoded_under(numbers, instruction))
        return sum(nll_sum) / max(1, sum(tokens))  # a cut on the right may have taken all answers

    def _encoded_under(self, numbers: Sequence[int], instruction: str) -> list[EncodedRow]:
        rows = [replace(self._rows[n][1], instruction=instruction) for n in numbers]
        return self.backbone.chat.encode(self._rows[numbers[0]][0].task, rows)

    def nll(self, numbers: Sequence[int]) -> Tensor:
        """Summed answer NLL of these rows in the latest optimiser step, in nats.

        Rows with the same instruction share a pack.
        """
        losses = [
            token_nll(self.backbone, batch).sum()
            for rows in self._groups(numbers)
            for batch in batches(self.backbone, rows, pack=self.pack)
        ]
        if not losses:  # rows that were cut on the right to their last answer token
            return torch.zeros((), device=self.backbone.device, requires_grad=True)
        return torch.stack(losses).sum()

    def _groups(self, numbers: Sequence[int]) -> list[list[EncodedRow]]:
        """Rows that may share a batch: all of them without packs, those of one instruction with packs."""
        numbers_of: dict[tuple[int, str], list[int]] = defaultdict(list)
        for n in numbers:
            training_set, row = self._rows[n]
            numbers_of[id(training_set), self._scheduled.get(id(training_set), row.instruction)].append(n)
        groups = [
            self._encoded_under(own, instruction)
            if training_set in self._scheduled
            else [self.encoded[n] for n in own]
            for (training_set, instruction), own in numbers_of.items()
        ]
        if not self.pack:
            return [[row for group in groups for row in group]]
        # Rows with an instruction of their own form one pack: they share the chat template's beginning.
        alone = [group[0] for group in groups if len(group) == 1]
        return [group for group in groups if len(group) > 1] + ([alone] if alone else [])
