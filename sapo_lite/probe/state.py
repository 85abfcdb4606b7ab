"""A state: a run after some of its tasks, from which one more task is learned again and again."""

from collections.abc import Sequence
from dataclasses import dataclass

from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.steps import Step
from sapo_lite.learning.trainer import train
from sapo_lite.run.context import RunContext
from sapo_lite.run.pipeline import Reached
from sapo_lite.run.stage_folder import Stage, StageRecord
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.types import Candidate, Task, TrainingRow, TrainingSet

# Between the seeds of two orders of the same rows. A prime far above the distance of two runs' seeds.
_APART = 1_000_003


@dataclass(frozen=True)
class State:
    """A run after `learned` of its tasks, at least 1; the run may have gone further.

    The adapter that the run saved is loaded again for every training, and the next block is opened with the
    weights that the run itself would give it.
    """

    run: Reached
    learned: int

    @property
    def context(self) -> RunContext:
        return self.run.context

    @property
    def task(self) -> Task:
        """The task that is learned from this state."""
        return self.run.tasks[self.learned]

    @property
    def number(self) -> int:
        """Number of the stage in which the run learns the task."""
        return self.learned + 1

    @property
    def past(self) -> dict[str, TrainedTask]:
        """The tasks learned so far, by task id."""
        return {task.id: self.run.learned[task.id] for task in self.run.tasks[: self.learned]}

    @property
    def record(self) -> StageRecord:
        """Scores in this state."""
        return self.run.records[self.learned]

    @property
    def candidates(self) -> Sequence[Candidate]:
        return self.context.candidates(self.task)

    def restore(self) -> None:
        """Load the state: the adapter is as when the run has just finished its last stage."""
        adapter = self.context.adapter
        adapter.open_block(self.learned - 1, seed=self.context.seed(self.learned))
        adapter.load(self.run.stages[self.learned].adapter)

    def open(self) -> None:
        """Load the state and open the next block, untrained."""
        self.restore()
        self.context.adapter.open_block(self.learned, seed=self.context.seed(self.number))

    def training_set(self, candidate: Candidate) -> TrainingSet:
        """All training rows of the task, under one candidate."""
        rows = [TrainingRow(candidate.text, e.input, e.answer) for e in self.task.train]
        return TrainingSet(self.task, rows)

    def train(self, candidate: Candidate, order: int, stage: Stage) -> None:
        """Train the opened block as the run's next stage would.

        order: number of the order of the rows. 0 is that of the run; others also have other dropout masks
        stage: keeps the checkpoints
        """
        context, new = self.context, [self.training_set(candidate)]
        recipe, seed = context.recipe, context.seed(self.number)
        past = [one.training_set for one in self.past.values()]
        old = METHODS[recipe.adapter.method].replay_rows(context.backbone, recipe.adapter, past, new, seed)
        steps = recipe.training.steps(sum(len(one.rows) for one in [*new, *old]))
        with context.usage.measure("train"), context.progress.work("training", steps, "steps") as meter:
            reached = 0

            def report(step: Step) -> None:
                nonlocal reached
                meter.advance(step.number - reached, f"loss {step.loss:.3f}")
                reached = step.number

            train(
                context.backbone,
                context.adapter,
                [*new, *old],
                recipe.training,
                checkpoints=stage.checkpoints,
                seed=(seed + order * _APART) % 2**32,
                on_step=report,
            )
