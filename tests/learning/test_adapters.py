"""Blocks of one LoRA: past blocks never change, and plain PEFT loads a saved adapter."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor

from sapo_lite.errors import TrainingError
from sapo_lite.learning.adapters.blocks import BlockAdapter, _OpenRows
from sapo_lite.learning.adapters.olora import orthogonality
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.loss import answer_nll
from sapo_lite.recipe import AdapterConfig, TrainingConfig
from sapo_lite.types import TrainingRow, TrainingSet
from tiny import FAMILIES, adapter_config, fill_blocks, make_task, plain_model

TASK = make_task(6)
ROWS = [TrainingRow(TASK.instruction, e.input, e.answer) for e in TASK.train]
RANK, SCALE = 4, 4.0
MAKE = Callable[..., Backbone]

pytestmark = pytest.mark.usefixtures("quick_collections")
families = pytest.mark.parametrize("family", FAMILIES)
quantizations = pytest.mark.parametrize("quantization", ["none", "nf4"])


def attach(
    backbone: Backbone,
    method: str = "lorainc",
    tasks: int = 3,
    checkpointing: bool = False,
    **settings: object,
) -> BlockAdapter:
    return METHODS[method].build(
        backbone, adapter_config(**settings), tasks=tasks, checkpointing=checkpointing
    )


def learn(
    backbone: Backbone, adapter: BlockAdapter, stage: int, folder: Path, *, checkpointing: bool = False
) -> None:
    """Open the block of `stage` and train it for three real steps."""
    adapter.open_block(stage, seed=stage)
    config = TrainingConfig(
        epochs=1, learning_rate=1e-2, batch_size=2, micro_batch_size=2, gradient_checkpointing=checkpointing
    )
    train(
        backbone, adapter, [TrainingSet(TASK, ROWS)], config, checkpoints=folder / "checkpoints", seed=stage
    )


def losses(backbone: Backbone) -> tuple[float, ...]:
    return answer_nll(backbone, backbone.chat.encode(TASK, ROWS))[0]


def logits(model: torch.nn.Module, backbone: Backbone) -> Tensor:
    (ids,) = backbone.chat.encode_prompts(TASK, TASK.instruction, ["a joy from its first minute"])
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([ids])).logits


def block(adapter: BlockAdapter, stage: int) -> list[Tensor]:
    """Copies of a block's rows of every A and columns of every B."""
    own = slice(stage * RANK, (stage + 1) * RANK)
    return [t.detach().clone() for a, b in adapter.pairs for t in (a[own], b[:, own])]


def identical(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


def is_zero(tensors: list[Tensor]) -> bool:
    return not any(t.any() for t in tensors)


# --- saved, loaded, extended


@pytest.mark.slow
@quantizations
@families
def test_losses_are_equal_before_saving_after_loading_and_after_opening_a_new_block(
    make_backbone: MAKE, tmp_path: Path, family: str, quantization: str
) -> None:
    backbone = make_backbone(family, quantization)
    adapter = attach(backbone)
    untrained = losses(backbone)
    for stage in (0, 1):
        learn(backbone, adapter, stage, tmp_path)
    before = losses(backbone)
    assert before != pytest.approx(untrained, rel=1e-2)
    adapter.save(tmp_path / "adapter")

    fresh = make_backbone(family, quantization)
    loaded = attach(fresh)
    loaded.load(tmp_path / "adapter")
    assert losses(fresh) == before
    loaded.open_block(2, seed=2)
    assert not is_zero(block(loaded, 2)[0::2])  # A is drawn
    assert losses(fresh) == before


@pytest.mark.slow
@quantizations
@families
def test_a_saved_adapter_loads_in_plain_peft_with_the_same_logits(
    make_backbone: MAKE, tmp_path: Path, family: str, quantization: str
) -> None:
    backbone = make_backbone(family, quantization)
    bare = logits(backbone.model, backbone)
    adapter = attach(backbone)
    for stage in (0, 1):
        learn(backbone, adapter, stage, tmp_path)
    ours = logits(backbone.model, backbone)
    adapter.save(tmp_path / "adapter")
    assert sorted(p.name for p in (tmp_path / "adapter").iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    model = PeftModel.from_pretrained(plain_model(backbone), tmp_path / "adapter")
    assert (ours - bare).abs().max() > 0.1
    torch.testing.assert_close(logits(model, backbone), ours, rtol=0, atol=0)


@families
def test_an_adapter_loads_into_a_model_that_has_learned_something_else(
    make_backbone: MAKE, tmp_path: Path, family: str
) -> None:
    backbone = make_backbone(family)
    adapter = attach(backbone)
    fill_blocks(adapter, 1)
    saved = [block(adapter, stage) for stage in range(3)]
    adapter.save(tmp_path / "adapter")
    fill_blocks(adapter, 3, seed=1)
    adapter.load(tmp_path / "adapter")
    assert all(identical(block(adapter, stage), saved[stage]) for stage in range(3))


# --- training moves the open block alone


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [True, False])
@quantizations
@families
def test_training_changes_the_open_block_and_nothing_else(
    make_backbone: MAKE, tmp_path: Path, family: str, quantization: str, checkpointing: bool
) -> None:
    backbone = make_backbone(family, quantization)
    base = [p.detach().clone() for p in backbone.model.parameters()]
    adapter = attach(backbone, checkpointing=checkpointing)
    for stage in range(3):
        losses(backbone)  # scoring and testing come between: no-grad passes
        past = [block(adapter, k) for k in range(stage)]
        learn(backbone, adapter, stage, tmp_path, checkpointing=checkpointing)
        assert all(identical(block(adapter, k), past[k]) for k in range(stage))
        assert all(t.any() for t in block(adapter, stage))  # B has left zero in every layer
        assert all(is_zero(block(adapter, k)) for k in range(stage + 1, 3))
        assert {p.dtype for pair in adapter.pairs for p in pair} == {torch.float32}
    trained = backbone.model.get_base_model().parameters()
    frozen = [p.detach() for p in trained if not any(p is q for pair in adapter.pairs for q in pair)]
    assert len(frozen) == len(base)
    assert identical(base, frozen)


@pytest.mark.slow
@quantizations
@families
def test_gradient_checkpointing_does_not_change_what_is_learned(
    make_backbone: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, quantization: str
) -> None:
    learned = []
    recomputed: list[object] = []
    import transformers.modeling_layers as layers

    inner = layers.GradientCheckpointingLayer.__call__

    def spy(self: torch.nn.Module, *args: object, **kwargs: object) -> object:
        if self.gradient_checkpointing and self.training:
            recomputed.append(self)
        return inner(self, *args, **kwargs)

    monkeypatch.setattr(layers.GradientCheckpointingLayer, "__call__", spy)
    for checkpointing in (False, True):
        assert not recomputed
        backbone = make_backbone(family, quantization)
        adapter = attach(backbone, checkpointing=checkpointing)
        learn(backbone, adapter, 0, tmp_path, checkpointing=checkpointing)
        learned.append(block(adapter, 0))
    assert recomputed
    torch.testing.assert_close(learned[0], learned[1], rtol=1e-5, atol=1e-6)


def test_the_open_block_starts_as_peft_starts_a_lora(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    adapter = attach(backbone)
    adapter.open_block(1, seed=3)
    a, b = block(adapter, 1)[:2]
    # kaiming_uniform_(a=sqrt(5)) is uniform on (-1/sqrt(d_in), 1/sqrt(d_in)).
    bound = a.shape[1] ** -0.5
    assert 0.9 * bound < a.abs().max() <= bound
    assert abs(a.mean()) < 0.1 * bound
    assert not b.any()
    adapter.open_block(1, seed=3)
    assert torch.equal(block(adapter, 1)[0], a)
    adapter.open_block(1, seed=4)
    assert not torch.equal(block(adapter, 1)[0], a)


def test_opening_a_block_again_starts_it_afresh(make_backbone: MAKE) -> None:
    adapter = attach(make_backbone("qwen3"))
    adapter.open_block(0, seed=0)
    start = block(adapter, 0)
    fill_blocks(adapter, 1)
    adapter.open_block(0, seed=0)
    assert identical(block(adapter, 0), start)


# --- scale


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_every_block_acts_at_alpha_over_rank_whatever_their_number(make_backbone: MAKE, blocks: int) -> None:
    backbone = make_backbone("qwen3")
    layer = backbone.causal_lm.model.layers[1].self_attn
    x = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    plain = layer.v_proj(x)
    adapter = attach(backbone, tasks=blocks)
    fill_blocks(adapter, blocks)
    a, b = layer.v_proj.lora_A["default"].weight, layer.v_proj.lora_B["default"].weight
    assert a.shape == (4 * blocks, 64)
    delta = torch.zeros_like(plain)
    for k in range(blocks):
        own = slice(4 * k, 4 * k + 4)
        delta += 16 / 4 * (x @ a[own].T) @ b[:, own].T  # alpha 16, rank 4
    torch.testing.assert_close(layer.v_proj(x), plain + delta, rtol=1e-5, atol=1e-5)
    assert delta.abs().max() > 0.1


@families
def test_blocks_equal_separate_frozen_and_new_peft_adapters(
    make_backbone: MAKE, tmp_path: Path, family: str
) -> None:
    backbone = make_backbone(family)
    adapter = attach(backbone)
    for stage in range(3):
        learn(backbone, adapter, stage, tmp_path)
    config = LoraConfig(r=RANK, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    separate = get_peft_model(plain_model(backbone), config, adapter_name="0")
    for name in ("1", "2"):
        separate.add_adapter(name, config)
    layers = [m for m in separate.modules() if hasattr(m, "lora_A") and "0" in m.lora_A]
    for stage in range(3):
        tensors = iter(block(adapter, stage))
        for layer in layers:
            layer.lora_A[str(stage)].weight.data = next(tensors)
            layer.lora_B[str(stage)].weight.data = next(tensors)
    separate.base_model.set_adapter(["0", "1", "2"])
    torch.testing.assert_close(
        logits(separate, backbone), logits(backbone.model, backbone), rtol=1e-5, atol=1e-5
    )
    separate.base_model.set_adapter(["0", "1"])
    assert (logits(separate, backbone) - logits(backbone.model, backbone)).abs().max() > 1e-2


# --- methods


def test_a_recipe_names_every_method() -> None:
    assert all(AdapterConfig(method=method).method == method for method in METHODS)


def test_the_olora_penalty_is_half_the_l1_sum_of_overlaps(make_backbone: MAKE) -> None:
    adapter = attach(make_backbone("qwen3"), "olora", penalty_weight=0.5)
    assert adapter.penalty is not None
    adapter.open_block(2, seed=2)
    for a, _ in adapter.pairs:
        a.data.zero_()
    (a0, _), (a1, _), *_ = adapter.pairs
    # Layer 0: block 0 has the row (1, 2, 0, ...), block 1 the row (0, -3, 0, ...), block 2 the rows
    # (5, 0, 0, ...) and (-1, 1, 0, ...). Overlaps: 5 and 0 with the first, 1 and -3.
    a0.data[0, :2] = torch.tensor([1.0, 2.0])
    a0.data[RANK, :2] = torch.tensor([0.0, -3.0])
    a0.data[2 * RANK, :2] = torch.tensor([5.0, 0.0])
    a0.data[2 * RANK + 1, :2] = torch.tensor([-1.0, 1.0])
    # Layer 1: one overlap of -7.
    a1.data[0, 4] = 7.0
    a1.data[2 * RANK, 4] = -1.0
    assert orthogonality(adapter).item() == (5 + 1 + 0 + 3) + 7
    assert adapter.penalty().item() == 0.5 * 16
    adapter.penalty().backward()
    assert a1.grad is not None
    assert a1.grad[2 * RANK, 4] == 0.5 * -7
    assert not a1.grad[: 2 * RANK].any()


def test_the_released_weight_of_the_olora_penalty_is_eight_times_the_default_one(make_backbone: MAKE) -> None:
    gradients = []
    for settings in ({}, {"penalty_weight": 4.0}):
        adapter = attach(make_backbone("qwen3"), "olora", **settings)
        fill_blocks(adapter, 1)
        adapter.open_block(1, seed=1)
        assert adapter.penalty is not None
        adapter.penalty().backward()
        gradients.append([a.grad for a, _ in adapter.pairs])
    for default, released in zip(*gradients, strict=True):
        assert default is not None
        assert default.any()
        assert torch.equal(released, 8 * default)


def test_the_olora_penalty_is_zero_for_the_first_task(make_backbone: MAKE) -> None:
    adapter = attach(make_backbone("qwen3"), "olora")
    adapter.open_block(0, seed=0)
    assert adapter.penalty is not None
    assert adapter.penalty().item() == 0
    adapter.penalty().backward()
    assert not any(a.grad is not None and a.grad.any() for a, _ in adapter.pairs)


@pytest.mark.slow
def test_olora_learns_a_block_that_overlaps_less(make_backbone: MAKE, tmp_path: Path) -> None:
    overlaps = {}
    for method in ("lorainc", "olora"):
        backbone = make_backbone("qwen3")
        adapter = attach(backbone, method, tasks=2)
        for stage in (0, 1):
            learn(backbone, adapter, stage, tmp_path)
        overlaps[method] = orthogonality(adapter).item()
    assert overlaps["olora"] < 0.8 * overlaps["lorainc"]


def test_without_a_weight_in_the_recipe_olora_has_the_published_one(make_backbone: MAKE) -> None:
    adapter = attach(make_backbone("qwen3"), "olora")
    adapter.open_block(1, seed=1)
    fill_blocks(adapter, 2)
    assert adapter.penalty is not None
    assert adapter.penalty().item() == 0.5 * orthogonality(adapter).item() > 0


def test_from_the_second_task_on_an_overlap_of_zero_is_refused(make_backbone: MAKE) -> None:
    adapter = attach(make_backbone("qwen3"), "olora")
    adapter.open_block(1, seed=1)  # over a first block of zeros
    assert adapter.penalty is not None
    with pytest.raises(TrainingError) as refused:
        adapter.penalty()
    assert str(refused.value) == (
        "O-LoRA: expected the new block to overlap at least a little with those of earlier tasks, found an "
        "overlap of exactly 0, so one of them is empty: start over with --fresh."
    )


@pytest.mark.parametrize("method", ["lorainc", "sequential", "replay", "joint", "zero"])
def test_methods_other_than_olora_and_ewc_have_no_penalty(make_backbone: MAKE, method: str) -> None:
    assert attach(make_backbone("qwen3"), method).penalty is None


@pytest.mark.slow
@quantizations
@pytest.mark.parametrize("method", ["sequential", "ewc", "replay", "joint"])
def test_the_methods_of_one_block_go_on_with_it(
    make_backbone: MAKE, tmp_path: Path, method: str, quantization: str
) -> None:
    backbone = make_backbone("qwen3", quantization)
    adapter = attach(backbone, method, tasks=3)
    assert {a.shape[0] for a, _ in adapter.pairs} == {RANK}
    learn(backbone, adapter, 0, tmp_path)
    first, before = block(adapter, 0), losses(backbone)
    adapter.open_block(1, seed=1)
    assert identical(block(adapter, 0), first)
    assert losses(backbone) == before
    learn(backbone, adapter, 1, tmp_path)
    second = block(adapter, 0)
    assert not any(torch.equal(x, y) for x, y in zip(first, second, strict=True))
    adapter.save(tmp_path / "adapter")
    model = PeftModel.from_pretrained(plain_model(backbone), tmp_path / "adapter")
    torch.testing.assert_close(logits(model, backbone), logits(backbone.model, backbone), rtol=0, atol=0)


@pytest.mark.parametrize("method", ["lorainc", "olora"])
def test_the_methods_that_grow_open_a_block_per_task(make_backbone: MAKE, method: str) -> None:
    adapter = attach(make_backbone("qwen3"), method)
    assert {a.shape[0] for a, _ in adapter.pairs} == {3 * RANK}
    for stage in range(3):
        adapter.open_block(stage, seed=0)
        assert (adapter.past, adapter.active) == (
            slice(0, stage * RANK),
            slice(stage * RANK, (stage + 1) * RANK),
        )


# --- refusals


@pytest.mark.parametrize("modules", [("query", "value"), ("q_proj", "value"), ("self_attn",), ("lm_head",)])
def test_target_modules_that_the_model_has_not_are_refused(
    make_backbone: MAKE, modules: tuple[str, ...]
) -> None:
    with pytest.raises(TrainingError) as refused:
        attach(make_backbone("qwen3"), target_modules=modules)
    missing = ", ".join(name for name in modules if name != "q_proj")
    assert str(refused.value) == (
        f'This model\'s decoder has no linear layers called {missing}. Set adapter.target_modules to "auto", '
        '"all-linear" or some of down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj.'
    )


def test_a_past_block_that_moved_is_found(make_backbone: MAKE) -> None:
    adapter = attach(make_backbone("qwen3"))
    fill_blocks(adapter, 2)
    adapter.open_block(1, seed=1)
    before = adapter.frozen_state()
    for a, b in adapter.pairs:  # the open block may move
        a.data[adapter.active] += 1
        b.data[:, adapter.active] += 1
    adapter.assert_frozen(before)
    for matrix, row in ((0, (0, 5)), (1, (5, RANK - 1))):
        weight = adapter.pairs[-1][matrix]
        value = weight.data[row].clone()
        weight.data[row] = torch.nextafter(value, torch.tensor(torch.inf))
        with pytest.raises(
            TrainingError, match=r"blocks of earlier tasks changed .* expected them bit-identical"
        ):
            adapter.assert_frozen(before)
        weight.data[row] = value
    adapter.assert_frozen(before)


def test_training_that_moves_a_past_block_stops(
    make_backbone: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")
    adapter = attach(backbone)
    learn(backbone, adapter, 0, tmp_path)
    monkeypatch.setattr(_OpenRows, "keep_alone", lambda self, parameter, dim: None)
    with pytest.raises(TrainingError, match="bit-identical"):
        learn(backbone, adapter, 1, tmp_path)
