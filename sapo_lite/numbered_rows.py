"""The training rows of one task as the trainer sees them: by number."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sapo_lite.answer_loss import token_nll
from sapo_lite.backbone import Backbone
from sapo_lite.chat import Encoded
from sapo_lite.packing import batches
from sapo_lite.types import Schedule, Task, TrainRow


@dataclass(frozen=True)
class NumberedRows:
    """Rows with their encoding. Where there is a `schedule`, its wordings stand in the place of theirs."""

    backbone: Backbone
    task: Task
    rows: Sequence[TrainRow]
    encoded: Sequence[Encoded]
    pack: bool
    schedule: Schedule | None

    def tokens(self, numbers: Sequence[int]) -> int:
        """Answer tokens of these rows: the same in every wording."""
        return sum(len(self.encoded[n].answer_ids) for n in numbers)

    def nll(self, numbers: Sequence[int], step: int) -> Tensor:
        """Summed answer NLL of these rows in an optimiser step (from 0), in nats.

        Rows with the same instruction share a pack.
        """
        losses = [
            token_nll(self.backbone, batch).sum()
            for rows in self._groups(numbers, step)
            for batch in batches(self.backbone, rows, pack=self.pack)
        ]
        return torch.stack(losses).sum()

    def _groups(self, numbers: Sequence[int], step: int) -> list[list[Encoded]]:
        """Rows that go together: without packs all, with them those of one instruction."""
        if self.schedule is not None:
            wording = self.schedule.at(step)
            rows = [replace(self.rows[n], instruction=wording) for n in numbers]
            return [self.backbone.chat.encode(self.task, rows)]
        if not self.pack:
            return [[self.encoded[n] for n in numbers]]
        by_instruction: dict[str, list[Encoded]] = defaultdict(list)
        for n in numbers:
            by_instruction[self.rows[n].instruction].append(self.encoded[n])
        groups = list(by_instruction.values())
        # Rows that are alone with theirs share at least what the chat template begins with.
        alone = [group[0] for group in groups if len(group) == 1]
        return [group for group in groups if len(group) > 1] + ([alone] if alone else [])
