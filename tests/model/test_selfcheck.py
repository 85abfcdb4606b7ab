"""The check of packs: silent where they are right, and no wrong model gets past it."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor
from transformers import AttentionInterface

from sapo_lite.errors import BackboneError
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.model.attention import Chunks, GroupChunks
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import shared_prefix
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.footprint import BEST_TOKENS
from sapo_lite.model.loss import answer_nll
from sapo_lite.model.selfcheck import (
    ROWS,
    check_batches,
    check_packs,
    extremes,
    read_rows_alone,
    require_plain_logits,
)
from sapo_lite.prompts.pool import Pool
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.run import adapter as run_adapter
from sapo_lite.types import Candidate, Example, TrainingRow
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


def test_nothing_is_said_of_a_model_in_bfloat16_that_takes_packs(make_backbone: MAKE) -> None:
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


def test_the_shortest_the_longest_and_the_first_rows_are_compared_in_full_packs(make_backbone: MAKE) -> None:
    backbone = make_backbone("llama")
    shapes: list[tuple[int, ...]] = []
    embedding = backbone.causal_lm.get_input_embeddings()
    embedding.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    encoded = rows(backbone)
    lengths = [len(row.ids) - 1 for row in encoded]
    prefix = shared_prefix(encoded)
    check_packs(backbone, encoded, gradients=False)
    full, swapped, *alone, once, again = shapes
    assert full == (1, sum(lengths) - prefix * (len(lengths) - 1))
    assert swapped == (1, full[1] + prefix)  # in two groups
    shortest, second, *_, longest = sorted(range(len(lengths)), key=lengths.__getitem__)
    first = next(n for n in range(len(lengths)) if n not in (shortest, second, longest))
    assert alone == [(1, length) for length in sorted(lengths[n] for n in (shortest, second, longest, first))]
    assert once == again
    assert once[1] < full[1]


def test_a_pack_that_is_compared_keeps_to_the_budget(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("llama")
    shapes: list[tuple[int, ...]] = []
    embedding = backbone.causal_lm.get_input_embeddings()
    embedding.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    monkeypatch.setitem(BEST_TOKENS, "cpu", 600)
    encoded = rows(backbone) * 5
    check_packs(backbone, encoded, gradients=False)
    assert 450 < shapes[0][1] <= 600


def test_too_little_memory_says_nothing_of_packs_and_less_is_tried(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    encoded = rows(backbone)
    tried: list[int] = []

    def short_of_memory(given: dict[str, Any]) -> dict[str, Any]:
        tried.append(given["input_ids"].shape[1])
        if tried[-1] > 300:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return given

    call_decoder_with(backbone, short_of_memory)
    assert check_packs(backbone, encoded, gradients=False) is None
    assert max(tried) > 300
    assert len([tokens for tokens in tried if tokens <= 300]) > ROWS
    assert backbone.packs


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
        groups = [
            GroupChunks(prefix, [change(mask, prefix) for mask in masks]) for prefix, masks in pack.groups
        ]
        return given | {"pack": Chunks(groups)}

    return changed


def without(*names: str) -> Change:
    return lambda given: {name: value for name, value in given.items() if name not in names}


def later(given: dict[str, Any]) -> dict[str, Any]:
    """Suffixes begin one position too late."""
    if "pack" not in given:
        return given
    positions = given["position_ids"].clone()
    first = 0
    for prefix, masks in given["pack"].groups:
        end = first + prefix + sum(map(len, masks))
        positions[:, first + prefix : end] += 1
        first = end
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
def test_a_model_in_bfloat16_that_does_not_take_packs_is_found_out(make_backbone: MAKE, fault: str) -> None:
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


# --- a row beside others, and by itself


def scale_by_the_longest(backbone: Backbone) -> None:
    """From now on a row's states depend on the length of its batch."""
    forward = backbone.decoder.forward

    def scaled(input_ids: Tensor, **given: Any) -> Any:
        output = forward(input_ids=input_ids, **given)
        output.last_hidden_state *= 1 + 0.01 * input_ids.shape[1]
        return output

    backbone.decoder.forward = scaled


def test_a_row_that_sees_its_padding_is_found_out(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    assert check_batches(backbone, rows(backbone)) is None
    scale_by_the_longest(backbone)
    assert "losses differ by" in str(check_batches(backbone, rows(backbone)))
    read_rows_alone(backbone)
    encoded = rows(backbone)
    alone = [answer_nll(backbone, [row])[0][0] for row in encoded]
    assert answer_nll(backbone, encoded)[0] == pytest.approx(alone, rel=1e-6)


def test_what_long_rows_alone_show_is_found_where_the_first_rows_are_short(make_backbone: MAKE) -> None:
    backbone = make_backbone("llama")
    encoded = sorted(rows(backbone), key=lambda row: len(row.ids))
    longest = len(encoded[-1].ids) - 1
    forward = backbone.decoder.forward

    def other_beyond_a_length(input_ids: Tensor, **given: Any) -> Any:
        output = forward(input_ids=input_ids, **given)
        if "pack" not in given and input_ids.shape[1] >= longest:
            output.last_hidden_state *= 1.1
        return output

    backbone.decoder.forward = other_beyond_a_length
    assert check_packs(backbone, encoded[:-1], gradients=False) is None
    assert "losses differ by" in str(check_packs(backbone, encoded, gradients=False))


def test_a_run_of_a_model_whose_rows_depend_on_each_other_is_refused(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    opened(backbone)
    shown = io.StringIO()
    progress = PlainDisplay(Console(file=shown, width=200))
    backbone.unused_weights = "more weights than are used"
    run_adapter._check(backbone, [rows(backbone)], progress)
    assert shown.getvalue().strip().endswith("more weights than are used")
    scale_by_the_longest(backbone)
    with pytest.raises(BackboneError) as refusal:
        run_adapter._check(backbone, [rows(backbone)], progress)
    assert "Qwen3ForCausalLM cannot be trained and tested in batches: a row's loss changes" in str(
        refusal.value
    )


def test_a_run_checks_the_longest_and_the_shortest_rows_of_training_and_testing(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    short, long = Example("a", "no"), Example("joy " * 30, "yes")
    task = replace(TASK, train=(*TASK.train, short), test=(*TASK.test, long))
    candidates = [Candidate(n, text, "file") for n, text in enumerate(["Say.", TASK.instruction, "So?"])]
    checked = run_adapter._extreme_rows(backbone, task, Pool(task.id, tuple(candidates)))
    (longest,) = backbone.chat.encode(task, [TrainingRow(TASK.instruction, long.input, long.answer)])
    (shortest,) = backbone.chat.encode(task, [TrainingRow(TASK.instruction, short.input, short.answer)])
    assert extremes(checked) == [shortest, longest]


@pytest.mark.parametrize("affected", ["shortest", "longest"])
def test_a_model_that_does_more_to_the_logits_of_some_rows_is_refused(
    make_backbone: MAKE, affected: str
) -> None:
    backbone = make_backbone("qwen3")
    encoded = rows(backbone)
    require_plain_logits(backbone, encoded)
    by_length = sorted(encoded, key=lambda row: len(row.ids))
    length = len((by_length[0] if affected == "shortest" else by_length[-1]).ids) - 1
    own = type(backbone.causal_lm).forward

    class Capped(type(backbone.causal_lm)):  # type: ignore[misc]
        def forward(self, input_ids: Tensor, logits_to_keep: int = 0, **given: Any) -> Any:
            output = own(self, input_ids=input_ids, logits_to_keep=logits_to_keep, **given)
            if input_ids.shape[1] == length:
                output.logits = output.logits.tanh()
            return output

    backbone.model.__class__ = Capped
    with pytest.raises(
        BackboneError, match="Capped cannot be scored: expected the logits of its own forward pass"
    ):
        require_plain_logits(backbone, encoded)
    rest = [row for row in encoded if len(row.ids) - 1 != length]
    require_plain_logits(backbone, rest)
