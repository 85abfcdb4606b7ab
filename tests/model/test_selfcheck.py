"""The check of packs: silent where they are right, and no wrong model gets past it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface

from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.model.attention import Chunks
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.loss import answer_nll
from sapo_lite.model.selfcheck import ROWS, check_packs
from sapo_lite.types import TrainingRow
from tiny import FAMILIES, adapter_config, fill_blocks, make_task, plain_nll

MAKE = Callable[..., Backbone]
TASK = make_task(6)
Change = Callable[[dict[str, Any]], dict[str, Any]]


def opened(backbone: Backbone, **settings: Any) -> BlockAdapter:
    """As a run opens the first block before it checks: A drawn, B zero."""
    adapter = METHODS["lorainc"].build(backbone, adapter_config(**settings), tasks=2, checkpointing=False)
    adapter.open_block(0, seed=0)
    return adapter


def rows(backbone: Backbone) -> list[EncodedRow]:
    return backbone.chat.encode(TASK, [TrainingRow(TASK.instruction, e.input, e.answer) for e in TASK.train])


def assert_padded_batches_are_right(backbone: Backbone) -> None:
    encoded = rows(backbone)
    assert answer_nll(backbone, encoded)[0] == pytest.approx(
        [plain_nll(backbone.model, row) for row in encoded], rel=1e-5
    )


# --- right models


@pytest.mark.parametrize("state", ["bare", "opened", "learned"])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_said_of_a_model_that_takes_packs(
    make_backbone: MAKE, family: str, quantization: str, state: str
) -> None:
    backbone = make_backbone(family, quantization)
    if state != "bare":
        adapter = opened(backbone, dropout=0.3)
    if state == "learned":
        fill_blocks(adapter, 2)
    assert check_packs(backbone, rows(backbone), gradients=True) is None
    assert backbone.packs


def test_nothing_is_said_in_bfloat16_either(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    backbone.model.to(torch.bfloat16)
    backbone.dtype = torch.bfloat16
    fill_blocks(opened(backbone), 2)
    assert check_packs(backbone, rows(backbone), gradients=True) is None
    assert backbone.packs


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("wrong", [True, False])
def test_the_check_leaves_no_trace(make_backbone: MAKE, training: bool, wrong: bool) -> None:
    backbone = make_backbone("qwen3")
    fill_blocks(opened(backbone, dropout=0.3), 2)
    if wrong:
        call_decoder_with(backbone, lambda given: given | {"position_ids": 1 / 0})
    backbone.model.train(training)
    before = [p.detach().clone() for p in backbone.model.parameters()]
    trainable = [p.requires_grad for p in backbone.model.parameters()]
    random_state = torch.get_rng_state()
    assert ("ZeroDivisionError" in str(check_packs(backbone, rows(backbone), gradients=True))) is wrong
    assert all(torch.equal(x, y) for x, y in zip(before, backbone.model.parameters(), strict=True))
    assert all(p.grad is None for p in backbone.model.parameters())
    assert [p.requires_grad for p in backbone.model.parameters()] == trainable
    assert {module.training for module in backbone.model.modules()} == {training}
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.is_grad_enabled()
    assert backbone.budget_share == 1.0


def test_packs_are_compared_with_rows_alone_on_a_few_rows(make_backbone: MAKE) -> None:
    backbone = make_backbone("llama")
    shapes: list[tuple[int, ...]] = []
    embedding = backbone.causal_lm.get_input_embeddings()
    embedding.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    encoded = rows(backbone)
    check_packs(backbone, encoded, gradients=False)
    alone = sorted(len(row.ids) - 1 for row in encoded[:ROWS])
    together, *plain, again, beside_others = shapes
    assert plain == [(1, length) for length in alone]
    assert together == again == beside_others
    assert together[0] == 1
    assert max(alone) < together[1] < sum(alone)


# --- wrong models


def call_decoder_with(backbone: Backbone, change: Change) -> None:
    """From now on the decoder gets the keyword arguments that `change` makes of its own."""
    forward = backbone.decoder.forward
    backbone.decoder.forward = lambda **given: forward(**change(given))


def each_chunk(change: Callable[[Tensor, int], Tensor]) -> Change:
    """The mask of every chunk, [n, prefix + n], replaced by `change(mask, prefix)`."""

    def changed(given: dict[str, Any]) -> dict[str, Any]:
        pack = given.get("pack")
        if pack is None:
            return given
        runs = [(start, stop, change(mask, pack.prefix)) for start, stop, mask in pack.runs]
        return given | {"pack": Chunks(pack.prefix, runs)}

    return changed


def without(*names: str) -> Change:
    return lambda given: {name: value for name, value in given.items() if name not in names}


def later(given: dict[str, Any]) -> dict[str, Any]:
    """Suffixes begin one position too late."""
    if "pack" not in given:
        return given
    positions = given["position_ids"].clone()
    positions[:, given["pack"].prefix :] += 1
    return given | {"position_ids": positions}


def sees_everything_before(mask: Tensor, prefix: int) -> Tensor:
    return torch.full_like(mask, -torch.inf).triu(prefix + 1)


def misses_the_prefix(mask: Tensor, prefix: int) -> Tensor:
    mask = mask.clone()
    mask[:, :prefix] = -torch.inf
    return mask


WRONG: dict[str, Change] = {
    "knows nothing of packs": without("pack", "attention_mask"),
    "takes no positions": without("position_ids"),
    "positions one too far": later,
    "suffixes see those before them": each_chunk(sees_everything_before),
    "suffixes do not see the prefix": each_chunk(misses_the_prefix),
}


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("fault", list(WRONG))
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_does_otherwise_is_found_out_by_its_losses(
    make_backbone: MAKE, family: str, fault: str, gradients: bool
) -> None:
    backbone = make_backbone(family)
    opened(backbone)
    call_decoder_with(backbone, WRONG[fault])
    message = check_packs(backbone, rows(backbone), gradients=gradients)
    assert message is not None
    assert message.startswith("this model does not take packs (losses differ by ")
    assert message.endswith(", expected at most 0.0001): using padded batches, which are slower")
    assert not backbone.packs
    assert_padded_batches_are_right(backbone)


@pytest.mark.parametrize("fault", list(WRONG))
def test_it_is_found_out_in_bfloat16_too(make_backbone: MAKE, fault: str) -> None:
    backbone = make_backbone("qwen3")
    backbone.model.to(torch.bfloat16)
    backbone.dtype = torch.bfloat16
    opened(backbone)
    call_decoder_with(backbone, WRONG[fault])
    assert "this model does not take packs" in str(check_packs(backbone, rows(backbone), gradients=True))
    assert not backbone.packs


def test_an_attention_that_ignores_masks_is_found_out(make_backbone: MAKE) -> None:
    def causal(module: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Any:
        key, value = key.repeat_interleave(2, dim=1), value.repeat_interleave(2, dim=1)
        out = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return out.transpose(1, 2), None

    AttentionInterface.register("causal_alone", causal)
    backbone = make_backbone("llama")
    backbone.causal_lm.config._attn_implementation = "causal_alone"
    assert "losses differ by" in str(check_packs(backbone, rows(backbone), gradients=False))
    assert_padded_batches_are_right(backbone)


def test_losses_that_are_no_numbers_are_found_out(make_backbone: MAKE) -> None:
    backbone = make_backbone("llama")
    call_decoder_with(backbone, each_chunk(lambda mask, _: torch.full_like(mask, torch.nan)))
    message = check_packs(backbone, rows(backbone), gradients=False)
    assert message is not None
    assert "losses differ by nan" in message
    assert_padded_batches_are_right(backbone)


def test_a_decoder_that_refuses_the_keyword_is_asked_no_more(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    expected = [plain_nll(backbone.model, row) for row in rows(backbone)]
    forward = backbone.decoder.forward

    def strict(
        *, input_ids: Tensor, attention_mask: Any = None, position_ids: Any = None, use_cache: bool
    ) -> Any:
        return forward(input_ids, attention_mask, position_ids, use_cache=use_cache)

    backbone.decoder.forward = strict
    message = check_packs(backbone, rows(backbone), gradients=False)
    assert message is not None
    assert message.startswith("this model does not take packs (TypeError: ")
    assert "got an unexpected keyword argument 'pack'" in message
    assert "\n" not in message
    assert not backbone.packs
    assert answer_nll(backbone, rows(backbone))[0] == pytest.approx(expected, rel=1e-5)


class MeanOverTokens(torch.autograd.Function):
    """The identity, whose gradient is divided by the number of tokens: wrong, and by more in a pack."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        return hidden.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient / gradient.shape[1]


@pytest.mark.parametrize("layer", [0, 1])
def test_a_model_whose_gradient_alone_is_wrong_is_found_out(make_backbone: MAKE, layer: int) -> None:
    backbone = make_backbone("qwen3")
    opened(backbone)
    attention = backbone.decoder.layers[layer].self_attn
    attention.register_forward_hook(lambda _, __, out: (MeanOverTokens.apply(out[0]), *out[1:]))
    assert check_packs(backbone, rows(backbone), gradients=False) is None
    message = check_packs(backbone, rows(backbone), gradients=True)
    assert message is not None
    assert message.startswith("this model does not take packs (gradients differ by ")
    assert message.endswith(", expected at most 0.001): using padded batches, which are slower")
    assert not backbone.packs


def test_a_gradient_that_does_not_arrive_is_found_out(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    opened(backbone)
    # What a frozen fast path for whole sequences would do: nothing to learn from in a pack.
    longest = max(len(row.ids) for row in rows(backbone))
    attention = backbone.decoder.layers[0].self_attn
    attention.register_forward_hook(
        lambda _, __, out: (out[0].detach() if out[0].shape[1] > longest else out[0], *out[1:])
    )
    assert check_packs(backbone, rows(backbone), gradients=True) is not None
    assert not backbone.packs


def test_a_model_that_cannot_take_packs_is_told_of_without_a_trial(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    backbone.packs = False
    backbone.model = None
    assert check_packs(backbone, [], gradients=True) == (
        "this model's attention does not reach over whole rows: using padded batches, which are slower"
    )
