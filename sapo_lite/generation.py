"""Greedy decoding of many prompts: length-sorted batches, finished rows dropped as they finish."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sapo_lite.backbone import Backbone

# On Unsloth's CUDA path rows cannot leave a batch in mid-generation. Most answers are labels of a few
# tokens, so all rows get this many first and only the unfinished ones a second, full round.
FIRST_ROUND = 16


def generate(
    backbone: Backbone,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    on_done: Callable[[int], None] = lambda _: None,
) -> list[str]:
    """Greedy answers, as text, in the order of `prompts` (token ids). `on_done` gets batch sizes."""
    answers = [""] * len(prompts)
    # Longest first: a batch that does not fit in memory fails at once rather than at the end.
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    decode = _generate_fused if backbone.fused else _generate_cached
    with backbone.inference():
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            decoded = decode(backbone, [prompts[i] for i in chosen], max_new_tokens)
            for i, ids in zip(chosen, decoded, strict=True):
                answers[i] = backbone.chat.decode(ids)
            on_done(len(chosen))
    return answers


def stop_tokens(backbone: Backbone) -> set[int]:
    """Ids that end an answer: the tokenizer's and the generation config's end-of-sequence, end-of-turn."""
    configured = backbone.causal_lm.generation_config.eos_token_id
    ids = {backbone.tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])}
    return {i for i in ids | {backbone.chat.end_of_turn_id} if i is not None}


def _left_padded(backbone: Backbone, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """ids and mask, int64 [B, T], prompts flush right."""
    length = max(len(p) for p in prompts)
    ids = torch.full((len(prompts), length), backbone.tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, length - len(prompt) :] = torch.tensor(prompt)
        mask[row, length - len(prompt) :] = 1
    return ids.to(backbone.device), mask.to(backbone.device)


def _generate_cached(backbone: Backbone, prompts: Sequence[Sequence[int]], limit: int) -> list[list[int]]:
    """Token by token with transformers' key-value cache, from which finished rows are removed."""
    stop = torch.tensor(sorted(stop_tokens(backbone)), device=backbone.device)
    answers: list[list[int]] = [[] for _ in prompts]
    alive = list(range(len(prompts)))
    ids, mask = _left_padded(backbone, prompts)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache: Any = None
    for _ in range(limit):
        with backbone.autocast():
            output = backbone.causal_lm(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        cache, ids = output.past_key_values, output.logits[:, -1].argmax(-1, keepdim=True)
        going = ~torch.isin(ids[:, 0], stop)
        for row, token, goes_on in zip(alive, ids[:, 0].tolist(), going.tolist(), strict=True):
            if goes_on:
                answers[row].append(token)
        if not going.any():
            break
        if not going.all():
            kept = going.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            alive = [alive[k] for k in kept.tolist()]
            ids, mask, positions = ids[kept], mask[kept], positions[kept]
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
        positions = positions[:, -1:] + 1
    return answers


def _generate_fused(backbone: Backbone, prompts: Sequence[Sequence[int]], limit: int) -> list[list[int]]:
    """Through Unsloth's `generate`, in two rounds."""
    stop = stop_tokens(backbone)
    answers: list[list[int]] = [[] for _ in prompts]
    alive = list(range(len(prompts)))
    for budget in (min(FIRST_ROUND, limit), limit - FIRST_ROUND):
        if not alive or budget <= 0:
            break
        ids, mask = _left_padded(backbone, [[*prompts[i], *answers[i]] for i in alive])
        output = backbone.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=budget,
            do_sample=False,
            pad_token_id=backbone.tokenizer.pad_token_id,
            eos_token_id=sorted(stop),
        )
        unfinished = []
        for row, new in zip(alive, output[:, ids.shape[1] :].tolist(), strict=True):
            length = next((n for n, token in enumerate(new) if token in stop), len(new))
            answers[row] += new[:length]
            if length == budget:
                unfinished.append(row)
        alive = unfinished
    return answers
