"""Rules between the settings of a recipe.

The rules of strategies, adapter methods and sources are in registered.py.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A condition between settings. A fault is reported at the first key.

    `holds` gets the keys' values in order; `expected` is formatted with them.
    """

    keys: tuple[str, ...]
    holds: Callable[..., bool]
    expected: str


RULES = (
    Rule(
        ("scoring.race", "protocol"),
        lambda race, protocol: not (race and protocol == "paper"),
        'false (protocol is "paper")',
    ),
    Rule(
        ("scoring.reduction", "protocol"),
        lambda reduction, protocol: reduction == "batch_mean" or protocol != "paper",
        '"batch_mean" (protocol is "paper")',
    ),
    Rule(
        ("prompt.hold_unit", "prompt.sampling"),
        lambda unit, sampling: unit == "steps" or sampling != "adversarial",
        '"steps" (prompt.sampling is "adversarial", which decides by the loss of an optimiser step)',
    ),
    Rule(
        ("prompt.rescore", "training.epochs"),
        lambda rescore, epochs: rescore == "never" or epochs > 1,
        '"never" (training.epochs is 1)',
    ),
    Rule(
        ("prompt.rescore", "prompt.state"),
        lambda rescore, state: rescore == "never" or state == "current",
        '"never" (prompt.state is "base", but this is in the current one)',
    ),
    Rule(
        ("paraphrase.held_out", "evaluation.prompts"),
        lambda held_out, prompts: held_out or prompts != "all",
        'at least 1 (evaluation.prompts is "all")',
    ),
    Rule(
        ("paraphrase.held_out", "evaluation.robustness"),
        lambda held_out, tested: held_out >= tested,
        "at least evaluation.robustness ({1})",
    ),
    Rule(
        ("evaluation.matrix", "evaluation.other_run"),
        lambda matrix, other: matrix or other is None,
        'true (evaluation.other_run is "{1}")',
    ),
    Rule(
        ("training.batch_size", "training.micro_batch_size"),
        lambda batch, micro: batch % micro == 0,
        "a multiple of training.micro_batch_size ({1})",
    ),
    Rule(
        ("rewrite.rollouts", "rewrite.policy", "rewrite.enabled"),
        lambda rollouts, policy, enabled: rollouts >= 2 or policy != "rl" or not enabled,
        'at least 2 (rewrite.policy is "rl", which learns from their differences)',
    ),
    Rule(
        ("evaluation.max_new_tokens", "model.max_answer_tokens", "rewrite.enabled"),
        lambda tested, learned, enabled: tested >= learned or not enabled,
        "at least model.max_answer_tokens ({1}), which a rewritten answer may take",
    ),
)
