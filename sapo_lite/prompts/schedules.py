"""Prompt schedules: which candidate a task is trained with at which step.

A schedule that uses the model's losses writes each decision to a file before the step it is for. So a
training that was killed and resumes from a checkpoint, also in the middle of a hold or an epoch, finds its
earlier decisions and does not decide again with a different model state.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from sapo_lite.errors import RunFolderError
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.support.checked_json import read_checked, write_checked
from sapo_lite.types import Candidate

Loss = Callable[[str], float]


class PromptSchedule(Protocol):
    """A schedule: the candidate on a task's rows, by optimiser step."""

    def at(self, step: int, loss: Loss, epoch: int) -> str:
        """The candidate on all rows of an optimiser step (from 0) in an epoch (from 0).

        `loss` computes the current model's mean loss of these rows under a candidate, in nats per answer
        token. Each call costs a forward pass.
        """
        ...

    def after_training(self) -> "AfterTraining":
        """The candidates used after training. Called once the task is learned, also by a resumed run."""
        ...


@dataclass(frozen=True)
class AfterTraining:
    """The candidates of a task after its training.

    final: the candidate for testing; None if it is still the one chosen before training
    replayed: the candidate on the task's rows when a later task replays them or EWC computes their gradients;
        None if the schedule continues to vary
    rescorings: the rescorings during training, for the results
    """

    final: Candidate | None = None
    replayed: Candidate | None = None
    rescorings: "Sequence[Rescoring]" = ()


@dataclass(frozen=True)
class RandomSchedule:
    """Candidates drawn at random (PAFT, section 3.2), each kept for `hold` optimiser steps, or training rows.

    The draw depends only on the seed and the step or row, so a resumed training draws the same ones. It is
    uniform, or has probabilities proportional to `weights`.
    """

    candidates: tuple[str, ...] = field(repr=False)
    hold: int
    seed: str
    weights: tuple[float, ...] | None = field(default=None, repr=False)

    def at(self, step: int, loss: Loss | None = None, epoch: int = 0) -> str:
        rng = random.Random(f"{self.seed}/{step // self.hold}")
        return rng.choices(self.candidates, self.weights)[0]

    def on_rows(self, count: int) -> list[str]:
        """The candidate on each of `count` training rows in all epochs, if `hold` counts rows.

        Rows are counted in the order of the task's file; training shuffles them.
        """
        return [self.at(row) for row in range(count)]

    def after_training(self) -> AfterTraining:
        return AfterTraining()


@dataclass(frozen=True)
class Draw:
    """The decision for one hold (from 0): the candidates `drawn`, and the one `kept`.

    losses: of those drawn, nats per answer token, on the rows of optimiser step `step` (from 0)
    """

    hold: int
    step: int
    drawn: list[int]
    losses: list[float]
    kept: int


@dataclass(frozen=True)
class Rescoring:
    """The losses of all candidates at the start of an epoch (2 or later), and the decision.

    step: number of optimiser steps taken before
    losses: nats per answer token on the scoring examples, by candidate
    lowest, lead: the candidate with the lowest loss, and its loss subtracted from that of `before`
    before, after: the candidates trained with before and after this rescoring
    """

    epoch: int
    step: int
    losses: list[float]
    lowest: int
    lead: float
    before: int
    after: int

    def __str__(self) -> str:
        epoch = f"epoch {self.epoch}"
        if self.lowest == self.before:
            return f"{epoch}: prompt #{self.before} still has the lowest loss"
        lead = f"{self.lead:.4f} nats per answer token"
        if self.after == self.before:
            rival = f"the loss of #{self.lowest} is {lead} lower, within noise"
            return f"{epoch}: prompt #{self.before} stays; {rival}"
        return f"{epoch}: prompt #{self.after} from now on, whose loss is {lead} below that of #{self.before}"


@dataclass(frozen=True)
class TrainingContext:
    """Callbacks and file path that a prompt schedule uses during training.

    record: the file with the schedule's decisions
    place: of that file in the run, for its checksum
    rescore: computes full losses of all candidates with the current model
    resolution: largest change of a mean that rounding may cause, in nats per answer token
    epochs: of the training
    notify: called with every rescoring
    """

    record: Path
    place: str
    rescore: Callable[[], Sequence[CandidateLoss]]
    resolution: float
    epochs: int
    notify: Callable[[Rescoring], None]


class _Record:
    """Decisions, one for each value of `key`, written to a file at once."""

    def __init__(self, training: TrainingContext, key: str) -> None:
        self._path, self._place, self._key = training.record, training.place, key
        self.made: list[dict[str, Any]] = []
        if self._path.exists():
            self.made = read_checked(self._path, self._again, self._place)

    def settled(self, value: int, decide: Callable[[], Draw | Rescoring]) -> dict[str, Any]:
        """The saved decision for this value of the key; if there is none, decide and save."""
        for decision in self.made:
            if decision[self._key] == value:
                return decision
        self.made.append(asdict(decide()))
        write_checked(self._path, self.made, self._place)
        return self.made[-1]

    def require(self, count: int) -> None:
        """Raises RunFolderError if there are fewer than `count` decisions."""
        if len(self.made) < count:
            raise RunFolderError(
                f"{self._path}: expected the decisions of a training that is finished, found "
                f"{f'{len(self.made)} of at least {count}' if self.made else 'none'}. {self._again}"
            )

    @property
    def _again(self) -> str:
        return (
            f"Put the file back, or delete {self._path.parent} and the folders of later stages: the same "
            "command then makes them again."
        )


class Adversarial:
    """For each hold of `hold` optimiser steps, the candidate with the highest loss of `draws` random ones.

    At the start of a hold, `draws` distinct candidates are drawn (all, if there are fewer). The one with the
    highest loss on the rows of the coming step is kept; a tie goes to the earlier one.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        draws: int,
        hold: int,
        seed: str,
        training: TrainingContext,
    ) -> None:
        self._candidates, self._draws, self._hold, self._seed = candidates, draws, hold, seed
        self._record = _Record(training, "hold")

    def at(self, step: int, loss: Loss, epoch: int = 0) -> str:
        hold = step // self._hold
        kept: int = self._record.settled(hold, partial(self._draw, hold, step, loss))["kept"]
        return self._candidates[kept].text

    def _draw(self, hold: int, step: int, loss: Loss) -> Draw:
        rng = random.Random(f"{self._seed}/{hold}")
        numbers = range(len(self._candidates))
        drawn = sorted(rng.sample(numbers, min(self._draws, len(numbers))))
        losses = [loss(self._candidates[number].text) for number in drawn]
        return Draw(hold, step, drawn, losses, drawn[losses.index(max(losses))])

    def after_training(self) -> AfterTraining:
        """After training, the task's rows keep the candidate of the last hold."""
        self._record.require(1)
        return AfterTraining(replayed=self._candidates[self._record.made[-1]["kept"]])


class Rescored:
    """The candidate with the lowest loss, chosen again at the start of every epoch.

    The current candidate is replaced only if another candidate's loss is significantly lower (paired t-test
    over the scoring examples, at 1 % (racing.ERROR) / number of rivals), and lower by more than rounding may
    cause. A race drops candidates by the same test. But here the examples are a sample of all possible
    examples of the task, so the test stays uncertain even after all of them were scored. They are training
    examples, learned under the current candidate, which favours it.
    """

    def __init__(self, candidates: Sequence[Candidate], chosen: Candidate, training: TrainingContext) -> None:
        self._candidates, self._chosen, self._training = candidates, chosen, training
        self._record = _Record(training, "epoch")

    def at(self, step: int, loss: Loss, epoch: int) -> str:
        if epoch == 0:
            return self._chosen.text
        after: int = self._record.settled(epoch + 1, partial(self._rescore, step, epoch + 1))["after"]
        return self._candidates[after].text

    def _rescore(self, step: int, epoch: int) -> Rescoring:
        from sapo_lite.prompts.racing import leader  # which imports scipy

        scores = self._training.rescore()
        losses, sums = [score.token_mean for score in scores], {s.index: s.nll_sum for s in scores}
        before, lowest = self._current.index, leader(sums)
        lead = losses[before] - losses[lowest]
        clear = lead > self._training.resolution and _beyond_chance(sums, before)
        found = Rescoring(epoch, step, losses, lowest, lead, before, lowest if clear else before)
        self._training.notify(found)
        return found

    def after_training(self) -> AfterTraining:
        self._record.require(self._training.epochs - 1)
        found = tuple(Rescoring(**entry) for entry in self._record.made)
        return AfterTraining(self._current, self._current, found)

    @property
    def _current(self) -> Candidate:
        """The candidate chosen by the latest rescoring."""
        made = self._record.made
        return self._candidates[made[-1]["after"]] if made else self._chosen


def _beyond_chance(losses: Mapping[int, Sequence[float]], candidate: int) -> bool:
    """Whether the candidate is significantly worse than the one with the lowest loss.

    losses: candidate -> nats of every example; false for a single example
    """
    from sapo_lite.prompts.racing import survivors

    if len(losses[candidate]) < 2:
        return False
    return candidate not in survivors(losses, math.inf, comparisons=len(losses) - 1)
