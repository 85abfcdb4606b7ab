"""Training answers in the backbone's own words: the RL rewriting agent (arXiv 2602.11220).

    rewriting = rewrite(backbone, training_set, recipe, seed=seed, scratch=folder, progress=progress)
    rows = rewriting.applied(training_set.rows)

Fine-tuning on answers that a model would not have given makes it forget more than fine-tuning on its own.
So before a task is learned, a policy (the frozen backbone with a LoRA of its own) learns to give the task's
answers in the backbone's own words. Then every row takes a rewrite with the same meaning, or keeps its
answer. The learner's LoRA is off meanwhile: answers are rewritten towards the backbone, not towards what was
learned before.
"""

import random
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from sapo_lite.evaluation.final_answers import Answers, Kind, answers_of, extracted_scores
from sapo_lite.learning.rewriting.lora import base_alone, policy_lora, undisturbed
from sapo_lite.learning.rewriting.policy import train_policy
from sapo_lite.learning.rewriting.request import encode_requests
from sapo_lite.learning.rewriting.reward import Judged, judge
from sapo_lite.learning.rewriting.rollouts import Rollout, roll_out
from sapo_lite.learning.rollout_counts import TRIED, policy_steps
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.ranks import alone
from sapo_lite.types import Task, TrainingRow, TrainingSet

if TYPE_CHECKING:
    from sapo_lite.recipe import Recipe
    from sapo_lite.support.progress import Progress

__all__ = ["Rewriting", "RewrittenRow", "extracted_scores", "rewrite"]


@dataclass(frozen=True)
class RewrittenRow:
    """A training row's answer, its rewrite (None: it keeps its answer) and the rewrite's reward.

    `passed` is the number of the row's rollouts that passed the gate.
    """

    answer: str
    rewrite: str | None
    reward: float
    passed: int


@dataclass(frozen=True)
class Rewriting:
    """Result of rewriting the answers of a task's training rows.

    `shown` says whether requests contained the answers or were the task's own prompts.
    `policy_rewards` has the mean reward of each policy step, and is empty without training.
    """

    task: str
    kind: Kind
    shown: bool
    rollouts: int
    policy_rewards: list[float]
    rows: list[RewrittenRow] = field(repr=False)

    @property
    def notice(self) -> str | None:
        """A notice for the user about the rewriting, or None."""
        if any(row.rewrite is not None for row in self.rows):
            return None
        return f"{self.task}: no rewrite says what its answer does, so all answers are kept"

    def applied(self, rows: Sequence[TrainingRow]) -> list[TrainingRow]:
        """The rows with their training answers: rewrites where there are any."""
        return [
            row if found.rewrite is None else replace(row, answer=found.rewrite)
            for row, found in zip(rows, self.rows, strict=True)
        ]


def rewrite(
    backbone: Backbone,
    training_set: TrainingSet,
    recipe: "Recipe",
    *,
    seed: int,
    scratch: Path,
    progress: "Progress",
) -> Rewriting:
    """Rewrite the answers of a training set's rows with a trained policy or (`best_of`) the plain backbone.

    The random draws depend on the seed only. The backbone, the learner's LoRA and the states of all random
    generators are the same afterwards. `scratch` is a folder that may be created.
    """
    answers, draws = answers_of(training_set.task), random.Random(f"{seed}/{training_set.task.id}/rewrite")
    agent = _Agent(backbone, training_set.task, answers, training_set.rows, recipe, draws)
    config, policy = recipe.rewrite, recipe.rewrite.policy == "rl"
    lora: AbstractContextManager[Any] = base_alone(backbone)
    if policy:
        lora = policy_lora(backbone, rank=config.rank, alpha=config.alpha, seed=seed)
    with alone(backbone), undisturbed(backbone), lora as parameters:
        shown = agent.choose_request()
        rewards = agent.train(parameters, scratch, seed, progress) if policy else []
        rows = agent.rewrite(progress)
    rewriting = Rewriting(training_set.task.name, answers.kind, shown, config.rollouts, rewards, rows)
    if rewriting.notice:
        progress.notice(rewriting.notice)
    return rewriting


@dataclass
class _Agent:
    """Rewrites the answers of one task's rows with the LoRA of the backbone that is switched on."""

    backbone: Backbone
    task: Task
    answers: Answers
    rows: Sequence[TrainingRow]
    recipe: "Recipe"
    draws: random.Random
    prompts: list[list[int]] = field(default_factory=list)

    def choose_request(self) -> bool:
        """Choose the kind of request for which more rollouts of the first rows pass the gate.

        A request shows the answer (true, also in a tie). For a model too small to follow such an instruction,
        it is the task's own prompt (false).
        """
        tried = range(min(TRIED, len(self.rows)))
        passed = {}
        for shown in (True, False):
            self.prompts = self._requests(shown=shown)
            passed[shown] = sum(judged.passed for judged in self._judge(tried, self._roll(tried)))
        best = max(passed, key=lambda shown: passed[shown])
        self.prompts = self._requests(shown=best)
        return best

    def train(
        self, parameters: Sequence[nn.Parameter], scratch: Path, seed: int, progress: "Progress"
    ) -> list[float]:
        """Train the policy on the first rows. Returns the mean reward of each step."""
        config = self.recipe.rewrite
        prompts = self.prompts[: config.prompts]
        with progress.work("training the rewriter", policy_steps(len(prompts), config), "steps") as meter:
            return train_policy(
                self.backbone,
                parameters,
                prompts,
                self._roll,
                lambda numbers, rollouts: [judged.reward for judged in self._judge(numbers, rollouts)],
                config,
                checkpointing=self.recipe.training.gradient_checkpointing,
                scratch=scratch,
                seed=seed,
                on_step=lambda reward: meter.advance(1, f"mean reward {reward:.3f}"),
            )

    def rewrite(self, progress: "Progress") -> list[RewrittenRow]:
        """The rollout with the highest reward for every row, if it passes the gate."""
        found: list[RewrittenRow] = []
        size, copies = self.recipe.rewrite.batch_size, self.recipe.rewrite.rollouts
        with progress.work("rewriting", len(self.rows), "answers") as meter:
            for start in range(0, len(self.rows), size):
                numbers = range(start, min(start + size, len(self.rows)))
                judged = self._judge(numbers, self._roll(numbers))
                for place, n in enumerate(numbers):
                    found.append(_best(self.rows[n], judged[place * copies : (place + 1) * copies]))
                share = sum(row.rewrite is not None for row in found) / len(found)
                meter.advance(len(numbers), f"{share:.0%} rewritten")
        return found

    def _requests(self, *, shown: bool) -> list[list[int]]:
        return encode_requests(self.backbone, self.task, self.rows, self.answers.kind, shown=shown)

    def _roll(self, numbers: Sequence[int]) -> list[Rollout]:
        return roll_out(
            self.backbone,
            [self.prompts[n] for n in numbers],
            self.recipe.rewrite.rollouts,
            temperature=self.recipe.rewrite.temperature,
            batch_size=self.recipe.rewrite.batch_size,
            draws=self.draws,
        )

    def _judge(self, numbers: Sequence[int], rollouts: Sequence[Rollout]) -> list[Judged]:
        rows = [self.rows[n] for n in numbers]
        return judge(self.backbone, self.task, self.answers, rows, rollouts, self.recipe.rewrite)


def _best(row: TrainingRow, judged: Sequence[Judged]) -> RewrittenRow:
    passed = [one for one in judged if one.passed]
    if not passed:
        return RewrittenRow(row.answer, None, 0.0, 0)
    best = max(passed, key=lambda one: one.reward)
    return RewrittenRow(row.answer, best.text, best.reward, len(passed))
