"""Attention within a pack: every suffix sees the shared prefix and itself.

A dense mask costs the square of the pack's length, most of it for pairs that may not see each other. Here the
suffixes are processed in chunks: a chunk's queries attend to the prefix and the chunk only. The function
replaces a model's `sdpa` attention through transformers' attention interface. So every decoder that uses the
interface accepts packs, and all other batches go to `sdpa` unchanged.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Name of the attention implementation in transformers' registries.
CHUNKED = "sapo_lite_chunked"
# Tokens of a chunk (one suffix may have more): small chunks waste little, large chunks start few kernels.
CHUNK_TOKENS = {"cpu": 128, "cuda": 512}


@dataclass(frozen=True)
class PackLayout:
    """Lengths, in tokens, of the prefix and the suffixes of a row `[prefix | suffix 1 | suffix 2 | ...]`."""

    prefix: int
    suffixes: tuple[int, ...]

    def positions(self) -> Tensor:
        """Position ids, int64 [1, T]; every suffix starts over after the prefix."""
        parts = [torch.arange(self.prefix)]
        parts += [torch.arange(self.prefix, self.prefix + length) for length in self.suffixes]
        return torch.cat(parts)[None]

    def mask(self) -> Tensor:
        """Attention mask, bool [1, 1, T, T], true = may see."""
        prefix = torch.ones(self.prefix, self.prefix, dtype=torch.bool).tril()
        seen = F.pad(prefix, (0, sum(self.suffixes)))
        return torch.cat([seen, _sees(self.prefix, self.suffixes)])[None, None]

    def chunks(self, device: torch.device, dtype: torch.dtype) -> "Chunks":
        """The layout as input of `chunked_attention`."""
        limit = CHUNK_TOKENS[device.type]
        made = []
        for start, lengths in _runs(self.suffixes, limit):
            mask = torch.zeros(sum(lengths), self.prefix + sum(lengths), dtype=dtype)
            mask = mask.masked_fill(~_sees(self.prefix, lengths), torch.finfo(dtype).min)
            made.append((self.prefix + start, self.prefix + start + len(mask), mask.to(device)))
        return Chunks(self.prefix, made)


@dataclass(frozen=True)
class Chunks:
    """Runs of suffixes of one pack: (first token, token after the last, additive mask [n, prefix + n])."""

    prefix: int
    runs: list[tuple[int, int, Tensor]]


def _runs(lengths: tuple[int, ...], limit: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Runs of consecutive suffixes of at most `limit` tokens, or of one: (tokens before, lengths)."""
    first = before = 0
    for last in range(1, len(lengths) + 1):
        if last == len(lengths) or sum(lengths[first : last + 1]) > limit:
            yield before, lengths[first:last]
            before += sum(lengths[first:last])
            first = last


def _sees(prefix: int, lengths: tuple[int, ...]) -> Tensor:
    """Mask of the n suffix tokens over prefix and suffixes: bool [n, prefix + n], true = may see."""
    owner = torch.repeat_interleave(torch.tensor(lengths, dtype=torch.long))
    own = (owner[:, None] == owner[None]).tril()
    return F.pad(own, (prefix, 0), value=True)


def chunked_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    pack: Chunks | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, None]:
    """transformers' attention of one layer: [B, heads, T, head size] -> [B, T, heads, head size].

    With `pack` (then B = 1), the attention within that pack; `attention_mask` is then ignored.
    """
    from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

    if any(map(_slow_backward, (query, key, value))):
        with torch.autocast("cpu", enabled=False):
            if attention_mask is not None and attention_mask.is_floating_point():
                attention_mask = attention_mask.float()
            attended, _ = chunked_attention(
                module,
                query.float(),
                key.float(),
                value.float(),
                attention_mask,
                pack=pack,
                scaling=scaling,
                dropout=dropout,
                **others,
            )
        return attended.to(query.dtype), None
    if pack is None:
        passed = {"scaling": scaling, "dropout": dropout, **others}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **passed)
    groups = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    prefix_key, prefix_value = key[:, :, : pack.prefix], value[:, :, : pack.prefix]
    attend = partial(F.scaled_dot_product_attention, scale=scaling, dropout_p=dropout)
    parts = []
    if pack.prefix:
        parts.append(attend(query[:, :, : pack.prefix], prefix_key, prefix_value, is_causal=True))
    for start, stop, mask in pack.runs:
        keys = torch.cat([prefix_key, key[:, :, start:stop]], dim=2)
        values = torch.cat([prefix_value, value[:, :, start:stop]], dim=2)
        parts.append(attend(query[:, :, start:stop], keys, values, attn_mask=mask.to(query.dtype)))
    return torch.cat(parts, dim=2).transpose(1, 2), None


def _slow_backward(tensor: Tensor) -> bool:
    """Whether attention is faster in float32: a CPU's backward pass takes three times as long in bfloat16."""
    return tensor.requires_grad and tensor.device.type == "cpu" and tensor.dtype is torch.bfloat16


def use_chunked_attention(causal_lm: Any) -> bool:
    """Replace `sdpa` by `chunked_attention`; false if the model does not use transformers' interface."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    if causal_lm.config._attn_implementation == CHUNKED:
        return True
    if causal_lm.config._attn_implementation != "sdpa" or not causal_lm._supports_attention_backend:
        return False
    AttentionInterface.register(CHUNKED, chunked_attention)
    AttentionMaskInterface.register(CHUNKED, sdpa_mask)  # for padded batches
    causal_lm.config._attn_implementation = CHUNKED
    return True


def sees_everything(config: Any, tokens: int) -> bool:
    """Whether every layer attends `tokens` tokens back: packs support no shorter window."""
    config = config.get_text_config()  # beside that of a vision tower
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    kinds = set(kinds or ["full_attention" if window is None else "sliding_attention"])
    reached = {"full_attention"} | ({"sliding_attention"} if window and window >= tokens else set())
    return kinds <= reached
