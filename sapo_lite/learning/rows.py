"""The training rows of one lesson as the trainer sees them: by number."""

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
    """Rows of several parts, one after another, with their encoding."""

    def __init__(self, backbone: Backbone, parts: Sequence[TrainingSet], *, pack: bool) -> None:
        self.backbone, self.pack = backbone, pack
        self._rows = [(part, row) for part in parts for row in part.rows]
        self.encoded = [e for part in parts for e in backbone.chat.encode(part.task, part.rows)]
        # The wordings of parts with a schedule, in the optimiser step that was begun last.
        self._wordings: dict[int, str] = {}

    def tokens(self, numbers: Sequence[int]) -> int:
        """Answer tokens of these rows: the same in every wording."""
        return sum(len(self.encoded[n].answer_ids) for n in numbers)

    def begin(self, step: int, epoch: int, numbers: Sequence[int]) -> None:
        """Settle the wordings of an optimiser step (from 0) in an epoch (from 0), which has these rows."""
        by_part: dict[int, list[int]] = defaultdict(list)
        for n in numbers:
            by_part[id(self._rows[n][0])].append(n)
        for key, own in by_part.items():
            if schedule := self._rows[own[0]][0].schedule:
                self._wordings[key] = schedule.at(step, partial(self._loss, own), epoch)

    def _loss(self, numbers: Sequence[int], wording: str) -> float:
        """Mean loss of rows of one part under a wording, in nats per answer token."""
        nll_sum, tokens = answer_nll(self.backbone, self._worded(numbers, wording))
        return sum(nll_sum) / sum(tokens)

    def _worded(self, numbers: Sequence[int], wording: str) -> list[EncodedRow]:
        rows = [replace(self._rows[n][1], instruction=wording) for n in numbers]
        return self.backbone.chat.encode(self._rows[numbers[0]][0].task, rows)

    def nll(self, numbers: Sequence[int]) -> Tensor:
        """Summed answer NLL of these rows, of the optimiser step that was begun last, in nats.

        Rows with the same instruction share a pack.
        """
        losses = [
            token_nll(self.backbone, batch).sum()
            for rows in self._groups(numbers)
            for batch in batches(self.backbone, rows, pack=self.pack)
        ]
        return torch.stack(losses).sum()

    def _groups(self, numbers: Sequence[int]) -> list[list[EncodedRow]]:
        """Rows that go together: without packs all, with them those of one instruction."""
        numbers_of: dict[tuple[int, str], list[int]] = defaultdict(list)
        for n in numbers:
            part, row = self._rows[n]
            numbers_of[id(part), self._wordings.get(id(part), row.instruction)].append(n)
        groups = [
            self._worded(own, wording) if part in self._wordings else [self.encoded[n] for n in own]
            for (part, wording), own in numbers_of.items()
        ]
        if not self.pack:
            return [[row for group in groups for row in group]]
        # Rows that are alone with theirs share at least what the chat template begins with.
        alone = [group[0] for group in groups if len(group) == 1]
        return [group for group in groups if len(group) > 1] + ([alone] if alone else [])
