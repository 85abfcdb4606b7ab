"""Generation of answers to many prompts, greedy or sampled.

The beginning that all prompts share is computed once. Finished rows leave the batch at once.
"""

from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sapo_lite.errors import BackboneError
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import common_prefix
from sapo_lite.model.generation_fused import generate_fused, sample_fused
from sapo_lite.model.generation_inputs import TOP_K, left_padded, stop_tokens
from sapo_lite.model.memory import fits_in_memory
from sapo_lite.model.ranks import LEAST

# Picks the next tokens: logits [B, vocabulary] and the B indices of the answers -> ids, int64 [B].
Pick = Callable[[Tensor, Sequence[int]], Tensor]


def generate(
    backbone: Backbone,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    on_done: Callable[[int], None] = lambda _: None,
) -> list[str]:
    """Greedy answers, as text, in the order of `prompts` (token ids). `on_done` gets batch sizes.

    If memory runs out, the batch comes again in halves, and later batches, also of other calls, have as few
    tokens.

    Raises:
        BackboneError: memory does not suffice for a single prompt.
    """
    ranks = backbone.ranks
    whose = [] if ranks is None else ranks.divide([len(prompt) for prompt in prompts], LEAST)
    if ranks is None or len(whose) == 1:
        return _generate(backbone, prompts, max_new_tokens, batch_size, on_done)
    parts = [([prompts[n] for n in own], max_new_tokens, batch_size) for own in whose]
    found, _ = ranks.map(_on_a_rank, parts, partial(_on_a_rank, backbone, parts[0], on_done))
    on_done(len(prompts) - len(whose[0]))
    return [answer for own in found for answer in own]


def _on_a_rank(
    backbone: Backbone,
    part: tuple[Sequence[Sequence[int]], int, int],
    on_done: Callable[[int], None] = lambda _: None,
) -> tuple[list[str], None]:
    return _generate(backbone, *part, on_done), None


def _generate(
    backbone: Backbone,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    batch_size: int,
    on_done: Callable[[int], None],
) -> list[str]:
    answers = [""] * len(prompts)
    # Longest first: a batch that does not fit in memory fails at once rather than at the end.
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    with backbone.inference():
        prefix = None if backbone.fused else read_prefix(backbone, prompts)
        decode = generate_fused if backbone.fused else partial(generate_cached, prefix=prefix)
        while order:
            longest = len(prompts[order[0]]) + max_new_tokens
            count = int(max(1, min(batch_size, backbone.answer_tokens / longest)))
            chosen, decoded = order[:count], list[list[int]]()
            batch = [prompts[i] for i in chosen]
            if not fits_in_memory(lambda: decoded.extend(decode(backbone, batch, max_new_tokens))):  # noqa: B023
                backbone.answer_tokens = longest * _half(batch)
                continue
            order = order[len(chosen) :]
            for i, ids in zip(chosen, decoded, strict=True):
                answers[i] = backbone.chat.decode(ids)
            on_done(len(chosen))
    return answers


def _half(batch: Sequence[Sequence[int]]) -> int:
    """Half the size of a batch that did not fit in memory. Raises BackboneError if it is of one prompt."""
    if len(batch) == 1:
        raise BackboneError(
            f"Memory does not suffice for the answer to one prompt of {len(batch[0])} tokens. Lower "
            "model.max_source_tokens, use a smaller model, or free memory that other programs hold."
        )
    return len(batch) // 2


def sample(
    backbone: Backbone,
    prompts: Sequence[Sequence[int]],
    *,
    seeds: Sequence[int],
    temperature: float,
    max_new_tokens: int,
) -> list[tuple[str, bool]]:
    """Answers drawn at `temperature`, as text, in the order of `prompts` (token ids), in one batch.

    Beside each one stands whether it came to its end within `max_new_tokens`.
    A prompt's answer depends on its own seed and not on the other rows of the batch (except for rounding), so
    a batch that does not fit in memory is sampled in halves.

    Raises:
        BackboneError: memory does not suffice for a single prompt.
    """
    drawn: list[tuple[str, bool]] = []
    draw = partial(_sample, backbone, temperature=temperature, max_new_tokens=max_new_tokens)
    if fits_in_memory(lambda: drawn.extend(draw(prompts, seeds=seeds))):
        return drawn
    half = _half(prompts)
    again = partial(sample, backbone, temperature=temperature, max_new_tokens=max_new_tokens)
    return again(prompts[:half], seeds=seeds[:half]) + again(prompts[half:], seeds=seeds[half:])


def _sample(
    backbone: Backbone,
    prompts: Sequence[Sequence[int]],
    *,
    seeds: Sequence[int],
    temperature: float,
    max_new_tokens: int,
) -> list[tuple[str, bool]]:
    pick = _drawn(seeds, temperature) if temperature else _greedy
    with backbone.inference():
        if backbone.fused:
            decoded = sample_fused(backbone, prompts, max_new_tokens, pick)
        else:
            prefix = read_prefix(backbone, prompts)
            decoded = generate_cached(backbone, prompts, max_new_tokens, prefix, pick)
    return [(backbone.chat.decode(ids), len(ids) < max_new_tokens) for ids in decoded]


def _greedy(logits: Tensor, rows: Sequence[int]) -> Tensor:
    return logits.argmax(-1)


def _drawn(seeds: Sequence[int], temperature: float) -> Pick:
    """A picker that samples, with one random generator for each row."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def pick(logits: Tensor, rows: Sequence[int]) -> Tensor:
        best = logits.float().topk(min(TOP_K, logits.shape[-1]))
        # The largest of log-probability plus Gumbel noise is a draw from the distribution.
        uniform = torch.stack([torch.rand(best.values.shape[-1], generator=generators[r]) for r in rows])
        noise = -(-uniform.clamp(min=1e-20).log()).log()
        chosen = (best.values / temperature + noise.to(logits.device)).argmax(-1, keepdim=True)
        return best.indices.gather(-1, chosen)[:, 0]

    return pick


def read_prefix(backbone: Backbone, prompts: Sequence[Sequence[int]]) -> Any:
    """Key-value cache (batch 1) of the tokens that all prompts begin with, without any prompt's last token.

    None if the prompts share no beginning, if the start-up check has found that the model does not allow for
    padding after a prefix, and for models with a layer that does not keep all tokens: a sliding window would
    count the padding, and a recurrent state would take it in.
    """
    if backbone.decoding != "prefix":
        return None
    # Not at the top: Unsloth must be imported before transformers.
    from transformers.cache_utils import DynamicCache, DynamicLayer

    length = common_prefix([prompt[:-1] for prompt in prompts]) if len(prompts) > 1 else 0
    cache = DynamicCache(config=backbone.causal_lm.config)
    if length == 0 or any(type(layer) is not DynamicLayer for layer in cache.layers):
        return None
    ids = torch.tensor([prompts[0][:length]], device=backbone.device)
    with backbone.autocast():
        backbone.causal_lm(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return cache


def _expanded(prefix: Any, rows: int) -> Any:
    """A cache of batch `rows` that starts as `prefix`. No copy: an update makes new tensors."""
    cache = copy(prefix)
    cache.layers = [copy(layer) for layer in prefix.layers]
    for layer in cache.layers:
        layer.keys = layer.keys.expand(rows, -1, -1, -1)
        layer.values = layer.values.expand(rows, -1, -1, -1)
    return cache


def _behind(
    prefix: Any, backbone: Backbone, prompts: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor, Tensor]:
    """The tokens after the P cached ones: ids [B, T], mask [B, P + T], positions [B, T], all int64.

    A row is [prefix | padding | rest of the prompt]; the mask hides the padding, positions skip it.
    """
    known = 0 if prefix is None else prefix.get_seq_length()
    ids, mask = left_padded(backbone, [prompt[known:] for prompt in prompts])
    positions = known + (mask.cumsum(-1) - 1).clamp(min=0)
    return ids, torch.cat([mask.new_ones(len(prompts), known), mask], dim=1), positions


def generate_cached(
    backbone: Backbone,
    prompts: Sequence[Sequence[int]],
    limit: int,
    prefix: Any,
    pick: Pick = _greedy,
    copies: int = 1,
) -> list[list[int]]:
    """Generate token by token with transformers' cache; finished rows are removed from it.

    `prefix` is the cache of the prompts' common beginning, or None; it is not changed. Every prompt gets
    `copies` answers, one after another in the batch, and is computed once.
    """
    if backbone.decoding != "alone":
        return _generate_together(backbone, prompts, limit, prefix, pick, copies)
    answers: list[list[int]] = []
    for prompt in (prompt for prompt in prompts for _ in range(copies)):
        own = _numbered_from(len(answers), pick)
        answers += _generate_together(backbone, [prompt], limit, None, own, 1)
    return answers


def _numbered_from(first: int, pick: Pick) -> Pick:
    """The picker, for answers that are numbered from 0 instead of from `first`."""
    return lambda logits, rows: pick(logits, [first + row for row in rows])


def _generate_together(
    backbone: Backbone,
    prompts: Sequence[Sequence[int]],
    limit: int,
    prefix: Any,
    pick: Pick,
    copies: int,
) -> list[list[int]]:
    stop = torch.tensor(sorted(stop_tokens(backbone)), device=backbone.device)
    answers: list[list[int]] = [[] for _ in range(copies * len(prompts))]
    alive = list(range(len(answers)))
    cache = None if prefix is None else _expanded(prefix, len(prompts))
    ids, mask, positions = _behind(prefix, backbone, prompts)
    for step in range(limit):
        with backbone.autocast():
            output = backbone.causal_lm(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        cache, logits = output.past_key_values, output.logits[:, -1]
        if step == 0 and copies > 1:
            repeated = torch.arange(len(prompts), device=backbone.device).repeat_interleave(copies)
            # `batch_repeat_interleave` and `batch_select_indices` would leave out recurrent states.
            cache.reorder_cache(repeated)
            logits, mask, positions = (x[repeated] for x in (logits, mask, positions))
        ids = pick(logits, alive)[:, None]
        going = ~torch.isin(ids[:, 0], stop)
        for row, token, goes_on in zip(alive, ids[:, 0].tolist(), going.tolist(), strict=True):
            if goes_on:
                answers[row].append(token)
        if not going.any():
            break
        if not going.all():
            kept = going.nonzero()[:, 0]
            cache.reorder_cache(kept)
            alive = [alive[k] for k in kept.tolist()]
            ids, mask, positions = ids[kept], mask[kept], positions[kept]
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
        positions = positions[:, -1:] + 1
    return answers
