"""Score candidate prompts under a model in memory: `from sapo_lite import score_prompts`."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from sapo_lite.data.in_memory import as_examples
from sapo_lite.errors import DataError, RenderError
from sapo_lite.leaderboard.board import Leaderboard, board
from sapo_lite.leaderboard.external_model import as_backbone, as_found, precision, reach
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import ChatFormat, EncodedRow
from sapo_lite.model.chat_frame import date_notice
from sapo_lite.model.four_bit import is_repacked
from sapo_lite.model.selfcheck import check_batches, check_packs, read_rows_alone, require_plain_logits
from sapo_lite.prompts.confidence import BFLOAT16_RESOLUTION, certainty
from sapo_lite.prompts.losses import lowest
from sapo_lite.prompts.progress import PromptProgress
from sapo_lite.prompts.scoring import measure
from sapo_lite.run.progress import Silent
from sapo_lite.support.messages import quoted
from sapo_lite.types import Candidate, Example, Language, Task, TrainingRow

# Tokens, where neither model nor tokenizer names a limit.
_UNLIMITED = 10**9


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
    pairs, pool = as_examples(examples, notices.append), _candidates(prompts)
    if language not in ("en", "zh") or limit < 1:
        raise DataError(f'expected language "en" or "zh", and a limit above 0; found {language}, {limit}')
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


def _candidates(prompts: Sequence[str]) -> list[Candidate]:
    if isinstance(prompts, str) or not all(isinstance(prompt, str) for prompt in prompts):
        raise DataError(f"expected prompts as a list of texts, found {quoted(prompts)}")
    if not prompts:
        raise DataError("expected at least one prompt, found none")
    for index, prompt in enumerate(prompts):
        if prompt in prompts[:index]:
            raise DataError(
                f"expected different prompts, found {quoted(prompt)} as {prompts.index(prompt)} and {index}"
            )
    return [Candidate(i, text, "given" if i else "original") for i, text in enumerate(prompts)]


def make_task(
    examples: Sequence[Example], instruction: str, *, suffix: str, language: Language, limit: int
) -> Task:
    """The first `limit` examples as a task to be scored."""
    train = tuple(examples[:limit])
    # Nothing is tested, but inputs of all splits are cut to the budget, and no split may be empty.
    return Task("prompts", "", instruction, suffix, (), language, train=train, test=train[:1])


def unseen_answers(examples: Sequence[Example], limit: int) -> list[str]:
    """A notice where the first `limit` examples lack a common answer, as in a file sorted by label."""
    counts = Counter(example.answer for example in examples)
    seen = {example.answer for example in examples[:limit]}
    # Only answers that should occur at least five times among them: labels, since free answers are rare.
    missing = [a for a, n in counts.most_common() if a not in seen and n * limit >= 5 * len(examples)]
    if not missing:
        return []
    return [
        f"the first {limit} of {len(examples)} examples have no answer {quoted(missing[0])}, "
        f"which {counts[missing[0]]} later ones have: shuffle the examples, or use more of them"
    ]


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
        chat, longest = _chat(tokenizer, vocabulary, reach(model, tokenizer), max_tokens)
        notify(date_notice(tokenizer, chat.frame))
        fitted = _fit(chat, task, [candidate.text for candidate in pool], longest)
        notify(_cut_notice(task, fitted, longest))
        rows = [_encode(chat, fitted, candidate) for candidate in pool]
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


def _chat(
    tokenizer: Any, vocabulary: int, reach: int | None, max_tokens: int | None
) -> tuple[ChatFormat, int]:
    """The chat format with its budget for prompts, and the limit in tokens of prompt and answer together."""
    if not getattr(tokenizer, "chat_template", None):
        raise RenderError(
            "expected a tokenizer with a chat template, found one without: take an instruct model, or set "
            "tokenizer.chat_template to the one that you train with"
        )
    longest = min((n for n in (reach, max_tokens) if n is not None), default=_UNLIMITED)
    chat = ChatFormat(tokenizer, longest, 0, vocabulary)
    (end,) = chat.encode(make_task([], "", suffix="", language="en", limit=0), [TrainingRow("", "", "")])
    chat.max_source -= len(end.answer_ids)  # an answer of no words is the end of the turn
    return chat, longest


def _fit(chat: ChatFormat, task: Task, prompts: Sequence[str], longest: int) -> Task:
    """Cut over-long inputs of a task. Raises RenderError if nothing would be left of an input."""
    shells = [len(chat.encode_prompts(task, prompt, [""])[0]) for prompt in prompts]
    widest = shells.index(max(shells))
    alone = chat.encode(task, [TrainingRow(prompts[widest], "", example.answer) for example in task.train])
    for number, row in enumerate(alone, start=1):
        if len(row.ids) >= longest:
            raise RenderError(
                f"example {number}: expected room for its input, found none: prompt #{widest}, suffix and "
                f"answer are {len(row.ids)} tokens, the limit is {longest}. Shorten the prompt or the answer."
            )
    return chat.fit(task, prompts)


def _cut_notice(task: Task, fitted: Task, longest: int) -> str | None:
    cut = sum(before != after for before, after in zip(task.train, fitted.train, strict=True))
    if not cut:
        return None
    of = f"{cut} of {len(task.train)} inputs"
    return f"{of} were cut at their end: with prompt and answer they are longer than {longest} tokens"


def _encode(chat: ChatFormat, task: Task, candidate: Candidate) -> list[EncodedRow]:
    return chat.encode(task, [TrainingRow(candidate.text, e.input, e.answer) for e in task.train])
