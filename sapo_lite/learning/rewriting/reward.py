"""The reward of a rewrite: gate x (alignment + weight x diversity) (arXiv 2602.11220).

The paper's weights and its encoder are unknown; the forms of the two terms here are ours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from sapo_lite.data.language import words_of
from sapo_lite.evaluation.final_answers import Answers
from sapo_lite.learning.rewriting.lora import base_alone
from sapo_lite.learning.rewriting.rollouts import Rollout
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.loss import answer_nll
from sapo_lite.types import Task, TrainingRow

if TYPE_CHECKING:
    from sapo_lite.recipe import RewriteConfig

# The least share of different ones among a rewrite's pairs of neighbouring words. "The answer is A. The
# answer is A." has 0.57, a fluent sentence 0.9 or more.
VARIETY = 0.7


@dataclass(frozen=True)
class Judged:
    """A rewrite and its reward, which is exactly 0 if the rewrite fails the gate."""

    text: str
    passed: bool
    reward: float


def judge(
    backbone: Backbone,
    task: Task,
    answers: Answers,
    rows: Sequence[TrainingRow],
    rollouts: Sequence[Rollout],
    config: "RewriteConfig",
) -> list[Judged]:
    """Rewards of the rollouts of these rows: the first `config.rollouts` are the first row's, and so on.

    A rewrite that was cut off, or that repeats itself, fails the gate.
    """
    size = config.rollouts
    groups = [(row, rollouts[n * size : (n + 1) * size]) for n, row in enumerate(rows)]

    def passes(row: TrainingRow, rollout: Rollout) -> bool:
        right = answers.consistent(rollout.text, row.answer, config.threshold)
        return rollout.finished and right and not repeats_itself(rollout.text, row.answer)

    passing = [replace(row, answer=one.text) for row, group in groups for one in group if passes(row, one)]
    aligned = alignment(backbone, task, passing)
    judged = []
    for row, group in groups:
        for one, diversity in zip(group, diversities([one.text for one in group]), strict=True):
            reward = 0.0
            if passed := passes(row, one):
                reward = aligned[replace(row, answer=one.text)] + config.diversity_weight * diversity
            judged.append(Judged(one.text, passed, reward))
    return judged


def repeats_itself(text: str, reference: str) -> bool:
    """Whether the text says more pairs of neighbouring words again than `VARIETY` and the reference allow.

    Ours: the alignment is a mean over tokens, and what is said again is likely, so an answer that is said two
    or three times would have the highest reward.
    """
    return _variety(text) < min(VARIETY, _variety(reference))


def alignment(backbone: Backbone, task: Task, rows: Sequence[TrainingRow]) -> dict[TrainingRow, float]:
    """Alignment of each row's answer with the base backbone, above 0 and at most 1.

    It is the geometric mean of the probabilities that the base gives to the answer tokens after the task's
    ordinary prompt.

    That is exp(length-normalised log-likelihood). The log-likelihood itself is negative, so the 0 of a failed
    gate would be the highest reward.
    """
    different = list(dict.fromkeys(rows))
    if not different:
        return {}
    with base_alone(backbone):
        nll_sum, tokens = answer_nll(backbone, backbone.chat.encode(task, different))
    means = (nll / n for nll, n in zip(nll_sum, tokens, strict=True))
    return {row: math.exp(-mean) for row, mean in zip(different, means, strict=True)}


def diversities(texts: Sequence[str]) -> list[float]:
    """Diversity of each text of a group, 0 to 1: 1 - its mean similarity to the other texts (leave one out).

    The similarity of two texts is the share of their distinct words and pairs of neighbouring words that both
    have (Jaccard). It needs no encoder, and two texts of the same words get exactly 0. The diversity of a
    single text is 0.
    """
    grams = [_grams(text) for text in texts]
    alone = len(texts) < 2
    return [
        0.0
        if alone
        else 1.0 - sum(_similarity(own, other) for m, other in enumerate(grams) if m != n) / (len(texts) - 1)
        for n, own in enumerate(grams)
    ]


def _variety(text: str) -> float:
    """Share of different ones among the pairs of neighbouring words (in Chinese, characters)."""
    pairs = list(pairwise(words_of(text)))
    return len(set(pairs)) / len(pairs) if pairs else 1.0


def _grams(text: str) -> frozenset[tuple[str, ...]]:
    words = words_of(text)
    return frozenset([*((word,) for word in words), *pairwise(words)])


def _similarity(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other) if one | other else 1.0
