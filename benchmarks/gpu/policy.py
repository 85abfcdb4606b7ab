"""Training of a rewriting policy for a few steps: GRPO with the model's own rollouts."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch

from sapo_lite.learning.rewriting.lora import policy_lora, undisturbed
from sapo_lite.learning.rewriting.policy import train_policy
from sapo_lite.learning.rewriting.rollouts import Rollout, roll_out
from sapo_lite.model.backbone import Backbone
from sapo_lite.recipe import RewriteConfig

CONFIG = RewriteConfig(rollouts=4, prompts=4, batch_size=2, learning_rate=1e-3)


def train_a_policy(
    backbone: Backbone, prompts: Sequence[Sequence[int]], scratch: Path
) -> tuple[list[float], float]:
    """Mean rewards of the steps (share of even tokens), and the distance of B from its initial zero."""
    draws = random.Random(0)

    def roll(numbers: Sequence[int]) -> list[Rollout]:
        wanted = [prompts[n] for n in numbers]
        return roll_out(backbone, wanted, CONFIG.rollouts, temperature=1.0, batch_size=2, draws=draws)

    def reward(_: Sequence[int], rollouts: Sequence[Rollout]) -> list[float]:
        return [sum(token % 2 == 0 for token in one.ids) / len(one.ids) for one in rollouts]

    lora = policy_lora(backbone, rank=CONFIG.rank, alpha=CONFIG.alpha, seed=0)
    with undisturbed(backbone), lora as parameters:
        rewards = train_policy(
            backbone, parameters, prompts, roll, reward, CONFIG, checkpointing=True, scratch=scratch, seed=0
        )
        with torch.no_grad():
            # The weights are A and B in turn; B is initially zero.
            moved = max(float(b.abs().max()) for b in parameters[1::2])
    return rewards, moved
