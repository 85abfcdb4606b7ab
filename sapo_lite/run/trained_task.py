"""Record of one trained task: training set, chosen prompt, rewrites, rescorings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sapo_lite.learning.rewriting import Rewriting
from sapo_lite.prompts.choice import Choice
from sapo_lite.prompts.schedules import Rescoring
from sapo_lite.types import Candidate, TrainingSet


@dataclass(frozen=True)
class TrainedTask:
    """Training set of a task, the choice of its candidate, and changes of answers and prompt.

    prompt: candidate that the task is tested with
    """

    training_set: TrainingSet
    choice: Choice
    prompt: Candidate
    rewriting: Rewriting | None = None
    rescorings: Sequence[Rescoring] = ()

    def after_training(self) -> "TrainedTask":
        """The record after training: prompts for testing and for replay are the last of the schedule."""
        if self.training_set.schedule is None:
            return self
        after, training_set = self.training_set.schedule.after_training(), self.training_set
        if after.replayed is not None:
            rows = [replace(row, instruction=after.replayed.text) for row in training_set.rows]
            training_set = TrainingSet(training_set.task, rows)
        return replace(
            self,
            training_set=training_set,
            prompt=after.final or self.prompt,
            rescorings=tuple(after.rescorings),
        )
