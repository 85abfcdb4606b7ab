"""Prompt schedules: which candidate a task is trained with, when.

A schedule that asks the model while it is trained has each decision in a file before the step that it is
for. So training that is killed, and goes on from a checkpoint in the middle of a hold or of an epoch, finds
what was decided and does not ask another model.
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
from sapo_lite.support.files import read_json, write_json
from sapo_lite.types import Candidate

Loss = Callable[[str], float]


class PromptSchedule(Protocol):
    """Which wording the rows of a task have, by optimiser step."""

    def at(self, step: int, loss: Loss, epoch: int) -> str:
        """The wording of all rows of an optimiser step (from 0) in an epoch (from 0).

        `loss` gives the mean loss of these rows under a wording, with the model as it is, in nats per
        answer token. It costs a forward pass.
        """
        ...

    def after_training(self) -> "AfterTraining":
        """What the task goes on with. Asked once it is learned, or by a later process that finds it so."""
        ...


@dataclass(frozen=True)
class AfterTraining:
    """What a task goes on with once it is learned.

    final: the candidate that it is tested with; None where that is still the one chosen before training
    replayed: the candidate on its rows, where a later task replays them or EWC measures their gradients;
        None where the schedule goes on varying
    rescorings: what was found in between, for the results
    """

    final: Candidate | None = None
    replayed: Candidate | None = None
    rescorings: "Sequence[Rescoring]" = ()


@dataclass(frozen=True)
class RandomSchedule:
    """Wordings drawn by chance (PAFT, section 3.2), each held for `hold` optimiser steps.

    A function of the seed and the step alone, so that a resumed training goes on with the same ones.
    Drawn uniformly, or with probabilities proportional to `weights`.
    """

    wordings: tuple[str, ...] = field(repr=False)
    hold: int
    seed: str
    weights: tuple[float, ...] | None = field(default=None, repr=False)

    def at(self, step: int, loss: Loss | None = None, epoch: int = 0) -> str:
        rng = random.Random(f"{self.seed}/{step // self.hold}")
        return rng.choices(self.wordings, self.weights)[0]

    def after_training(self) -> AfterTraining:
        return AfterTraining()


@dataclass(frozen=True)
class Draw:
    """The wording of a hold (from 0): the one `kept` of the candidates `drawn`.

    losses: of those drawn, nats per answer token, on the rows of optimiser step `step` (from 0)
    """

    hold: int
    step: int
    drawn: list[int]
    losses: list[float]
    kept: int


@dataclass(frozen=True)
class Rescoring:
    """What the losses of all candidates were when an epoch began, the second (2) or a later one.

    step: optimiser steps taken before
    losses: nats per answer token on the scoring examples, by candidate
    lowest, lead: the candidate of the lowest loss, and how far its loss is below that of `before`
    before, after: the candidates trained with until then, and from then on
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
    """What a run gives to a schedule that asks the model while it is trained.

    record: the file that decisions are kept in
    rescore: full scores of all candidates, with the model as it is
    resolution: nats per answer token by which arithmetic alone may move a mean
    epochs: of the training
    notify: called with what every rescoring has found
    """

    record: Path
    rescore: Callable[[], Sequence[CandidateLoss]]
    resolution: float
    epochs: int
    notify: Callable[[Rescoring], None]


class _Record:
    """Decisions, one for each value of `key`, in a file from the moment they are made."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self.made: list[dict[str, Any]] = read_json(path) if path.exists() else []

    def settled(self, value: int, decide: Callable[[], Draw | Rescoring]) -> dict[str, Any]:
        """The decision for this value of the key, made now unless it was made before."""
        for decision in self.made:
            if decision[self._key] == value:
                return decision
        self.made.append(asdict(decide()))
        write_json(self._path, self.made)
        return self.made[-1]

    def require(self, count: int) -> None:
        """Raises RunFolderError if fewer decisions are there."""
        if len(self.made) < count:
            raise RunFolderError(
                f"{self._path}: expected the decisions of a training that is finished, found "
                f"{f'{len(self.made)} of at least {count}' if self.made else 'none'}. Put the file back, or "
                f"delete {self._path.parent} and the folders of later stages to have them made again."
            )


class Adversarial:
    """For `hold` optimiser steps at a time, of `draws` wordings the one that the model does worst with.

    When a hold begins, so many different candidates are drawn (all, if there are fewer), and the one
    with the highest loss on the rows of the step that is to be taken is kept; a tie goes to the earlier one.
    """

    def __init__(
        self, candidates: Sequence[Candidate], *, draws: int, hold: int, seed: str, record: Path
    ) -> None:
        self._candidates, self._draws, self._hold, self._seed = candidates, draws, hold, seed
        self._record = _Record(record, "hold")

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
        """Decisions were for the steps of this task: its rows keep the wording of the last one."""
        self._record.require(1)
        return AfterTraining(replayed=self._candidates[self._record.made[-1]["kept"]])


class Rescored:
    """The candidate of the lowest loss, looked for again when an epoch begins.

    The one that is trained with is left for the one of the lowest loss only where that is no chance: by
    a paired t-test over the scoring examples at 1 % (racing.ERROR) divided by the number of rivals, and
    by more than arithmetic may do. A race drops candidates by the same test, but here the examples are
    taken for a sample of all that the task might have, so that having seen all of them proves nothing.
    They are training examples, learned under the wording that is to be beaten, which favours that one.
    """

    def __init__(self, candidates: Sequence[Candidate], chosen: Candidate, training: TrainingContext) -> None:
        self._candidates, self._chosen, self._training = candidates, chosen, training
        self._record = _Record(training.record, "epoch")

    def at(self, step: int, loss: Loss, epoch: int) -> str:
        if epoch == 0:
            return self._chosen.text
        after: int = self._record.settled(epoch + 1, partial(self._rescore, step, epoch + 1))["after"]
        return self._candidates[after].text

    def _rescore(self, step: int, epoch: int) -> Rescoring:
        from sapo_lite.prompts.racing import leader  # which brings scipy

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
        """The candidate that the last rescoring so far led to."""
        made = self._record.made
        return self._candidates[made[-1]["after"]] if made else self._chosen


def _beyond_chance(losses: Mapping[int, Sequence[float]], candidate: int) -> bool:
    """Whether the candidate is worse than the one of the lowest loss, on other examples of the task too.

    losses: candidate -> nats of every example; a single example proves nothing
    """
    from sapo_lite.prompts.racing import survivors

    if len(losses[candidate]) < 2:
        return False
    return candidate not in survivors(losses, math.inf, comparisons=len(losses) - 1)
