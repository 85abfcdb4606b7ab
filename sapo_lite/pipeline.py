"""The method, from a recipe to its results. `run` reads like the paper's algorithm."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from sapo_lite.adapters import ADAPTERS, BlockAdapter, Lesson, name_of
from sapo_lite.backbone import Backbone, load_backbone
from sapo_lite.choice import Choice, judge, measure, scores_from_json, scores_to_json
from sapo_lite.display import Display, Meter
from sapo_lite.evaluation import evaluate
from sapo_lite.paraphrase import (
    Pool,
    Surroundings,
    make_pools,
    original_alone,
    pool_from_json,
    pool_to_json,
)
from sapo_lite.recipe import Recipe, differences
from sapo_lite.results import Results, StageScores, collect, published_row, stand_ins
from sapo_lite.rewriting import Rewriting, extracted_scores, rewrite, rewriting_from_json
from sapo_lite.rundir import RunFolder, Stage
from sapo_lite.selfcheck import ROWS, check_packs, require_plain_logits
from sapo_lite.strategies import STRATEGIES, select
from sapo_lite.tasks import data_fingerprint, load_sequence
from sapo_lite.training import Step, optimiser_steps, train
from sapo_lite.types import Candidate, CandidateScore, Part, Task, TrainRow
from sapo_lite.usage import Usage, environment


def run(
    recipe: Recipe, folder: RunFolder, show: Display, data: Path | None = None, *, pull: bool = False
) -> Results:
    """Learn the recipe's tasks one after another; go on where an earlier process stopped.

    `data` is looked at first for the suite. With `pull`, a paraphrasing model that Ollama lacks is
    fetched.

    Raises:
        SapoLiteError: anything a user can put right; the message says how.
    """
    tasks = load_sequence(recipe.sequence, data)
    folder.bind(recipe.resolved(), data_fingerprint(tasks), differences)
    for notice in stand_ins(tasks):
        show.notice(notice)
    usage = Usage(folder)
    load = cache(partial(load_backbone, recipe.model))
    with usage.measure("paraphrase"):
        pools = paraphrase(recipe, tasks, folder, show, load, pull=pull)
    # Only now that other paraphrasing models have left the memory is the backbone loaded.
    with usage.measure("load"):
        show.stage("loading the backbone")
        backbone = load()
        tasks = [backbone.chat.fit(task, [c.text for c in pools[task.id].candidates]) for task in tasks]
        method = ADAPTERS[recipe.adapter.method]
        adapter = method.build(
            backbone, recipe.adapter, tasks=len(tasks), checkpointing=recipe.training.gradient_checkpointing
        )
        folder.note_environment(environment(backbone))
    # The first block is opened for the check only: without it there is no gradient to compare.
    adapter.open_block(0, seed=recipe.seed)
    _check(backbone, tasks[0], show)
    learner = Learner(recipe, backbone, adapter, pools, usage, show)
    learned: dict[str, Learned] = {}
    scores = [learner.test(tasks, learned, folder.stage(0, "zero-shot"))]
    for number, lesson in enumerate(method.lessons(tasks), start=1):
        stage = folder.stage(number, name_of(lesson))
        learned |= learner.learn(number, lesson, learned, stage)
        scores.append(learner.test(tasks, learned, stage))
        show.scores([t.short_id for t in tasks], [published_row(s) for s in scores])
    choices = {task: found.choice for task, found in learned.items()}
    rewritings = {task: found.rewriting for task, found in learned.items() if found.rewriting}
    results = collect(recipe, tasks, list(pools.values()), choices, scores, rewritings)
    folder.write_results(results.as_json())
    return results


def paraphrase(
    recipe: Recipe,
    tasks: Sequence[Task],
    folder: RunFolder,
    show: Display,
    load: Callable[[], Backbone],
    *,
    pull: bool,
) -> dict[str, Pool]:
    """Candidate instructions of every task, by task id. Those that the run folder holds are kept.

    `load` gives the backbone, for recipes that have it paraphrase its own instructions.
    """
    if not recipe.wants_candidates:
        return {task.id: original_alone(task) for task in tasks}
    missing = [task for task in tasks if not folder.candidates.has(task.id)]
    around = Surroundings(show, seed=recipe.seed, pull=pull, own=(recipe.model, load))
    made = {pool.task: pool_to_json(pool) for pool in make_pools(missing, recipe.paraphrase, around)}
    return {
        task.id: pool_from_json(folder.candidates.cached(task.id, partial(made.__getitem__, task.id)), task)
        for task in tasks
    }


def _check(backbone: Backbone, task: Task, show: Display) -> None:
    """Compare packs with plain forward passes on a few rows, and say what the user should know."""
    rows = backbone.chat.encode(
        task, [TrainRow(task.instruction, e.input, e.answer) for e in task.train[:ROWS]]
    )
    require_plain_logits(backbone, rows[0].ids)
    unpacked = check_packs(backbone, rows, gradients=True)
    for warning in (backbone.notice, unpacked):
        if warning:
            show.notice(warning)


@dataclass(frozen=True)
class Learned:
    """What a task was trained on, the choice that led to it, and what became of its answers."""

    part: Part
    choice: Choice
    rewriting: Rewriting | None


@dataclass(frozen=True)
class Learner:
    """A backbone with an adapter that learns tasks and is tested on them, one stage at a time."""

    recipe: Recipe
    backbone: Backbone
    adapter: BlockAdapter
    pools: Mapping[str, Pool]
    usage: Usage
    show: Display

    def learn(
        self, number: int, lesson: Lesson, past: Mapping[str, "Learned"], stage: Stage
    ) -> dict[str, "Learned"]:
        """Score, choose, train: the `number`-th lesson (from 1), after those of the `past`.

        Returns what was learned, by task id.
        """
        learned = {task.id: self._choose(number, task, stage, alone=len(lesson) == 1) for task in lesson}
        self.adapter.open_block(number - 1, seed=self._seed(number))
        if stage.adapter.exists():
            self.adapter.load(stage.adapter)
        else:
            with self.usage.measure("train"):
                self._train(number, lesson, learned, past, stage)
                stage.keep_adapter(self.adapter.save)
        return learned

    def _choose(self, number: int, task: Task, stage: Stage, *, alone: bool) -> "Learned":
        """What a task is to be trained on. A lesson of several tasks keeps a file for each."""
        strategy, hold = self.recipe.prompt.strategy, self.recipe.prompt.hold
        pool, _ = self._split(task)
        if not STRATEGIES[strategy].needs_candidates:
            pool = pool[:1]
        suffix = "" if alone else f"-{task.short_id}"
        scores = self._scores(number, task, pool, stage, f"losses{suffix}")
        selection = select(strategy, task, pool, scores, seed=self._seed(number), hold=hold)
        choice = judge(self.backbone, strategy, selection.chosen, scores)
        stage.cached(f"selection{suffix}", lambda: asdict(choice))
        part, rewriting = self._rewritten(number, selection.part, stage, f"rewrites{suffix}")
        return Learned(part, choice, rewriting)

    def _rewritten(self, number: int, part: Part, stage: Stage, name: str) -> tuple[Part, Rewriting | None]:
        """The part with its answers rewritten under its wording, where the recipe asks for it."""
        if not self.recipe.rewrite.enabled:
            return part, None

        def made() -> dict[str, Any]:
            self.show.stage(f"task {number} {part.task.short_id}: rewriting {len(part.rows)} answers")
            seed, scratch = self._seed(number), stage.checkpoints
            found = rewrite(self.backbone, part, self.recipe, seed=seed, scratch=scratch, show=self.show)
            return asdict(found)

        with self.usage.measure("rewrite"):
            rewriting = rewriting_from_json(stage.cached(name, made))
        return replace(part, rows=rewriting.applied(part.rows)), rewriting

    def _scores(
        self, number: int, task: Task, pool: Sequence[Candidate], stage: Stage, name: str
    ) -> list[CandidateScore]:
        """Losses of the candidates, where the strategy asks for them and there is something to choose."""
        strategy, config = STRATEGIES[self.recipe.prompt.strategy], self.recipe.scoring
        if not strategy.needs_scores or len(pool) < 2:
            return []

        def measured() -> list[dict[str, Any]]:
            self.show.stage(f"task {number} {task.short_id}: scoring {len(pool)} candidates")
            scores = measure(
                self.backbone,
                task,
                pool,
                examples=config.score_examples,
                race=config.race and strategy.races,
                reduction=config.reduction,
                seed=self._seed(number),
                show=self.show,
            )
            return scores_to_json(scores)

        with self.usage.measure("score"):
            return scores_from_json(stage.cached(name, measured))

    def _train(
        self,
        number: int,
        lesson: Lesson,
        learned: Mapping[str, "Learned"],
        past: Mapping[str, "Learned"],
        stage: Stage,
    ) -> None:
        new, seed = [learned[task.id].part for task in lesson], self._seed(number)
        rehearse = ADAPTERS[self.recipe.adapter.method].rehearse
        parts = [
            *new,
            *rehearse(self.backbone, self.recipe.adapter, [old.part for old in past.values()], new, seed),
        ]
        rows = sum(len(part.rows) for part in parts)
        self.show.stage(f"task {number} {name_of(lesson)}: training on {rows} examples")
        with self.show.work("training", optimiser_steps(rows, self.recipe.training), "steps") as meter:
            reached = 0

            def report(step: Step) -> None:
                nonlocal reached
                penalty = f" + penalty {step.penalty:.3f}" if step.penalty else ""
                meter.advance(step.number - reached, f"loss {step.loss:.3f}{penalty}")
                reached = step.number

            train(
                self.backbone,
                self.adapter,
                parts,
                self.recipe.training,
                checkpoints=stage.checkpoints,
                seed=seed,
                on_step=report,
            )
        if self.adapter.consolidate is not None:
            self.adapter.consolidate(new)

    def test(self, tasks: Sequence[Task], learned: Mapping[str, "Learned"], stage: Stage) -> StageScores:
        """Scores of all tasks, under the wordings that the recipe asks for. Finishes the stage."""
        self.show.stage(f"testing after {len(learned)} of {len(tasks)} tasks")
        kinds = self.recipe.evaluation.kinds
        todo = [(task, {kind: self._wordings(task, learned, kind) for kind in kinds}) for task in tasks]
        answers = sum(len(task.test) * len(set(by_kind.values())) for task, by_kind in todo)
        scores: StageScores = {kind: [] for kind in kinds}
        with self.usage.measure("evaluate"), self.show.work("testing", answers, "answers") as meter:
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
                meter.advance(count, task.short_id)

            found = evaluate(self.backbone, task, wordings, self.recipe.evaluation, report)
            if self.recipe.rewrite.enabled:
                found.scores.update(extracted_scores(task, found.predictions))
            return asdict(found)

        scores: dict[str, float] = stage.cached(f"predictions/{task.short_id}-{name}", answer)["scores"]
        return scores

    def _wordings(self, task: Task, learned: Mapping[str, "Learned"], kind: str) -> tuple[str, ...]:
        """What `task` is tested with: its original wording where there is no other of this kind."""
        if kind == "chosen" and task.id in learned:
            return (learned[task.id].choice.chosen.text,)
        _, held_out = self._split(task)
        if kind == "unseen" and held_out:
            return tuple(candidate.text for candidate in held_out)
        return (task.instruction,)

    def _split(self, task: Task) -> tuple[Sequence[Candidate], Sequence[Candidate]]:
        """The task's candidates to choose from, and those held out."""
        return self.pools[task.id].split(self.recipe.paraphrase.held_out)

    def _seed(self, number: int) -> int:
        """Every stage has its own seed, so that a resumed run draws what an uninterrupted one would."""
        return self.recipe.seed * 1000 + number
