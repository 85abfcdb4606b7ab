"""Number of answers that are sampled to rewrite those of a task. This module does not import torch."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sapo_lite.recipe import RewriteConfig

# Rows on which both ways to ask the policy are tried.
TRIED = 16


def rows_of_a_step(rows: int, config: "RewriteConfig") -> int:
    """Rows of one optimiser step of the policy's training."""
    return min(rows, config.batch_size)


def policy_steps(rows: int, config: "RewriteConfig") -> int:
    """Optimiser steps on so many rows; rows that do not fill the last step of an epoch are left out of it."""
    return config.epochs * (rows // rows_of_a_step(rows, config))


def rollouts_drawn(config: "RewriteConfig", rows: int) -> int:
    """Samples for a task of `rows` rows: two trials of how to ask, the policy's training, the rewrites."""
    prompts = min(rows, config.prompts)
    trained = policy_steps(prompts, config) * rows_of_a_step(prompts, config)
    return config.rollouts * (2 * min(TRIED, rows) + (config.policy == "rl") * trained + rows)
