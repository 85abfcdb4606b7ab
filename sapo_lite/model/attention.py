"""Attention within a pack: every suffix sees the shared prefix and itself.

A dense mask costs the square of the pack's length, most of it for pairs that may not see each other. Here the
suffixes are processed in chunks: a chunk's queries attend to the prefix and the chunk only. A pack may hold
several prefixes with their suffixes, one after another, which do not see each other. The function
replaces a model's `sdpa` attention through transformers' attention interface. So every decoder that uses the
interface accepts packs, and all other batches go to `sdpa` unchanged.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Name of the attention implementation in transformers' registries.
CHUNKED = "sapo_lite_chunked"
# Tokens of a chunk (one suffix may have more): small chunks waste little, large chunks start few kernels.
CHUNK_TOKENS = {"cpu": 128, "cuda": 512}


class PackGroup(NamedTuple):
    """Lengths, in tokens, of one prefix and of the suffixes behind it."""

    prefix: int
    suffixes: tuple[int, ...]

    @property
    def tokens(self) -> int:
        return self.prefix + sum(self.suffixes)


@dataclass(frozen=True, eq=False)
class PackLayout:
    """Layout of a row of T tokens: `[prefix | suffix 1 | suffix 2 | ... | next prefix | ...]`.

    places: int64 [3, T], what is known of every token: its position, the number of its group, and the number
        of its suffix (counted through all groups; -1 in a prefix)
    """

    groups: tuple[PackGroup, ...]
    places: Tensor

    @property
    def positions(self) -> Tensor:
        """Position ids, int64 [1, T]; every suffix starts over after its prefix."""
        return self.places[:1]

    def mask(self) -> Tensor:
        """Attention mask, bool [1, 1, T, T], true = may see."""
        _, group, suffix = self.places
        seen = (suffix[:, None] == suffix[None]) | (suffix[None] == -1)
        return ((group[:, None] == group[None]) & seen).tril()[None, None]

    def chunks(self, dtype: torch.dtype) -> "Chunks":
        """The layout as input of `chunked_attention`, made where `places` are."""
        limit = CHUNK_TOKENS[self.places.device.type]
        made = []
        first = 0
        for group in self.groups:
            masks = []
            for before, count in _runs(group.suffixes, limit):
                begin = first + group.prefix + before
                suffix = self.places[2, begin : begin + count]
                masks.append(_chunk_mask(suffix, group.prefix, dtype))
            made.append(GroupChunks(group.prefix, masks))
            first += group.tokens
        return Chunks(made)


def _chunk_mask(suffix: Tensor, prefix: int, dtype: torch.dtype) -> Tensor:
    """Additive mask of n tokens over their prefix and themselves, from the numbers of their suffixes."""
    sees = F.pad((suffix[:, None] == suffix[None]).tril(), (prefix, 0), value=True)
    mask = torch.zeros(sees.shape, dtype=dtype, device=sees.device)
    return mask.masked_fill(~sees, torch.finfo(dtype).min)


def pack_layout(groups: Iterable[PackGroup]) -> PackLayout:
    """The layout of groups that follow one another, on the CPU."""
    groups = tuple(groups)
    pieces: list[tuple[int, int, int, int]] = []  # tokens, position of the first one, group, suffix
    suffixes = 0
    for number, (prefix, lengths) in enumerate(groups):
        pieces.append((prefix, 0, number, -1))
        pieces += [(length, prefix, number, suffixes + n) for n, length in enumerate(lengths)]
        suffixes += len(lengths)
    tokens, first, group, suffix = torch.tensor(pieces).T
    piece = torch.repeat_interleave(tokens)
    within = torch.arange(len(piece)) - (tokens.cumsum(0) - tokens)[piece]
    return PackLayout(groups, torch.stack([first[piece] + within, group[piece], suffix[piece]]))


class GroupChunks(NamedTuple):
    """A group of a pack: tokens of its prefix, and additive masks [n, prefix + n] of its runs of suffixes."""

    prefix: int
    masks: list[Tensor]


@dataclass(frozen=True)
class Chunks:
    """The groups of a pack in their order."""

    groups: list[GroupChunks]

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each prefix and of each run, in their order."""
        return [n for group in self.groups for n in (group.prefix, *map(len, group.masks))]


def _runs(lengths: tuple[int, ...], limit: int) -> Iterator[tuple[int, int]]:
    """Runs of consecutive suffixes of at most `limit` tokens, or of one: (tokens before, tokens)."""
    before = tokens = 0
    for length in lengths:
        if tokens and tokens + length > limit:
            yield before, tokens
            before, tokens = before + tokens, 0
        tokens += length
    if tokens:
        yield before, tokens


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
    attend = partial(F.scaled_dot_product_attention, scale=scaling, dropout_p=dropout)
    # Not slices: the gradient of each would be a tensor of the whole pack, and all of these be added up.
    queries, keys, values = (iter(x.split(pack.lengths, dim=2)) for x in (query, key, value))
    parts = []
    for group in pack.groups:
        prefix_query, prefix_key, prefix_value = next(queries), next(keys), next(values)
        if group.prefix:
            parts.append(attend(prefix_query, prefix_key, prefix_value, is_causal=True))
        for mask in group.masks:
            seen_keys = torch.cat([prefix_key, next(keys)], dim=2)
            seen_values = torch.cat([prefix_value, next(values)], dim=2)
            parts.append(attend(next(queries), seen_keys, seen_values, attn_mask=mask.to(query.dtype)))
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
