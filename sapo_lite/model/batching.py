"""Batches of rows: padded, or packed after their shared prefix.

All rows of a task begin with the same instruction. A pack is one sequence `[prefix | suffix 1 |
suffix 2 | ...]`: positions start over after the prefix, and a suffix sees the prefix and itself.
So the prefix is computed once, nothing is padded, and losses and gradients are exactly those of the rows
alone (at LoRA dropout 0; with dropout, a pack draws one mask for the prefix where separate rows would draw
one each).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sapo_lite.errors import BackboneError
from sapo_lite.model.attention import PackLayout
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.memory import fits_in_memory, token_budget


@dataclass(frozen=True)
class AnswerBatch:
    """Input of one forward pass, and the positions of its A answer tokens.

    ids: int64 [B, T]; without the last token of any row, which predicts nothing
    rows, columns: int64 [A], where in `ids` each answer token is predicted
    targets: int64 [A], the answer tokens
    owners: int64 [A], the example of each answer token: an index into the examples of the batch
    layout: lengths of the prefix and the suffixes of a pack; None for a padded batch
    """

    ids: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    owners: Tensor
    layout: PackLayout | None = None

    def to(self, device: torch.device) -> "AnswerBatch":
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return AnswerBatch(**moved, layout=self.layout)


def batches(
    backbone: Backbone,
    examples: Sequence[EncodedRow],
    rows: Sequence[int] | None = None,
    *,
    pack: bool = True,
    tokens: int | None = None,
) -> Iterator[AnswerBatch]:
    """Batches of the rows (all, or those numbered) of at most `tokens` tokens, or of one row.

    Packs are used if `pack` is true and the backbone accepts them. Rows without answer tokens are left out.
    """
    learned = [i for i in (range(len(examples)) if rows is None else rows) if examples[i].answer_ids]
    todo = sorted(learned, key=lambda i: len(examples[i].ids))
    prefix = shared_prefix(examples) if pack and backbone.packs else None
    while todo:
        budget = backbone.budget_share * (tokens or token_budget(backbone))
        chosen = _that_fit(examples, todo, budget, prefix)
        batch = padded(examples, chosen) if prefix is None else packed(examples, chosen, prefix)
        yield batch.to(backbone.device)
        todo = todo[len(chosen) :]


def in_batches(
    backbone: Backbone,
    examples: Sequence[EncodedRow],
    use: Callable[[AnswerBatch], None],
    *,
    tokens: int | None = None,
) -> None:
    """Call `use` on batches that together hold every row with answer tokens once.

    If memory runs out for a batch, its rows come again in batches of half the size, and later batches keep
    that size. So `use` must not have an effect before the point at which it can still fail.

    Raises:
        BackboneError: memory does not suffice for a single row.
    """
    todo = list(range(len(examples)))
    while todo:
        failed: list[int] = []
        for batch in batches(backbone, examples, todo, tokens=tokens):
            if fits_in_memory(partial(use, batch)):
                continue
            failed += batch.owners.unique().tolist()
            allowed = tokens or token_budget(backbone)
            backbone.budget_share = 0.5 * min(backbone.budget_share, batch.ids.numel() / allowed)
            if len(batch.owners.unique()) == 1:
                raise BackboneError(
                    f"Memory does not suffice for one row of {len(examples[failed[-1]].ids)} tokens. Lower "
                    "model.max_source_tokens, use a smaller model, or free memory that other programs hold."
                )
        todo = failed


def _that_fit(
    examples: Sequence[EncodedRow], todo: Sequence[int], budget: float, prefix: int | None
) -> Sequence[int]:
    """The first rows of `todo` (sorted by length) whose batch fits the budget, or the first row alone."""
    used = prefix or 0
    for count, i in enumerate(todo):
        length = len(examples[i].ids) - 1
        used = (count + 1) * length if prefix is None else used + length - prefix
        if used > budget and count:
            return todo[:count]
    return todo


def padded(examples: Sequence[EncodedRow], chosen: Sequence[int]) -> AnswerBatch:
    """The chosen rows as a right-padded batch.

    It needs no mask: under causal attention a token never sees the padding to its right.
    """
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


def packed(examples: Sequence[EncodedRow], chosen: Sequence[int], prefix: int) -> AnswerBatch:
    """The chosen rows as a pack after their first `prefix` tokens."""
    ids = list(examples[chosen[0]].ids[:prefix])
    columns: list[int] = []
    for i in chosen:
        suffix = examples[i].ids[prefix:-1]
        columns += range(len(ids) + examples[i].answer_start - 1 - prefix, len(ids) + len(suffix))
        ids += suffix
    return AnswerBatch(
        torch.tensor([ids]),
        torch.zeros(len(columns), dtype=torch.long),
        torch.tensor(columns),
        *_targets(examples, chosen),
        layout=PackLayout(prefix, tuple(len(examples[i].ids) - 1 - prefix for i in chosen)),
    )


def shared_prefix(examples: Sequence[EncodedRow]) -> int:
    """Number of tokens that all rows begin with, without the token that predicts the first answer token.

    It is counted in the tokens of whole rows: a cut in the text would miss tokens that merge across the cut.
    """
    return common_prefix([e.ids[: e.answer_start - 1] for e in examples])


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """Number of tokens that all sequences begin with."""
    ordered = sorted(map(tuple, sequences))
    first, last = ordered[0], ordered[-1]  # the common prefix of these two is the common prefix of all
    differing = (n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return next(differing, min(len(first), len(last)))


def _targets(examples: Sequence[EncodedRow], chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
    targets = [token for i in chosen for token in examples[i].answer_ids]
    owners = [i for i in chosen for _ in examples[i].answer_ids]
    return torch.tensor(targets), torch.tensor(owners)
