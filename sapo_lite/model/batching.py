"""Batches of rows: padded, or packed after their shared prefix.

All rows of a task begin with the same instruction. A pack is one sequence `[prefix | suffix 1 |
suffix 2 | ...]`: positions start over after the prefix, and a suffix sees the prefix and itself.
So the prefix is computed once, nothing is padded, and losses and gradients are exactly those of the rows
alone (at LoRA dropout 0; with dropout, a pack draws one mask for the prefix where separate rows would draw
one each). A pack may hold several such groups of rows, one after another: all candidates of a race's round.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from sapo_lite.errors import BackboneError
from sapo_lite.model.attention import PackGroup, PackLayout, pack_layout
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.copying import moved
from sapo_lite.model.memory import fits_in_memory, token_budget


@dataclass(frozen=True)
class AnswerBatch:
    """Input of one forward pass, and the positions of its A answer tokens.

    ids: int64 [B, T]; without the last token of any row, which predicts nothing
    rows, columns: int64 [A], where in `ids` each answer token is predicted
    targets: int64 [A], the answer tokens
    owners: int64 [A], the example of each answer token: an index into the examples of the batch
    layout: the groups of a pack; None for a padded batch
    """

    ids: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    owners: Tensor
    layout: PackLayout | None = None

    @property
    def count(self) -> int:
        """Number of its rows that have answers, known without asking the device."""
        return len(self.ids) if self.layout is None else sum(len(g.suffixes) for g in self.layout.groups)

    def to(self, device: torch.device) -> "AnswerBatch":
        tensors = [self.ids, self.rows, self.columns, self.targets, self.owners]
        of_pack = [] if self.layout is None else [self.layout.places]
        ids, rows, columns, targets, owners, *places = moved([*tensors, *of_pack], device)
        layout = None if self.layout is None else replace(self.layout, places=places[0])
        return AnswerBatch(ids, rows, columns, targets, owners, layout)


class Group(NamedTuple):
    """Rows, by number, that begin with the same `prefix` tokens."""

    prefix: int
    rows: Sequence[int]


def batches(
    backbone: Backbone,
    examples: Sequence[EncodedRow],
    rows: Sequence[int] | None = None,
    *,
    groups: Sequence[Sequence[int]] | None = None,
    pack: bool = True,
    tokens: int | None = None,
) -> Iterator[AnswerBatch]:
    """Batches of the rows (all, or those numbered) of at most `tokens` tokens, or of one row.

    Packs are used if `pack` is true and the backbone accepts them. Rows without answer tokens are left out.
    groups: numbers of rows that share a beginning, for packs; all rows are one group unless it is given
    """
    allowed, packs = tokens or token_budget(backbone), pack and backbone.packs
    todo = grouped(examples, rows, groups, pack=packs)
    while todo:
        chosen, todo = first_batch(examples, todo, backbone.budget_share * allowed, pack=packs)
        batch = packed(examples, chosen) if packs else padded(examples, chosen[0].rows)
        yield batch.to(backbone.device)


def grouped(
    examples: Sequence[EncodedRow],
    rows: Sequence[int] | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    *,
    pack: bool,
) -> list[Group]:
    """The rows that have answer tokens in groups, sorted by length; in one group without packs."""
    wanted = set(range(len(examples)) if rows is None else rows)
    members = [range(len(examples))] if groups is None else groups
    found = []
    for own in members:
        learned = [i for i in own if i in wanted and examples[i].answer_ids]
        if learned:
            found.append(Group(shared_prefix([examples[i] for i in own]) if pack else 0, learned))
    if not pack:
        found = [Group(0, [i for group in found for i in group.rows])] if found else []
    return [Group(prefix, sorted(own, key=lambda i: len(examples[i].ids))) for prefix, own in found]


def first_batch(
    examples: Sequence[EncodedRow],
    groups: Sequence[Group],
    budget: float,
    *,
    pack: bool,
    most: int | None = None,
) -> tuple[list[Group], list[Group]]:
    """The rows of the first batch, `most` at most, and those that are left.

    It has at most `budget` tokens, or one row. A group that fits into a batch is not split, so that its
    prefix is computed once.
    """
    chosen: list[Group] = []
    used = rows = 0
    for number, group in enumerate(groups):
        used += batch_tokens(examples, [group], pack=pack)
        rows += len(group.rows)
        if used > budget or (most is not None and rows > most):
            if chosen:
                return chosen, list(groups[number:])
            prefix, own = group
            fitting = _that_fit(examples, own[:most], budget, prefix if pack else None)
            if len(fitting) < len(own):
                return [Group(prefix, fitting)], [Group(prefix, own[len(fitting) :]), *groups[number + 1 :]]
        chosen.append(group)
    return chosen, []


def batch_tokens(examples: Sequence[EncodedRow], groups: Sequence[Group], *, pack: bool) -> int:
    """Tokens of a batch of the groups, whose rows are sorted by length."""
    if not pack:
        return sum(len(rows) * (len(examples[rows[-1]].ids) - 1) for _, rows in groups)
    return sum(prefix + sum(len(examples[i].ids) - 1 - prefix for i in rows) for prefix, rows in groups)


def in_batches(
    backbone: Backbone,
    examples: Sequence[EncodedRow],
    use: Callable[[AnswerBatch], None],
    *,
    rows: Sequence[int] | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    pack: bool = True,
    tokens: int | None = None,
) -> None:
    """Call `use` on batches that together hold every row (or those numbered) with answer tokens once.

    If memory runs out for a batch, its rows come again in batches of half the size, and later batches keep
    that size. So `use` must not have an effect before the point at which it can still fail.

    groups, pack: as for `batches`

    Raises:
        BackboneError: memory does not suffice for a single row.
    """
    # Once for all batches: the answer depends on what else is in memory at the time.
    allowed = tokens or token_budget(backbone)
    todo = list(range(len(examples)) if rows is None else rows)
    while todo:
        failed: list[int] = []
        for batch in batches(backbone, examples, todo, groups=groups, pack=pack, tokens=allowed):
            if fits_in_memory(partial(use, batch)):
                continue
            failed += batch.owners.unique().tolist()
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


def packed(examples: Sequence[EncodedRow], groups: Sequence[Group]) -> AnswerBatch:
    """The rows of the groups as a pack: each group behind its prefix."""
    ids: list[int] = []
    columns: list[int] = []
    for prefix, own in groups:
        ids += examples[own[0]].ids[:prefix]
        for i in own:
            suffix = examples[i].ids[prefix:-1]
            columns += range(len(ids) + examples[i].answer_start - 1 - prefix, len(ids) + len(suffix))
            ids += suffix
    lengths = [
        PackGroup(prefix, tuple(len(examples[i].ids) - 1 - prefix for i in own)) for prefix, own in groups
    ]
    return AnswerBatch(
        torch.tensor([ids]),
        torch.zeros(len(columns), dtype=torch.long),
        torch.tensor(columns),
        *_targets(examples, [i for group in groups for i in group.rows]),
        layout=pack_layout(lengths),
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
