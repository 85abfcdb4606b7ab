"""What must hold between the settings of a recipe, beyond what each may be by itself."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """What must hold between settings. The first key is the one reported.

    `holds` takes the keys' values in order, and `expected` is formatted with them.
    """

    keys: tuple[str, ...]
    holds: Callable[..., bool]
    expected: str


def wants_candidates(strategy: str, count: int) -> bool:
    """Whether anything is to be paraphrased: "fixed" trains on the original instruction alone."""
    return strategy != "fixed" and count > 0


_CANDIDATE_KEYS = ("paraphrase.backend", "prompt.strategy", "paraphrase.count")
RULES = (
    Rule(
        ("scoring.score_examples", "sequence.train_examples"),
        lambda scored, trained: scored <= trained,
        "at most sequence.train_examples ({1})",
    ),
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
        ("scoring.reduction", "scoring.race", "prompt.strategy"),
        lambda reduction, race, strategy: reduction == "token_mean" or not (race and strategy == "sapo"),
        '"token_mean" (scoring.race is true)',
    ),
    Rule(
        ("training.batch_size", "training.micro_batch_size"),
        lambda batch, micro: batch % micro == 0,
        "a multiple of training.micro_batch_size ({1})",
    ),
    Rule(
        ("paraphrase.model", *_CANDIDATE_KEYS),
        lambda model, backend, *wants: model or backend != "ollama" or not wants_candidates(*wants),
        'the name of an Ollama model (paraphrase.backend is "ollama")',
    ),
    Rule(
        ("paraphrase.path", *_CANDIDATE_KEYS),
        lambda path, backend, *wants: path or backend != "file" or not wants_candidates(*wants),
        'a file of candidates (paraphrase.backend is "file")',
    ),
)
