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
        ("scoring.drop_remainder", "scoring.score_examples"),
        lambda unit, examples: unit <= examples,
        "at most scoring.score_examples ({1})",
    ),
    Rule(
        ("model.cut", "prompt.rescore"),
        lambda cut, rescore: cut == "input" or rescore == "never",
        '"input" (prompt.rescore is "{1}", which compares losses on equal answers)',
    ),
    Rule(
        ("model.cut", "rewrite.enabled"),
        lambda cut, enabled: cut == "input" or not enabled,
        '"input" (rewrite.enabled is true, which needs whole answers)',
    ),
    Rule(
        ("paraphrase.unlike", "paraphrase.request"),
        lambda unlike, request: not unlike or request == "varied",
        'false (paraphrase.request is "{1}": the same request every time)',
    ),
    Rule(
        ("model.max_instruction_tokens", "model.max_source_tokens"),
        lambda instruction, source: instruction is None or instruction < source,
        "less than model.max_source_tokens ({1})",
    ),
    Rule(
        ("model.max_instruction_tokens", "model.cut"),
        lambda instruction, cut: instruction is None or cut == "input",
        'nothing (model.cut is "{1}", which gives instructions no budget)',
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
