"""Score candidate prompts under a model in memory: `from sapo_lite import score_prompts`."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from sapo_lite.data.in_memory import as_examples
from sapo_lite.leaderboard.board import Leaderboard, board
from sapo_lite.leaderboard.external_model import as_backbone, as_found, precision, reach
from sapo_lite.leaderboard.prompt_rows import (
    candidates,
    chat_format,
    cut_notice,
    encode,
    fit,
    make_task,
    require_options,
    unseen_answers,
)
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.chat_frame import date_notice
from sapo_lite.model.four_bit import is_repacked
from sapo_lite.model.selfcheck import check_batches, check_packs, read_rows_alone, require_plain_logits
from sapo_lite.prompts.confidence import BFLOAT16_RESOLUTION, certainty
from sapo_lite.prompts.losses import lowest
from sapo_lite.prompts.progress import PromptProgress
from sapo_lite.prompts.scoring import measure
from sapo_lite.run.progress import Silent
from sapo_lite.types import Candidate, Language, Task


def score_prompts(
    model: Any,
    tokenizer: Any,
    examples: Iterable[object],
    prompts: Sequence[str],
    *,
    suffix: str = "",
    language: Language = "en",
    limit: int = 250,
    race: bool = True,
    seed: int = 0,
    max_tokens: int | None = None,
    progress: PromptProgress | None = None,
) -> Leaderboard:
    """Rank prompts by the loss of the answers under a model as it is now: a forward pass each, no update.

    Works on any causal language model of transformers, with or without PEFT adapters on it, also in the
    middle of training: model and tokenizer are left as they were found.

    Args:
        model: in bfloat16, float32 or float16, quantised or not, on the CPU or on CUDA; its active
            adapters are used, with dropout off
        tokenizer: its chat template renders one user turn: prompt, blank line, `Text:`, input, blank
            line, suffix
        examples: (input, answer) pairs, mappings such as {"input": ..., "answer": ...}, or `Example`s
        prompts: different from each other; the first is "the original"
        suffix: closes every prompt, such as "Answer with the label only."
        language: "en", or "zh" to write `文本:` for `Text:`
        limit: number of examples to use, from the first on
        race: drop a prompt once it is clearly not the best; its losses stay partial
        max_tokens: cut longer inputs, by one budget for all prompts; by default what the model reads
        progress: receives progress and notices; by default nothing is shown, and notices become warnings

    Raises:
        SapoLiteError: anything that a caller can fix; the message says how.
    """
    unshown: list[str] = []
    notices: list[str] = []
    pairs, pool = as_examples(examples, notices.append), candidates(prompts)
    require_options(language, limit)
    ranked = rank(
        model,
        tokenizer,
        make_task(pairs, pool[0].text, suffix=suffix, language=language, limit=limit),
        pool,
        race=race,
        seed=seed,
        max_tokens=max_tokens,
        progress=progress or Silent(unshown.append),
        notices=[*notices, *unseen_answers(pairs, limit)],
    )
    for notice in unshown:
        warnings.warn(notice, stacklevel=2)
    return ranked


def rank(
    model: Any,
    tokenizer: Any,
    task: Task,
    pool: Sequence[Candidate],
    *,
    race: bool,
    seed: int,
    max_tokens: int | None,
    progress: PromptProgress,
    notices: Sequence[str] = (),
) -> Leaderboard:
    """Rank candidates by their loss on the training examples of `task`.

    notices: shown, and kept on the leaderboard, with those that arise here

    Raises:
        SapoLiteError: anything that a caller can fix; the message says how.
    """
    given: list[str] = []

    def notify(notice: str | None) -> None:
        if notice:
            given.append(notice)
            progress.notice(notice)

    for notice in notices:
        notify(notice)
    with as_found(model, tokenizer):
        vocabulary = len(model.get_output_embeddings().weight)
        chat, longest = chat_format(tokenizer, vocabulary, reach(model, tokenizer), max_tokens)
        notify(date_notice(tokenizer, chat.frame))
        fitted = fit(chat, task, [candidate.text for candidate in pool], longest)
        notify(cut_notice(task, fitted, longest))
        rows = [encode(chat, fitted, candidate) for candidate in pool]
        backbone = as_backbone(model, tokenizer, max(len(row.ids) for own in rows for row in own))
        notify(_check(backbone, rows))
        scores = measure(
            backbone,
            fitted,
            pool,
            examples=len(fitted.train),
            race=race and len(pool) > 1,  # a race does not score a single candidate
            reduction="token_mean",
            seed=seed,
            progress=progress,
        )
        exact = precision(model) is torch.float32 and not is_repacked(model)
        resolution = 0.0 if exact else BFLOAT16_RESOLUTION
    margin = certainty(scores, lowest(scores).index, resolution=resolution) if len(pool) > 1 else None
    return board(pool, scores, margin, given)


def _check(backbone: Backbone, rows: Sequence[Sequence[EncodedRow]]) -> str | None:
    """Start-up self-check: compare batches and packs of the rows of all prompts with plain forward passes.

    rows: of each prompt

    Returns a notice if a slower way has to be used, else None.

    Raises:
        BackboneError: the logits are not those of a causal language model's head.
    """
    every = [row for own in rows for row in own]
    require_plain_logits(backbone, every)
    if difference := check_batches(backbone, every):
        read_rows_alone(backbone)
        return (
            f"with this model, a row's loss changes with the rows beside it ({difference}): every row is "
            "read alone, which is much slower"
        )
    longest = max(rows, key=lambda own: max(len(row.ids) for row in own))
    return check_packs(backbone, longest, gradients=False)
