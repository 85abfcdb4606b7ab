"""Rows as batches: padded, or packed behind the prefix that they share.

All rows of a task begin with the same instruction. A pack is one sequence `[prefix | suffix 1 |
suffix 2 | ...]`: positions start over after the prefix, and a suffix sees the prefix and itself.
So the prefix is computed once, nothing is padded, and losses and gradients are those of the rows
alone (with LoRA dropout 0; with dropout, one mask is drawn for a prefix that rows would have
drawn separately).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sapo_lite.chat import Encoded

if TYPE_CHECKING:
    from sapo_lite.backbone import Backbone

# Tokens of a pack. Its dense mask costs their square, so on a CPU small packs are fastest.
PACK_TOKENS = {"cpu": 512, "cuda": 2048}
# Tokens of a padded batch.
PADDED_TOKENS = 8192


@dataclass(frozen=True)
class AnswerBatch:
    """What one forward pass is fed, and which of its A answer tokens it predicts where.

    ids: int64 [B, T]; without the last token of any row, which predicts nothing
    rows, columns: int64 [A], where in `ids` each answer token is predicted
    targets: int64 [A], the answer tokens
    owners: int64 [A], whose answer it is: an index into the examples the batches were made from
    positions, mask: int64 [1, T] and bool [1, 1, T, T] (true = may see) of a pack, else None
    """

    ids: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    owners: Tensor
    positions: Tensor | None = None
    mask: Tensor | None = None

    def to(self, device: torch.device) -> "AnswerBatch":
        tensors = {name: t.to(device) for name, t in vars(self).items() if t is not None}
        return AnswerBatch(**tensors)


def batches(
    backbone: "Backbone", examples: Sequence[Encoded], *, pack: bool = True, tokens: int | None = None
) -> Iterator[AnswerBatch]:
    """The rows in as few forward passes as `tokens` tokens a pass allow, on the backbone's device.

    Packs are used where they are wanted and the backbone takes them.
    """
    if pack and backbone.packs:
        made = packed(examples, tokens or PACK_TOKENS[backbone.device.type])
    else:
        made = padded(examples, tokens or PADDED_TOKENS)
    for batch in made:
        yield batch.to(backbone.device)


def padded(examples: Sequence[Encoded], tokens: int) -> Iterator[AnswerBatch]:
    """Right-padded batches of rows of like length, each of at most `tokens` tokens (or one row).

    They need no mask: under causal attention a token never sees the padding to its right.
    """
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * len(examples[i].ids) > tokens:
            yield _pad(examples, batch)
            batch = []
        batch.append(i)
    if batch:
        yield _pad(examples, batch)


def _pad(examples: Sequence[Encoded], chosen: Sequence[int]) -> AnswerBatch:
    length = max(len(examples[i].ids) for i in chosen) - 1
    ids = torch.zeros(len(chosen), length, dtype=torch.long)
    rows: list[int] = []
    columns: list[int] = []
    for row, i in enumerate(chosen):
        fed = examples[i].ids[:-1]
        ids[row, : len(fed)] = torch.tensor(fed)
        rows += [row] * len(examples[i].answer_ids)
        columns += range(examples[i].answer_start - 1, len(fed))
    return AnswerBatch(ids, torch.tensor(rows), torch.tensor(columns), *_targets(examples, chosen))


def packed(examples: Sequence[Encoded], tokens: int) -> Iterator[AnswerBatch]:
    """Packs of at most `tokens` tokens (or one row) behind the longest prefix that all rows share."""
    prefix = shared_prefix(examples)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    pack: list[int] = []
    used = prefix
    for i in order:
        suffix = len(examples[i].ids) - 1 - prefix
        if pack and used + suffix > tokens:
            yield _pack(examples, pack, prefix)
            pack, used = [], prefix
        pack.append(i)
        used += suffix
    if pack:
        yield _pack(examples, pack, prefix)


def shared_prefix(examples: Sequence[Encoded]) -> int:
    """Number of tokens that all rows begin with, short of the one that predicts the first answer token.

    It is found in the tokens of whole rows: cutting the text at a joint would miss tokens that
    merge across it.
    """
    ids = [e.ids for e in examples]
    first, last = min(ids), max(ids)  # what these two share, all between them share
    differing = (n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    common = next(differing, min(len(first), len(last)))
    return min(common, min(e.answer_start for e in examples) - 1)


def _pack(examples: Sequence[Encoded], chosen: Sequence[int], prefix: int) -> AnswerBatch:
    ids = list(examples[chosen[0]].ids[:prefix])
    positions = list(range(prefix))
    segments = [-1] * prefix  # which suffix a token belongs to; -1 = the prefix
    columns: list[int] = []
    for segment, i in enumerate(chosen):
        suffix = examples[i].ids[prefix:-1]
        columns += range(len(ids) + examples[i].answer_start - 1 - prefix, len(ids) + len(suffix))
        ids += suffix
        positions += range(prefix, prefix + len(suffix))
        segments += [segment] * len(suffix)
    owner = torch.tensor(segments)
    mask = (owner[:, None] == owner[None]) | (owner[None] == -1)
    return AnswerBatch(
        torch.tensor([ids]),
        torch.zeros(len(columns), dtype=torch.long),
        torch.tensor(columns),
        *_targets(examples, chosen),
        positions=torch.tensor([positions]),
        mask=mask.tril()[None, None],
    )


def _targets(examples: Sequence[Encoded], chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
    targets = [token for i in chosen for token in examples[i].answer_ids]
    owners = [i for i in chosen for _ in examples[i].answer_ids]
    return torch.tensor(targets), torch.tensor(owners)
