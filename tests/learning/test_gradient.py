"""Size of a task's training: the gradient before the first step, and the update after the last one."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.gradient import gradient_norm, joint_gradient_norm
from sapo_lite.learning.methods import METHODS
from sapo_lite.model.backbone import Backbone
from sapo_lite.prompts.schedules import RandomSchedule
from sapo_lite.types import TrainingRow, TrainingSet
from tiny import FAMILIES, adapter_config, fill_blocks, make_task, row_nll

TASK = make_task(6)
PART = TrainingSet(TASK, [TrainingRow(TASK.instruction, e.input, e.answer) for e in TASK.train])
MAKE = Callable[..., Backbone]

families = pytest.mark.parametrize("family", FAMILIES)
quantizations = pytest.mark.parametrize("quantization", ["none", "nf4"])


def attach(
    backbone: Backbone, method: str = "lorainc", checkpointing: bool = False, **settings: object
) -> BlockAdapter:
    """An adapter that has learned one task, and whose block for the second one is open."""
    adapter = METHODS[method].build(
        backbone, adapter_config(**settings), tasks=3, checkpointing=checkpointing
    )
    fill_blocks(adapter, 1)
    adapter.open_block(1, seed=1)
    return adapter


def norm_by_single_rows(backbone: Backbone, adapter: BlockAdapter, part: TrainingSet = PART) -> float:
    """The norm by autograd on one row at a time: the model's own forward, full logits, open rows picked."""
    backbone.model.eval()
    weights = [weight for pair in adapter.pairs for weight in pair]
    rows = backbone.chat.encode(part.task, part.rows)
    tokens = sum(len(row.answer_ids) for row in rows)
    loss = torch.stack([row_nll(backbone.model, row) for row in rows]).sum() / tokens
    gradients = torch.autograd.grad(loss, weights)
    own = [g[adapter.active] if n % 2 == 0 else g[:, adapter.active] for n, g in enumerate(gradients)]
    return math.sqrt(sum(g.double().square().sum().item() for g in own))


# --- the gradient


@quantizations
@families
def test_the_gradient_norm_is_that_of_the_mean_token_loss_of_all_rows(
    make_backbone: MAKE, family: str, quantization: str
) -> None:
    backbone = make_backbone(family, quantization)
    adapter = attach(backbone, dropout=0.5)  # which is off here
    found = gradient_norm(backbone, adapter, PART, 4)
    assert found == pytest.approx(norm_by_single_rows(backbone, adapter), rel=1e-4)
    assert found == pytest.approx(gradient_norm(backbone, adapter, PART, 6), rel=1e-4)
    assert found == gradient_norm(backbone, adapter, PART, 4)


def test_a_block_that_continues_has_gradients_of_both_factors(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    adapter = attach(backbone, "sequential")
    found = gradient_norm(backbone, adapter, PART, 6)
    assert found == pytest.approx(norm_by_single_rows(backbone, adapter), rel=1e-4)
    with torch.no_grad():
        for _, b in adapter.pairs:
            b.zero_()
    assert found != pytest.approx(gradient_norm(backbone, adapter, PART, 6), rel=1e-2)


def test_measuring_the_gradient_leaves_everything_as_it_was(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    adapter = attach(backbone, dropout=0.5, checkpointing=True)
    backbone.model.train()
    next(iter(backbone.model.modules())).training = False  # no two modes alike
    weights = [weight for pair in adapter.pairs for weight in pair]
    weights[0].grad = torch.ones_like(weights[0])
    modes = [module.training for module in backbone.model.modules()]
    before, random, kept = adapter.state(), torch.get_rng_state(), weights[0].grad
    gradient_norm(backbone, adapter, PART, 4)
    assert [module.training for module in backbone.model.modules()] == modes
    assert weights[0].grad is kept
    assert torch.equal(kept, torch.ones_like(kept))
    assert all(weight.grad is None for weight in weights[1:])
    assert torch.equal(torch.get_rng_state(), random)
    for old, new in zip(before, adapter.state(), strict=True):
        assert torch.equal(old[0], new[0])
        assert torch.equal(old[1], new[1])


def test_a_schedule_is_not_asked_for_instructions(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    adapter = attach(backbone)
    scheduled = replace(PART, schedule=RandomSchedule(("Another instruction altogether.",), 1, "0"))
    assert gradient_norm(backbone, adapter, scheduled, 6) == gradient_norm(backbone, adapter, PART, 6)


def test_tasks_that_are_learned_together_have_one_mean_loss(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    adapter = attach(backbone)
    halves = [replace(PART, rows=PART.rows[:2]), replace(PART, rows=PART.rows[2:])]
    together = joint_gradient_norm(backbone, adapter, halves, 6)
    assert together == pytest.approx(gradient_norm(backbone, adapter, PART, 6), rel=1e-4)


def test_rows_that_do_not_fit_in_memory_together_are_computed_apart(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sapo_lite.learning.rows import RowBatcher

    backbone = make_backbone("qwen3")
    adapter = attach(backbone)
    expected = gradient_norm(backbone, adapter, PART, 6)
    whole = RowBatcher.nll

    def short_of_memory(self: RowBatcher, numbers: list[int]) -> torch.Tensor:
        if len(numbers) > 2:
            raise RuntimeError("CUDA error: out of memory")
        return whole(self, numbers)

    monkeypatch.setattr(RowBatcher, "nll", short_of_memory)
    assert gradient_norm(backbone, adapter, PART, 6) == pytest.approx(expected, rel=1e-4)


# --- the update


@quantizations
def test_the_update_of_a_new_block_is_the_norm_of_its_scaled_product(
    make_backbone: MAKE, quantization: str
) -> None:
    adapter = attach(make_backbone("qwen3", quantization), rank=4, alpha=12)
    assert adapter.update_norm() == 0
    fill_blocks(adapter, 2, seed=1)
    products = [3 * b[:, adapter.active] @ a[adapter.active] for a, b in adapter.pairs]
    norms = adapter.update_norms()
    assert list(norms.values()) == pytest.approx([p.norm().item() for p in products], rel=1e-5)
    assert adapter.update_norm() == pytest.approx(torch.cat([p.flatten() for p in products]).norm().item())
    assert [name.split(".")[-1] for name in norms] == ["q_proj", "v_proj"] * (len(norms) // 2)
    assert next(iter(norms)) == "model.layers.0.self_attn.q_proj"


def test_the_update_of_a_block_that_continues_is_what_this_training_changed(make_backbone: MAKE) -> None:
    adapter = attach(make_backbone("qwen3"), "sequential")
    before = [4 * b @ a for a, b in adapter.pairs]
    assert adapter.update_norm() == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        for a, b in adapter.pairs:
            a += 0.01
            b *= 1.1
    changes = [4 * b @ a - old for (a, b), old in zip(adapter.pairs, before, strict=True)]
    expected = [change.norm().item() for change in changes]
    assert list(adapter.update_norms().values()) == pytest.approx(expected, rel=1e-4)


def test_the_update_is_2_times_5_by_hand(make_backbone: MAKE) -> None:
    """One entry of A and one of B in two layers: scale 2, products 3 and 4."""
    adapter = attach(make_backbone("qwen3"), rank=4, alpha=8)
    with torch.no_grad():
        for a, b in adapter.pairs:
            a[adapter.active], b[:, adapter.active] = 0, 0
        for (a, b), product in zip(adapter.pairs[:2], (3.0, 4.0), strict=True):
            a[adapter.active.start, 0], b[0, adapter.active.start] = 1.0, product
    assert adapter.update_norm() == 10.0
    assert list(adapter.update_norms().values())[:2] == [6.0, 8.0]
