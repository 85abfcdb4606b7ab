"""Start-up check of generation: answers to several prompts at once == answers to each prompt alone.

Prompts that are answered together share the computation of their common beginning, are padded to one length,
and leave the batch when their answers end. That is exact only if attention goes by position ids and the state
of a layer skips padding. It is tried with the shortest and the longest prompt; the fastest exact way is used.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from sapo_lite.errors import BackboneError
from sapo_lite.model.backbone import WAYS, Backbone
from sapo_lite.model.generation import generate_cached, read_prefix
from sapo_lite.model.generation_inputs import stop_tokens
from sapo_lite.model.rounding import beyond_rounding, tolerance
from sapo_lite.model.selfcheck import tried

# Lengths in tokens of the trial answers, two to each of two prompts: they leave the batch one after another.
_LENGTHS = (2, 0, 2, 1)
_COPIES = 2

_NOTICES = {
    "padded": "this model does not take padding after a shared prefix ({}): every prompt is read from its "
    "first token on, which is slower",
    "alone": "this model answers a prompt differently beside other prompts ({}): prompts are answered one by "
    "one, which is much slower",
}


def check_generation(backbone: Backbone, prompts: Sequence[Sequence[int]]) -> str | None:
    """Choose `backbone.decoding`, the fastest way to answer the shortest and the longest prompt as alone.

    Logits of the next token are compared with those of plain forward passes, after each prompt and within
    answers. A way that an earlier check has excluded is not tried again. Returns a notice for the user if
    this check excludes one.

    Raises:
        BackboneError: not even one prompt alone gets the logits of plain forward passes, or what ends an
            answer is not known.
    """
    if backbone.fused:  # Unsloth's own `generate` is used
        return None
    stop_tokens(backbone)  # what is wrong with them is no difference of logits
    by_length = sorted(prompts, key=len)
    compared = [by_length[0], by_length[-1]]
    difference: str | None = None
    for way in WAYS[WAYS.index(backbone.decoding) :]:
        backbone.decoding = way
        before, difference = difference, tried(partial(_difference, backbone, compared))
        if difference is None:
            return _NOTICES[way].format(before) if before else None
    raise BackboneError(
        f"{type(backbone.causal_lm).__name__} cannot be run: expected a model whose cache of earlier "
        f"tokens (past_key_values) gives the logits of plain forward passes, found {difference}. Take "
        "another model; `sapo-lite score` generates nothing, and may accept this one."
    )


def _difference(backbone: Backbone, prompts: Sequence[Sequence[int]]) -> str | None:
    """The largest difference of logits, in words; None if it is no more than rounding."""

    def error(found: Tensor, exact: Tensor) -> float:
        return ((found - exact).norm(dim=-1) / exact.norm(dim=-1)).nan_to_num(torch.inf).max().item()

    with backbone.inference():
        answers = _answers(backbone, prompts)

        def alone() -> Tensor:
            rows = (
                _alone(backbone, prompts[number // _COPIES], answer) for number, answer in enumerate(answers)
            )
            return torch.cat([*rows])

        together = torch.cat(_together(backbone, prompts, answers))
        return beyond_rounding(backbone, "logits", tolerance(backbone)[1], error, together, alone)


def _answers(backbone: Backbone, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Trial answers, made of tokens of their prompts."""
    stop = stop_tokens(backbone)
    words = [[token for token in prompt if token not in stop] for prompt in prompts]
    return [words[number // _COPIES][:length] for number, length in enumerate(_LENGTHS)]


def _together(
    backbone: Backbone, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> list[Tensor]:
    """Logits by generation in one batch, at each token of each answer and at its end: [tokens, vocabulary]"""
    logits: list[list[Tensor]] = [[] for _ in answers]
    end = min(stop_tokens(backbone))

    def follow(found: Tensor, rows: Sequence[int]) -> Tensor:
        """Choose the next token of the trial answer."""
        chosen = []
        for row, own in zip(rows, found, strict=True):
            place = len(logits[row])
            chosen.append(answers[row][place] if place < len(answers[row]) else end)
            logits[row].append(own.float())
        return torch.tensor(chosen, device=found.device)

    prefix = read_prefix(backbone, prompts)
    generate_cached(backbone, prompts, max(_LENGTHS) + 1, prefix, follow, _COPIES)
    return [_centred(torch.stack(own)) for own in logits]


def _alone(backbone: Backbone, prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
    """The same logits by one forward pass over prompt and answer, without a cache."""
    ids = torch.tensor([[*prompt, *answer]], device=backbone.device)
    count = len(answer) + 1
    with backbone.autocast():
        logits = backbone.causal_lm(input_ids=ids, use_cache=False, logits_to_keep=count).logits
    return _centred(logits[0, -count:].float())


def _centred(logits: Tensor) -> Tensor:
    """Without their mean, which changes no probability and may be large."""
    return logits - logits.mean(-1, keepdim=True)
