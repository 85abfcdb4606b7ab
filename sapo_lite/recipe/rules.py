"""What must hold between the settings of a recipe, beyond what each may be by itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """What must hold between settings. The first key is the one reported.

    `holds` takes the keys' values in order, and `expected` is formatted with them.
    """

    keys: tuple[str, ...]
    holds: Callable[..., bool]
    expected: str


# Defaults of settings that one way of sampling alone has a use for. At this temperature, draws from nine
# pools of 21 wordings (the lab's and SUPERNI's, losses of the embedded backbone) had the entropy of uniform
# draws from 2 to 18, 13 in the median.
TEMPERATURE = 0.2
DRAWS = 4


def wants_candidates(strategy: str, count: int, held_out: int) -> bool:
    """Whether anything is to be paraphrased: some strategies train on the original instruction alone."""
    return held_out > 0 or (strategy not in ("fixed", "rewrite") and count > 0)


def _names(backend: str | Sequence[str]) -> list[str]:
    """The sources of a backend that may be written as one."""
    return [backend] if isinstance(backend, str) else list(backend)


def _kinds(backend: str | Sequence[str]) -> set[str]:
    return {name.partition("/")[0] for name in _names(backend)}


def _is_behind(backend: str | Sequence[str], kind: str, other: str) -> bool:
    """Whether a source of one kind comes later than one of the other."""
    kinds = [name.partition("/")[0] for name in _names(backend)]
    return other in kinds and kind in kinds[kinds.index(other) :]


_CANDIDATE_KEYS = ("paraphrase.backend", "prompt.strategy", "paraphrase.count", "paraphrase.held_out")
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
        ("scoring.reduction", "scoring.race", "prompt.strategy", "prompt.top_k"),
        lambda reduction, race, strategy, top_k: (
            reduction == "token_mean" or not (race and strategy == "sapo" and top_k == 1)
        ),
        '"token_mean" (scoring.race is true)',
    ),
    Rule(
        ("prompt.sampling", "prompt.strategy"),
        lambda sampling, strategy: sampling == "uniform" or strategy == "paft",
        '"uniform" (prompt.strategy is "{1}")',
    ),
    Rule(
        ("prompt.temperature", "prompt.sampling"),
        lambda temperature, sampling: temperature == TEMPERATURE or sampling == "importance",
        f'{TEMPERATURE} (prompt.sampling is "{{1}}")',
    ),
    Rule(
        ("prompt.draws", "prompt.sampling"),
        lambda draws, sampling: draws == DRAWS or sampling == "adversarial",
        f'{DRAWS} (prompt.sampling is "{{1}}")',
    ),
    Rule(
        ("prompt.top_k", "prompt.strategy"),
        lambda top_k, strategy: top_k == 1 or strategy == "sapo",
        '1 (prompt.strategy is "{1}")',
    ),
    Rule(
        ("prompt.rescore", "prompt.strategy"),
        lambda rescore, strategy: rescore == "never" or strategy == "sapo",
        '"never" (prompt.strategy is "{1}")',
    ),
    Rule(
        ("prompt.rescore", "training.epochs"),
        lambda rescore, epochs: rescore == "never" or epochs > 1,
        '"never" (training.epochs is 1)',
    ),
    Rule(
        ("prompt.rescore", "prompt.top_k"),
        lambda rescore, top_k: rescore == "never" or top_k == 1,
        '"never" (prompt.top_k is {1})',
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
        ("adapter.penalty_weight", "adapter.method"),
        lambda weight, method: weight != 0 or method not in {"olora", "ewc"},
        'a number above 0 (adapter.method is "{1}")',
    ),
    Rule(
        ("training.batch_size", "training.micro_batch_size"),
        lambda batch, micro: batch % micro == 0,
        "a multiple of training.micro_batch_size ({1})",
    ),
    Rule(
        ("paraphrase.model", *_CANDIDATE_KEYS),
        lambda model, backend, *wants: (
            model or not wants_candidates(*wants) or not {"ollama", "openai"}.intersection(_names(backend))
        ),
        'the name of a model (paraphrase.backend has "ollama" or "openai" without one)',
    ),
    Rule(
        ("paraphrase.base_url", *_CANDIDATE_KEYS),
        lambda url, backend, *wants: url or not wants_candidates(*wants) or "openai" not in _kinds(backend),
        'the address of an endpoint (paraphrase.backend has "openai")',
    ),
    Rule(
        ("paraphrase.path", *_CANDIDATE_KEYS),
        lambda path, backend, *wants: path or not wants_candidates(*wants) or "file" not in _kinds(backend),
        'a file of candidates (paraphrase.backend has "file")',
    ),
    Rule(
        _CANDIDATE_KEYS,
        lambda backend, *wants: not wants_candidates(*wants) or not _is_behind(backend, "ollama", "self"),
        '"self" behind "ollama", since the backbone stays in memory once it is loaded',
    ),
    Rule(
        ("paraphrase.minimum", "paraphrase.count", "prompt.strategy"),
        lambda least, count, strategy: least <= count or not wants_candidates(strategy, count, 0),
        "at most paraphrase.count ({1})",
    ),
    Rule(
        ("rewrite.enabled", "prompt.strategy"),
        lambda enabled, strategy: enabled or strategy != "rewrite",
        'true (prompt.strategy is "rewrite")',
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
