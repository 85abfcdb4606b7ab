"""Packs of several prefixes: losses and gradients are those of each row alone, whatever other groups say."""

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.model.attention import PackGroup, pack_layout
from sapo_lite.model.backbone import Backbone, segments
from sapo_lite.model.batching import batches, shared_prefix
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.copying import as_block, from_block, moved
from sapo_lite.model.loss import answer_nll, token_nll
from sapo_lite.prompts.scoring import race_scores, score
from sapo_lite.types import Candidate, TrainingRow
from tiny import FAMILIES, adapter_config, fill_blocks, make_task, plain_nll, row_nll

MAKE = Callable[..., Backbone]
families = pytest.mark.parametrize("family", FAMILIES)
TASK = make_task(5)
INSTRUCTIONS = (TASK.instruction, "判断情感 {0}", "", "Is the text happy? Say positive or negative.")


def learned(backbone: Backbone) -> BlockAdapter:
    adapter = METHODS["lorainc"].build(backbone, adapter_config(), tasks=2, checkpointing=False)
    fill_blocks(adapter, 2)
    return adapter


def rows_and_groups(backbone: Backbone) -> tuple[list[EncodedRow], list[range]]:
    """Five rows under each of four instructions."""
    rows: list[EncodedRow] = []
    for text in INSTRUCTIONS:
        rows += backbone.chat.encode(TASK, [TrainingRow(text, e.input, e.answer) for e in TASK.train])
    return rows, [range(start, start + 5) for start in range(0, 20, 5)]


def fed(backbone: Backbone) -> list[tuple[int, ...]]:
    """(rows, tokens a row) of every forward pass from now on."""
    shapes: list[tuple[int, ...]] = []
    embedding = backbone.causal_lm.get_input_embeddings()
    embedding.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    return shapes


def test_places_and_mask_of_two_groups_spelled_out() -> None:
    layout = pack_layout([PackGroup(2, (2, 1)), PackGroup(1, (2,))])
    assert layout.places.tolist() == [
        [0, 1, 2, 3, 2, 0, 1, 2],  # positions
        [0, 0, 0, 0, 0, 1, 1, 1],  # groups
        [-1, -1, 0, 0, 1, -1, 2, 2],  # suffixes
    ]
    assert layout.mask()[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 1, 1, 1],
    ]


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@families
def test_losses_and_gradients_of_several_groups_are_those_of_rows_alone(
    make_backbone: MAKE, family: str, attention: str
) -> None:
    backbone = make_backbone(family)
    backbone.causal_lm.config._attn_implementation = attention
    adapter = learned(backbone)
    rows, groups = rows_and_groups(backbone)
    weights = [weight for pair in adapter.pairs for weight in pair]
    expected = [plain_nll(backbone.model, row) for row in rows]
    exact = [torch.autograd.grad(row_nll(backbone.model, row), weights) for row in rows]
    order = random.Random(0).sample(range(20), 20)
    place = {row: n for n, row in enumerate(order)}
    mixed = [[place[row] for row in group] for group in groups]
    shapes = fed(backbone)
    found, _ = answer_nll(backbone, [rows[n] for n in order], 10**9, groups=mixed)
    assert found == pytest.approx([expected[n] for n in order], rel=1e-5)
    unique = sum(shared_prefix(rows[own.start : own.stop]) for own in groups)
    unique += sum(
        len(row.ids) - 1 - shared_prefix(rows[own.start : own.stop])
        for own in groups
        for row in rows[own.start : own.stop]
    )
    assert shapes == [(1, unique)]
    (batch,) = batches(backbone, rows, groups=groups, tokens=10**9)
    for one, alone in zip(
        torch.autograd.grad(token_nll(backbone, batch).sum(), weights), zip(*exact, strict=True), strict=True
    ):
        other = torch.stack(alone).sum(0)
        assert (one - other).norm() <= 1e-5 * other.norm()


@families
def test_a_loss_does_not_change_by_a_bit_with_what_other_groups_say(make_backbone: MAKE, family: str) -> None:
    backbone = make_backbone(family)
    rows, groups = rows_and_groups(backbone)
    (pack,) = batches(backbone, rows, groups=groups, tokens=10**9)
    assert pack.layout is not None
    _, group, _ = pack.layout.places
    with backbone.inference():
        losses = token_nll(backbone, pack)
        for number, own in enumerate(groups):
            others = torch.where(group == number, pack.ids, 77)
            found = token_nll(backbone, replace(pack, ids=others))
            ours = torch.isin(pack.owners, torch.tensor(own))
            assert torch.equal(found[ours], losses[ours])
            assert not torch.equal(found[~ours], losses[~ours])


def test_a_group_that_fits_into_a_batch_is_not_split(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    rows, groups = rows_and_groups(backbone)
    sizes = [next(batches(backbone, rows, own, groups=groups)).ids.numel() for own in groups]
    # Room for the first two and one token less than the third needs; the last two fit together.
    room = sum(sizes[:3]) - 1
    made = list(batches(backbone, rows, groups=groups, tokens=room))
    assert [batch.ids.numel() for batch in made] == [sum(sizes[:2]), sum(sizes[2:])]
    assert [batch.owners.unique().tolist() for batch in made] == [[*range(10)], [*range(10, 20)]]
    # A group beyond the budget is divided; what is left of it shares a batch with the next one.
    made = list(batches(backbone, rows, groups=[[*range(10)], [*range(10, 20)]], tokens=max(sizes) + 40))
    assert all(batch.ids.numel() <= max(sizes) + 40 for batch in made)
    assert sorted(n for batch in made for n in batch.owners.unique().tolist()) == [*range(20)]


@families
def test_a_round_of_a_race_is_one_pass_and_its_choice_and_losses_are_those_of_single_candidates(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    monkeypatch.setattr("sapo_lite.model.memory.BEST_TOKENS", {"cpu": 10**9})
    backbone = make_backbone(family)
    task = make_task(70)
    candidates = [Candidate(n, text, "file") for n, text in enumerate(INSTRUCTIONS)]
    shapes = fed(backbone)
    ends: list[Any] = []
    raced = race_scores(backbone, task, candidates, examples=70, seed=1, on_round=ends.append)
    assert len(shapes) == len(ends)
    assert {batch for batch, _ in shapes} == {1}
    full = score(backbone, task, candidates, examples=70)
    assert len(shapes) == len(ends) + len(candidates)
    for own, whole in zip(raced, full, strict=True):
        assert own.nll_sum == pytest.approx([whole.nll_sum[i] for i in own.examples], rel=1e-5)
    left = max(raced, key=lambda one: (len(one.examples), -one.token_mean)).index
    assert left == min(full, key=lambda one: one.token_mean).index


def test_rows_are_counted_as_their_batches_are_done(make_backbone: MAKE) -> None:
    backbone = make_backbone("llama")
    rows, groups = rows_and_groups(backbone)
    without = replace(rows[3], answer_start=len(rows[3].ids))
    counts: list[int] = []
    answer_nll(backbone, [*rows[:3], without, *rows[4:]], 300, groups=groups, on_rows=counts.append)
    assert counts[0] == 1  # in no batch
    assert sum(counts) == 20
    assert len(counts) > 3


# --- on Unsloth's CUDA path


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of Unsloth's shared-prefix kernel, without the package: that patches other packages."""
    found = find_spec("unsloth")
    if found is None or not found.submodule_search_locations:
        pytest.skip("Unsloth is not installed")
    (folder,) = found.submodule_search_locations
    for name, place in (("unsloth", folder), ("unsloth.utils", f"{folder}/utils")):
        shell = ModuleType(name)
        shell.__path__ = [place]
        monkeypatch.setitem(sys.modules, name, shell)
    name = "unsloth.utils.prefix_grouper_kernel"
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield import_module(name)
    sys.modules.pop(name, None)


def test_unsloths_kernel_is_given_what_it_makes_of_the_groups_itself(kernel: Any) -> None:
    layout = pack_layout([PackGroup(3, (2, 1)), PackGroup(0, (1,)), PackGroup(1, (2, 2))])
    found = segments(layout)
    wanted, _ = kernel.build_seg_info_multigroup([(3, [2, 1]), (0, [1]), (1, [2, 2])], torch.device("cpu"))
    names = ("group_of_kv", "is_prefix", "suffix_of_kv")
    labels = [getattr(found, name) for name in names]
    assert_equal(labels, [getattr(wanted, name) for name in names])
    assert found.is_prefix.dtype is torch.bool
    assert (found.T, found.T_pad, found.signature) == (12, 128, wanted.signature)
    # What its mask keeps is what ours does.
    places = torch.arange(12)
    keep = kernel._make_mask_mod(*labels)(None, None, places[:, None], places[None])
    assert torch.equal(keep, layout.mask()[0, 0])


# --- copies to a card


def test_tensors_are_copied_as_one_block_and_come_back_as_they_were() -> None:
    tensors = [
        torch.arange(6).view(2, 3),
        torch.tensor([7]),
        torch.zeros(0, dtype=torch.long),
        -torch.ones(4).long(),
    ]
    block = as_block(tensors)
    assert block.tolist() == [0, 1, 2, 3, 4, 5, 7, -1, -1, -1, -1]
    assert_equal(from_block(block, [tensor.shape for tensor in tensors]), tensors)
    meta = moved(tensors, torch.device("meta"))
    assert [(one.device.type, one.shape) for one in meta] == [("meta", tensor.shape) for tensor in tensors]


def test_nothing_is_copied_on_a_cpu() -> None:
    tensors = [torch.arange(6).view(2, 3), torch.tensor([7])]
    assert all(one is other for one, other in zip(moved(tensors, torch.device("cpu")), tensors, strict=True))


def assert_equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_a_batch_moves_as_a_whole(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    rows, groups = rows_and_groups(backbone)
    (pack,) = batches(backbone, rows, groups=groups, tokens=10**9)
    there = pack.to(torch.device("meta"))
    assert there.layout is not None
    assert pack.layout is not None
    assert there.layout.groups == pack.layout.groups
    tensors = [there.ids, there.rows, there.columns, there.targets, there.owners, there.layout.places]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert there.ids.shape == pack.ids.shape
    assert there.count == pack.count == 20
