"""Many packs in one forward pass: each row of a batch is a prefix and the examples that share it.

`sapo_lite.model.batching` makes a pack of all rows of one task. Pretraining has many instructions, each with
a few examples; so its packs are short, and form the rows of a batch, padded on the right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sapo_lite.model.backbone import only_at
from sapo_lite.model.batching import Group, packed, shared_prefix
from sapo_lite.model.chat import EncodedRow


@dataclass(frozen=True)
class PackBatch:
    """B packs of up to T tokens, with A answer tokens in all.

    ids, positions: int64 [B, T]
    mask: float32 [B, 1, T, T], 0 where a token may see another, else the most negative number
    rows, columns: int64 [A], where each answer token is predicted
    targets: int64 [A], the answer tokens; owners: int64 [A], the number of each token's example
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    owners: Tensor


def pack_batch(encoded: Sequence[EncodedRow], groups: Sequence[Sequence[int]]) -> PackBatch:
    """Pack the numbered examples; the examples of a group have a common beginning and share a row."""
    packs = [packed(encoded, [Group(shared_prefix([encoded[n] for n in own]), own)]) for own in groups]
    size = (len(packs), max(pack.ids.shape[1] for pack in packs))
    ids, positions = torch.zeros(size, dtype=torch.long), torch.zeros(size, dtype=torch.long)
    sees = torch.zeros(size[0], 1, size[1], size[1], dtype=torch.bool)
    sees[..., 0] = True  # padding must see a token, or its softmax is NaN
    for row, pack in enumerate(packs):
        assert pack.layout is not None
        length = pack.ids.shape[1]
        ids[row, :length] = pack.ids[0]
        positions[row, :length] = pack.layout.positions[0]
        sees[row, :, :length, :length] = pack.layout.mask()[0]
    return PackBatch(
        ids,
        positions,
        torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min),
        torch.cat([torch.full_like(pack.columns, row) for row, pack in enumerate(packs)]),
        *(torch.cat([getattr(pack, name) for pack in packs]) for name in ("columns", "targets", "owners")),
    )


def answer_logits(model: Any, batch: PackBatch) -> Tensor:
    """Logits at the answer tokens: [A, vocabulary]. The last MLP runs only there."""
    decoder = model.base_model
    with only_at(decoder, batch.rows, batch.columns):
        hidden = decoder(
            input_ids=batch.ids,
            position_ids=batch.positions,
            attention_mask=batch.mask,
            use_cache=False,
        ).last_hidden_state
    logits: Tensor = model.get_output_embeddings()(hidden[batch.rows, batch.columns])
    return logits
