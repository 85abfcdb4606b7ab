"""Sampled answers for GRPO: token ids, drawn from the model's full distribution."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sapo_lite.errors import BackboneError
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.generation import generate_cached, read_prefix
from sapo_lite.model.generation_inputs import left_padded, stop_tokens
from sapo_lite.model.memory import fits_in_memory


@dataclass(frozen=True)
class Rollout:
    """A sampled answer. If it is `finished`, `ids` end in an end token."""

    ids: tuple[int, ...]
    text: str
    finished: bool


def roll_out(
    backbone: Backbone,
    prompts: Sequence[Sequence[int]],
    copies: int,
    *,
    temperature: float,
    batch_size: int,
    draws: random.Random,
) -> list[Rollout]:
    """Sample `copies` answers of at most `model.max_answer_tokens` to every prompt (token ids), side by side.

    Answers to `batch_size` prompts are drawn at once, or to half as many if memory runs out. The result
    depends only on `draws` and the batches. No token is excluded (top-k, top-p): GRPO assumes that rollouts
    come from the policy's own distribution.

    Raises:
        BackboneError: memory does not suffice for the rollouts of one prompt.
    """
    draw = _draw_fused if backbone.fused else _draw
    draw_all = partial(draw, backbone, copies=copies, temperature=temperature)
    stop = stop_tokens(backbone)
    rollouts: list[Rollout] = []
    for start in range(0, len(prompts), batch_size):
        with backbone.inference():
            drawn = _that_fit(draw_all, prompts[start : start + batch_size], draws)
        rollouts += [_read(backbone, ids, stop) for ids in drawn]
    return rollouts


def _that_fit(
    draw: Callable[..., list[list[int]]], prompts: Sequence[Sequence[int]], draws: random.Random
) -> list[list[int]]:
    """Draw all at once; if memory does not suffice, one half after the other."""
    drawn: list[list[int]] = []
    if fits_in_memory(lambda: drawn.extend(draw(prompts, seed=draws.getrandbits(63)))):
        return drawn
    if len(prompts) == 1:
        raise BackboneError(
            "Memory does not suffice for the rollouts of one row. Lower rewrite.rollouts or "
            "model.max_source_tokens, or use a smaller model."
        )
    half = len(prompts) // 2
    return _that_fit(draw, prompts[:half], draws) + _that_fit(draw, prompts[half:], draws)


def _read(backbone: Backbone, ids: Sequence[int], stop: set[int]) -> Rollout:
    """A rollout of generated ids, without the padding of a batch."""
    length = next((n for n, token in enumerate(ids) if token in stop), len(ids))
    return Rollout(tuple(ids[: length + 1]), backbone.chat.decode(ids[:length]), length < len(ids))


def _draw(
    backbone: Backbone, prompts: Sequence[Sequence[int]], *, copies: int, temperature: float, seed: int
) -> list[list[int]]:
    """Sample with our own generator; every prompt is computed once for all its copies."""
    generator = torch.Generator(backbone.device).manual_seed(seed)
    drawn: list[list[int]] = [[] for _ in range(copies * len(prompts))]

    def pick(logits: Tensor, answers: Sequence[int]) -> Tensor:
        chosen = torch.multinomial((logits.float() / temperature).softmax(-1), 1, generator=generator)[:, 0]
        for answer, token in zip(answers, chosen.tolist(), strict=True):
            drawn[answer].append(token)  # the end token, too
        return chosen

    limit, prefix = backbone.config.max_answer_tokens, read_prefix(backbone, prompts)
    generate_cached(backbone, prompts, limit, prefix, pick, copies)
    return drawn


def _draw_fused(
    backbone: Backbone, prompts: Sequence[Sequence[int]], *, copies: int, temperature: float, seed: int
) -> list[list[int]]:
    """Sample with Unsloth's `generate`, which uses torch's global generator."""
    ids, mask = left_padded(backbone, [prompt for prompt in prompts for _ in range(copies)])
    with torch.random.fork_rng(devices=[backbone.device]):
        torch.manual_seed(seed)
        output = backbone.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=backbone.config.max_answer_tokens,
            do_sample=True,
            temperature=temperature,
            top_k=0,
            top_p=1.0,
            repetition_penalty=1.0,
            pad_token_id=backbone.tokenizer.pad_token_id,
            eos_token_id=sorted(stop_tokens(backbone)),
        )
    new: list[list[int]] = output[:, ids.shape[1] :].tolist()
    return new
