"""Plan of a run: the work of every stage and every task, counted without loading the backbone.

    plan = plan_of(recipe, tasks)
    plan.total.answers, plan.of_task(tasks[0]).forwards, plan.of_stage(1).steps

`run --dry-run`, `compare --dry-run` and the time that a comparison has left all read this plan.
tests/run/test_workplan.py counts what runs do, and expects the plan.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sapo_lite.data.watch_sets import read_watch_set, watch_sets
from sapo_lite.learning.methods import METHODS, TaskGroup
from sapo_lite.learning.rollout_counts import rollouts_drawn
from sapo_lite.prompts.racing import rounds
from sapo_lite.prompts.strategies import strategy_of
from sapo_lite.prompts.strategy import Sizes
from sapo_lite.recipe import Recipe
from sapo_lite.types import Task, learned_tasks


@dataclass(frozen=True)
class Amount:
    """A count of work: exactly `most` if `exact`, else an upper bound."""

    most: int = 0
    exact: bool = True

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.most + other.most, self.exact and other.exact)

    def __str__(self) -> str:
        return f"{self.most:,}" if self.exact else f"up to {self.most:,}"


NONE = Amount()


@dataclass(frozen=True)
class Work:
    """Counts of work, if the source makes all paraphrases that are asked for. With fewer, they are lower.

    prompts: paraphrases to make
    forwards: pairs of candidate and example to score (losses)
    rollouts: answers to sample for rewriting
    steps: optimiser steps (without those of a rewriting policy)
    rows: training rows in these steps, counted once each epoch
    replayed: rows of earlier tasks among these
    answers: answers to generate, for test examples and to compare candidates by accuracy
    choices: choices of watch sets to score
    gradients: training rows whose gradient is measured before the first step
    """

    prompts: int = 0
    forwards: Amount = NONE
    rollouts: int = 0
    steps: int = 0
    rows: int = 0
    replayed: int = 0
    answers: Amount = NONE
    choices: int = 0
    gradients: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.prompts + other.prompts,
            self.forwards + other.forwards,
            self.rollouts + other.rollouts,
            self.steps + other.steps,
            self.rows + other.rows,
            self.replayed + other.replayed,
            self.answers + other.answers,
            self.choices + other.choices,
            self.gradients + other.gradients,
        )

    @property
    def weight(self) -> float:
        """Estimated time for a progress bar, in forward passes (measured on the embedded backbone).

        A training row takes about 3, an answer 2, a rollout 3: an answer that is also scored. Paraphrases are
        not counted: they are made before all runs.
        """
        return (
            1.0
            + self.forwards.most
            + self.choices
            + 3 * (self.rows + self.gradients)
            + 2 * self.answers.most
            + 3 * self.rollouts
        )


@dataclass(frozen=True)
class Piece:
    """Work of a stage on one task.

    stage: 0 is before any training
    task: None for work that the stage's tasks share
    copied_with: pieces of other runs (sapo_lite.compare.reuse); if one is copied, this work is skipped
    """

    stage: int
    task: Task | None
    work: Work
    copied_with: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RunPlan:
    """All work of a run."""

    pieces: tuple[Piece, ...]

    def less(self, copied: Collection[str]) -> "RunPlan":
        """The plan without work that is skipped if pieces with these names are copied from other runs."""
        return RunPlan(tuple(piece for piece in self.pieces if piece.copied_with.isdisjoint(copied)))

    @property
    def total(self) -> Work:
        return _sum(self.pieces)

    def of_task(self, task: Task) -> Work:
        """Work on this task only: optimiser steps that tasks share are counted for the stage."""
        return _sum(piece for piece in self.pieces if piece.task is not None and piece.task.key == task.key)

    def of_stage(self, number: int) -> Work:
        return _sum(piece for piece in self.pieces if piece.stage == number)


def _sum(pieces: Iterable[Piece]) -> Work:
    return sum((piece.work for piece in pieces), Work())


def plan_of(recipe: Recipe, tasks: Sequence[Task]) -> RunPlan:
    """Count the work of a run of the recipe on these tasks.

    Not counted: retries of the guard, and tasks of lm-evaluation-harness, whose sizes are not known here.
    """
    method, past, learned = METHODS[recipe.adapter.method], list[int](), list[Task]()
    watched = [task for task in tasks if task.watched]
    tasks = learned_tasks(tasks)
    untrained = frozenset({"zero-shot"})
    pieces = [*_prompts(recipe, tasks), *_tests(recipe, tasks, (), [], 0, untrained)]
    pieces += _watching(recipe, watched, 0, untrained)
    if recipe.prompt.state == "base":
        pieces += [Piece(0, task, _measured(recipe, task), frozenset({"losses"})) for task in tasks]
    for number, group in enumerate(method.groups(tasks), start=1):
        learned += group
        new = sum(len(task.train) for task in group)
        replayed = method.replay_count(recipe.adapter, past, new)
        past += [len(task.train) for task in group]
        copied_with = frozenset({"first stage"} if number == 1 else ())
        pieces += _learning(recipe, group, replayed, number, copied_with)
        pieces += _tests(recipe, tasks, group, learned, number, copied_with)
        pieces += _watching(recipe, watched, number, copied_with)
    last = pieces[-1].stage
    robustness = recipe.evaluation.robustness
    for task in tasks:
        prompts = min(robustness, held_out(recipe, task))
        pieces.append(Piece(last, task, Work(answers=Amount(prompts * len(task.test)))))
    return RunPlan(tuple(pieces))


def candidates(recipe: Recipe, task: Task) -> int:
    """Number of candidates to choose from, the original instruction included."""
    chooses = recipe.needs.choice and bool(task.instruction.strip())
    return 1 + recipe.paraphrase.count * chooses


def held_out(recipe: Recipe, task: Task) -> int:
    """Number of paraphrases that are used for testing only."""
    return recipe.paraphrase.held_out if task.instruction.strip() else 0


def _prompts(recipe: Recipe, tasks: Sequence[Task]) -> Iterator[Piece]:
    for task in tasks:
        if recipe.wants_candidates and task.instruction.strip():
            yield Piece(0, task, Work(prompts=recipe.paraphrase.wanted), frozenset({"candidates"}))


def _learning(
    recipe: Recipe, group: TaskGroup, replayed: int, number: int, copied_with: frozenset[str]
) -> Iterator[Piece]:
    """Work of one stage before its test: choosing prompts and training."""
    training = recipe.training
    steps = training.steps(sum(len(task.train) for task in group) + replayed)
    for task in group:
        if recipe.prompt.state != "base":
            before = copied_with | ({"losses"} if number == 1 else set())
            yield Piece(number, task, _measured(recipe, task), before)
        rollouts = rollouts_drawn(recipe.rewrite, len(task.train)) if recipe.rewrite.enabled else 0
        yield Piece(
            number,
            task,
            Work(
                forwards=_scored_in_training(recipe, task, steps),
                rollouts=rollouts,
                rows=training.epochs * len(task.train),
                gradients=len(task.train) if training.gradient_norm else 0,
            ),
            copied_with,
        )
    seen = training.epochs * replayed
    alone = group[0] if len(group) == 1 else None
    yield Piece(number, alone, Work(steps=steps, rows=seen, replayed=seen), copied_with)


def _measured(recipe: Recipe, task: Task) -> Work:
    """Comparison of the candidates before training. An upper bound if a race has more than one round."""
    pool, examples = candidates(recipe, task), _examples(recipe, task)
    strategy = strategy_of(recipe.prompt.model_dump())
    if pool < 2 or not strategy.compares:
        return Work()
    if strategy.indicator is not None:
        return Work(answers=Amount(pool * examples * strategy.indicator.answers))
    races = recipe.scoring.race and strategy.races
    return Work(forwards=Amount(pool * examples, exact=not races or len(rounds(examples)) == 1))


def _scored_in_training(recipe: Recipe, task: Task, steps: int) -> Amount:
    """Forward passes during training (rescoring, adversarial sampling), at most."""
    pool, training = candidates(recipe, task), recipe.training
    if pool < 2:
        return NONE
    sizes = Sizes(len(task.train), pool, _examples(recipe, task), steps, training.epochs, training.batch_size)
    most = strategy_of(recipe.prompt.model_dump()).forwards_in_training(recipe.prompt, sizes)
    return Amount(most, exact=not most)


def _examples(recipe: Recipe, task: Task) -> int:
    """Number of examples that a candidate is scored on."""
    return recipe.scoring.examples(len(task.train))


def _tests(
    recipe: Recipe,
    tasks: Sequence[Task],
    group: TaskGroup,
    learned: Sequence[Task],
    number: int,
    copied_with: frozenset[str],
) -> Iterator[Piece]:
    """Answers of one stage. A task that has no prompt of a kind is tested with the original instruction.

    group: tasks that were learned in this stage; `learned` has those of earlier stages, too
    """
    keeps = strategy_of(recipe.prompt.model_dump()).keeps_original
    for task in tasks:
        matrix = task in group or len(learned) == len(tasks)
        kinds = set(recipe.test_kinds if matrix else recipe.evaluation.kinds)
        chosen = "chosen" in kinds and task in learned and candidates(recipe, task) > 1 and not keeps
        unseen = "unseen" in kinds and held_out(recipe, task) > 0
        other = "other" in kinds
        original = len(kinds) > chosen + unseen + other
        answers = Amount(
            (chosen + unseen + original + other) * len(task.test),
            # The chosen candidate may be the original, and what another run chose may be any of these.
            exact=not (chosen and original) and not other,
        )
        yield Piece(number, task, Work(answers=answers), copied_with)


def _watching(
    recipe: Recipe, watched: Sequence[Task], number: int, copied_with: frozenset[str]
) -> Iterator[Piece]:
    """Tests of watched tasks and of shipped watch sets in one stage."""
    for task in watched:
        yield Piece(number, task, Work(answers=Amount(len(task.test))), copied_with)
    sets = [name for name in recipe.sequence.watch if name in watch_sets()]
    choices = sum(len(item.choices) for name in sets for item in read_watch_set(name))
    yield Piece(number, None, Work(choices=choices), copied_with)
