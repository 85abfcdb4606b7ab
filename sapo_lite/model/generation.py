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

# On Unsloth's CUDA path rows cannot leave a batch in mid-generation. Most answers are labels of a few
# tokens, so all rows get this many first and only the unfinished ones a second, full round.
FIRST_ROUND = 16
# Only the most likely tokens are sampled: a small model at the published temperature drifts off otherwise.
TOP_K = 40

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
    """Greedy answers, as text, in the order of `prompts` (token ids). `on_done` gets batch sizes."""
    answers = [""] * len(prompts)
    # Longest first: a batch that does not fit in memory fails at once rather than at the end.
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    with backbone.inference():
        prefix = None if backbone.fused else read_prefix(backbone, prompts)
        decode = _generate_fused if backbone.fused else partial(generate_cached, prefix=prefix)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            decoded = decode(backbone, [prompts[i] for i in chosen], max_new_tokens)
            for i, ids in zip(chosen, decoded, strict=True):
                answers[i] = backbone.chat.decode(ids)
            on_done(len(chosen))
    return answers


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
    A prompt's answer depends on its own seed and not on the other rows of the batch (except for rounding).
    """
    with backbone.inference():
        if backbone.fused:
            rows = zip(prompts, seeds, strict=True)
            decoded = [_sample_fused(backbone, p, seed, temperature, max_new_tokens) for p, seed in rows]
        else:
            prefix = read_prefix(backbone, prompts)
            pick = _drawn(seeds, temperature) if temperature else _greedy
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


def stop_tokens(backbone: Backbone) -> set[int]:
    """Ids that end an answer: the tokenizer's and the generation config's end-of-sequence, end-of-turn.

    Raises:
        BackboneError: the generation config has something else than ids.
    """
    configured = backbone.causal_lm.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    ids = [i for i in (backbone.tokenizer.eos_token_id, *listed, *backbone.chat.stop_ids) if i is not None]
    if any(type(i) is not int for i in ids):
        raise BackboneError(
            f"{backbone.config.name}: its generation_config.json cannot be used: expected whole numbers as "
            f"eos_token_id, found {configured!r}"
        )
    return set(ids)


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


def left_padded(backbone: Backbone, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """ids and mask, int64 [B, T], with padding on the left."""
    length = max(len(p) for p in prompts)
    ids = torch.full((len(prompts), length), backbone.tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, length - len(prompt) :] = torch.tensor(prompt)
        mask[row, length - len(prompt) :] = 1
    return ids.to(backbone.device), mask.to(backbone.device)


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


def _generate_fused(backbone: Backbone, prompts: Sequence[Sequence[int]], limit: int) -> list[list[int]]:
    """Greedy answers from Unsloth's `generate`, in two rounds."""
    stop = stop_tokens(backbone)
    answers: list[list[int]] = [[] for _ in prompts]
    alive = list(range(len(prompts)))
    for budget in (min(FIRST_ROUND, limit), limit - FIRST_ROUND):
        if not alive or budget <= 0:
            break
        ids, mask = left_padded(backbone, [[*prompts[i], *answers[i]] for i in alive])
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


def _sample_fused(
    backbone: Backbone, prompt: Sequence[int], seed: int, temperature: float, limit: int
) -> list[int]:
    """One sampled answer from Unsloth's `generate`, which uses torch's global generator."""
    stop = stop_tokens(backbone)
    drawn = {"do_sample": True, "temperature": temperature, "top_k": TOP_K, "top_p": 1.0}
    ids, mask = left_padded(backbone, [prompt])
    with torch.random.fork_rng(devices=[backbone.device]):
        torch.manual_seed(seed)
        output = backbone.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=limit,
            pad_token_id=backbone.tokenizer.pad_token_id,
            eos_token_id=sorted(stop),
            **(drawn if temperature else {"do_sample": False}),
        )
    new: list[int] = output[0, ids.shape[1] :].tolist()
    return new[: next((n for n, token in enumerate(new) if token in stop), len(new))]
