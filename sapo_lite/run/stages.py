"""Learning a sequence of tasks, one lesson at a time, and being tested after each."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sapo_lite.evaluation.evaluate import evaluate
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS, Lesson
from sapo_lite.learning.rewriting import Rewriting, extracted_scores, rewrite, rewriting_from_json
from sapo_lite.learning.trainer import Step, train
from sapo_lite.model.backbone import Backbone
from sapo_lite.prompts.choice import describe_choice
from sapo_lite.prompts.confidence import resolution
from sapo_lite.prompts.losses import CandidateLoss, scores_from_json, scores_to_json
from sapo_lite.prompts.pool import Pool
from sapo_lite.prompts.progress import PromptProgress
from sapo_lite.prompts.schedules import TrainingContext
from sapo_lite.prompts.scoring import measure
from sapo_lite.prompts.strategies import select, strategy_of
from sapo_lite.recipe import Recipe
from sapo_lite.run.folder import Stage
from sapo_lite.run.results import StageScores
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.run.usage import Usage
from sapo_lite.support.progress import Meter
from sapo_lite.types import Candidate, Task, TrainingSet


def stage_seed(recipe: Recipe, number: int) -> int:
    """Seed of the `number`-th stage, from 1; a resumed run so draws what an uninterrupted one would."""
    return recipe.seed * 1000 + number


@dataclass(frozen=True)
class Learner:
    """A backbone with an adapter that learns tasks and is tested on them, one stage at a time."""

    recipe: Recipe
    backbone: Backbone
    adapter: BlockAdapter
    pools: Mapping[str, Pool]
    usage: Usage
    progress: PromptProgress

    def learn(
        self, number: int, lesson: Lesson, past: Mapping[str, TrainedTask], stage: Stage
    ) -> dict[str, TrainedTask]:
        """Score, choose, train: the `number`-th lesson (from 1), after those of the `past`.

        Returns what was learned, by task id.
        """
        learned = {task.id: self._choose(number, task, stage, alone=len(lesson) == 1) for task in lesson}
        self.adapter.open_block(number - 1, seed=self._seed(number))
        if stage.adapter.exists():
            self.adapter.load(stage.adapter)
            return {task: found.after_training() for task, found in learned.items()}
        with self.usage.measure("train"):
            self._train(number, lesson, learned, past, stage)
            learned = {task: found.after_training() for task, found in learned.items()}
            if self.adapter.after_task is not None:
                self.adapter.after_task([found.part for found in learned.values()], self.progress)
            stage.keep_adapter(self.adapter.save)
        return learned

    def _choose(self, number: int, task: Task, stage: Stage, *, alone: bool) -> TrainedTask:
        """What a task is to be trained on. A lesson of several tasks keeps a file for each."""
        prompt = self.recipe.prompt
        pool, _ = self._split(task)
        if not self.recipe.needs.choice:
            pool = pool[:1]
        suffix = "" if alone else f"-{task.key}"
        scores = self._scores(number, task, pool, stage, f"losses{suffix}")
        training = TrainingContext(
            record=stage.path / f"wordings{suffix}.json",
            rescore=lambda: self._measure(number, task, pool, race=False),
            resolution=resolution(self.backbone),
            epochs=self.recipe.training.epochs,
            notify=lambda found: self.progress.notice(f"{task.name}, {found}"),
        )
        selection = select(prompt, task, pool, scores, seed=self._seed(number), training=training)
        choice = describe_choice(self.backbone, prompt.strategy, selection.chosen, scores)
        stage.cached(f"selection{suffix}", lambda: asdict(choice))
        part, rewriting = self._rewritten(number, selection.part, stage, f"rewrites{suffix}")
        return TrainedTask(part, choice, selection.chosen, rewriting)

    def _rewritten(
        self, number: int, part: TrainingSet, stage: Stage, name: str
    ) -> tuple[TrainingSet, Rewriting | None]:
        """The part with its answers rewritten under its wording, where the recipe asks for it."""
        if not self.recipe.rewrite.enabled:
            return part, None

        def made() -> dict[str, Any]:
            self.progress.stage(f"{self._heading(part.task)} · rewriting {len(part.rows)} answers")
            seed, scratch = self._seed(number), stage.checkpoints
            found = rewrite(
                self.backbone, part, self.recipe, seed=seed, scratch=scratch, progress=self.progress
            )
            return asdict(found)

        with self.usage.measure("rewrite"):
            rewriting = rewriting_from_json(stage.cached(name, made))
        return replace(part, rows=rewriting.applied(part.rows)), rewriting

    def _scores(
        self, number: int, task: Task, pool: Sequence[Candidate], stage: Stage, name: str
    ) -> list[CandidateLoss]:
        """Losses of the candidates, where the strategy asks for them and there is something to choose."""
        if not self.recipe.needs.losses or len(pool) < 2:
            return []

        def measured() -> list[dict[str, Any]]:
            self.progress.stage(f"{self._heading(task)} · scoring {len(pool)} candidates")
            race = self.recipe.scoring.race and strategy_of(self.recipe.prompt.model_dump()).races
            return scores_to_json(self._measure(number, task, pool, race=race))

        with self.usage.measure("score"):
            return scores_from_json(stage.cached(name, measured))

    def _measure(
        self, number: int, task: Task, pool: Sequence[Candidate], *, race: bool
    ) -> list[CandidateLoss]:
        config = self.recipe.scoring
        scores = measure(
            self.backbone,
            task,
            pool,
            examples=config.score_examples,
            race=race,
            reduction=config.reduction,
            seed=self._seed(number),
            progress=self.progress,
        )
        self.progress.candidates(pool, scores, final=True)
        return scores

    def _train(
        self,
        number: int,
        lesson: Lesson,
        learned: Mapping[str, TrainedTask],
        past: Mapping[str, TrainedTask],
        stage: Stage,
    ) -> None:
        new, seed = [learned[task.id].part for task in lesson], self._seed(number)
        config, seen = self.recipe.adapter, [found.part for found in past.values()]
        old = METHODS[config.method].replay_rows(self.backbone, config, seen, new, seed)
        rows = sum(len(part.rows) for part in [*new, *old])
        heading = self._heading(lesson[0]) if len(lesson) == 1 else f"all {len(lesson)} tasks"
        again = "".join(f", {len(part.rows)} of them of {part.task.name}" for part in old)
        self.progress.stage(f"{heading} · training on {rows} examples{again}")
        with self.progress.work("training", self.recipe.training.steps(rows), "steps") as meter:
            reached = 0

            def report(step: Step) -> None:
                nonlocal reached
                penalty = f" + penalty {step.penalty:.3f}" if step.penalty else ""
                meter.advance(step.number - reached, f"loss {step.loss:.3f}{penalty}")
                reached = step.number

            train(
                self.backbone,
                self.adapter,
                [*new, *old],
                self.recipe.training,
                checkpoints=stage.checkpoints,
                seed=seed,
                on_step=report,
            )

    def test(self, tasks: Sequence[Task], learned: Mapping[str, TrainedTask], stage: Stage) -> StageScores:
        """Scores of all tasks, under the wordings that the recipe asks for. Finishes the stage."""
        self.progress.stage(f"testing after {len(learned)} of {len(tasks)} tasks")
        kinds = self.recipe.evaluation.kinds
        todo = [(task, {kind: self._wordings(task, learned, kind) for kind in kinds}) for task in tasks]
        answers = sum(len(task.test) * len(set(by_kind.values())) for task, by_kind in todo)
        scores: StageScores = {kind: [] for kind in kinds}
        with self.usage.measure("evaluate"), self.progress.work("testing", answers, "answers") as meter:
            for task, by_kind in todo:
                for kind, wordings in by_kind.items():
                    # Kinds that come to the same have the same answers.
                    name = "original" if wordings == (task.instruction,) else kind
                    scores[kind].append(self._test(task, name, wordings, stage, meter))
        stage.cached("scores", lambda: scores)
        stage.finish()
        return scores

    def _test(
        self, task: Task, name: str, wordings: Sequence[str], stage: Stage, meter: Meter
    ) -> dict[str, float]:
        """Mean scores of one task under wordings in turn; answers are kept with them."""

        def answer() -> dict[str, Any]:
            def report(count: int) -> None:
                meter.advance(count, task.name)

            found = evaluate(self.backbone, task, wordings, self.recipe.evaluation, report)
            if self.recipe.rewrite.enabled:
                found.scores.update(extracted_scores(task, found.predictions))
            return asdict(found)

        scores: dict[str, float] = stage.cached(f"predictions/{task.key}-{name}", answer)["scores"]
        return scores

    def _wordings(self, task: Task, learned: Mapping[str, TrainedTask], kind: str) -> tuple[str, ...]:
        """What `task` is tested with: its original wording where there is no other of this kind."""
        if kind == "chosen" and task.id in learned:
            return (learned[task.id].prompt.text,)
        _, held_out = self._split(task)
        if kind == "unseen" and held_out:
            return tuple(candidate.text for candidate in held_out)
        return (task.instruction,)

    def _split(self, task: Task) -> tuple[Sequence[Candidate], Sequence[Candidate]]:
        """The task's candidates to choose from, and those held out."""
        return self.pools[task.id].split(self.recipe.paraphrase.held_out)

    def _heading(self, task: Task) -> str:
        """`task 2 of 5: odd_one_out`."""
        return f"task {list(self.pools).index(task.id) + 1} of {len(self.pools)}: {task.name}"

    def _seed(self, number: int) -> int:
        return stage_seed(self.recipe, number)
