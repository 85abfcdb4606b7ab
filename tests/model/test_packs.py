"""Packs: losses and gradients of rows that share a prefix are those of each row alone."""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.model.attention import (
    CHUNK_TOKENS,
    CHUNKED,
    PackGroup,
    chunked_attention,
    pack_layout,
    sees_everything,
    use_chunked_attention,
)
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import Group, batches, packed, shared_prefix
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.loss import answer_nll, token_nll
from sapo_lite.types import TrainingRow
from tiny import (
    FAMILIES,
    MAX_ANSWER,
    MAX_SOURCE,
    adapter_config,
    fill_blocks,
    llama_tokenizer,
    load,
    make_task,
    plain_nll,
    row_nll,
    with_inputs,
)

MAKE = Callable[..., Backbone]
families = pytest.mark.parametrize("family", FAMILIES)
quantizations = pytest.mark.parametrize("quantization", ["none", "nf4"])

TASK = make_task(8)
HARD_INPUTS = [
    "\nfilm",
    "\n\n\njoy",
    "",
    " ",
    "电影 精彩",
    "{} {0} {money}",
    '"quoted" \\n </think>',
    "film joy",
    "film joy",
    "watch again " * 200,
    "电影" * 300,
]
HARD = with_inputs(TASK, *HARD_INPUTS, answer="maybe not even for {money}\n积极")
# Wordings, and the task that each is put before.
RENDERED = {
    "hard inputs": (TASK.instruction, HARD),
    "hard inputs behind braces and Chinese": ('\n{0} "判断" 情感:', HARD),
    "hard inputs behind nothing": ("", HARD),
}


def learned(backbone: Backbone, *, checkpointing: bool = False) -> BlockAdapter:
    """A backbone that has learned three of four tasks: A and B are far from zero."""
    adapter = METHODS["lorainc"].build(backbone, adapter_config(), tasks=4, checkpointing=checkpointing)
    fill_blocks(adapter, 3)
    return adapter


def rows_of(backbone: Backbone, instruction: str, task: Any) -> list[EncodedRow]:
    task = backbone.chat.fit(task, [instruction])
    return backbone.chat.encode(task, [TrainingRow(instruction, e.input, e.answer) for e in task.train])


def fed_shapes(backbone: Backbone) -> list[tuple[int, ...]]:
    """(rows, tokens a row) of every forward pass from now on."""
    shapes: list[tuple[int, ...]] = []
    embedding = backbone.causal_lm.get_input_embeddings()
    embedding.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    return shapes


# --- losses


@pytest.mark.slow
@pytest.mark.parametrize("rendered", list(RENDERED))
@quantizations
@families
def test_losses_are_those_of_each_row_alone_for_any_budget_and_order(
    make_backbone: MAKE, family: str, quantization: str, rendered: str
) -> None:
    backbone = make_backbone(family, quantization)
    learned(backbone)
    rows = rows_of(backbone, *RENDERED[rendered])
    # Two inputs were too long. They are now as long as may be, but for what merges at their end.
    assert sorted(row.answer_start for row in rows)[-2] > MAX_SOURCE - 12
    expected = [plain_nll(backbone.model, row) for row in rows]
    prefix = shared_prefix(rows)
    assert 2 < prefix < min(len(row.ids) for row in rows) - 10
    shapes = fed_shapes(backbone)
    for tokens in (1, prefix - 1, prefix + 60, 10**9):
        order = random.Random(tokens).sample(range(len(rows)), len(rows))
        found, counts = answer_nll(backbone, [rows[i] for i in order], tokens)
        assert found == pytest.approx([expected[i] for i in order], rel=1e-5)
        assert counts == tuple(len(rows[i].answer_ids) for i in order)
    # The first two budgets feed rows one by one, the last all of them at once.
    assert [length for _, length in shapes[: len(rows)]] == sorted(len(row.ids) - 1 for row in rows)
    assert shapes[: len(rows)] == shapes[len(rows) : 2 * len(rows)]
    assert shapes[-1] == (1, prefix + sum(len(row.ids) - 1 - prefix for row in rows))


def test_attention_that_is_trained_in_bfloat16_on_a_cpu_computes_in_float32() -> None:
    torch.manual_seed(0)
    layout = pack_layout([PackGroup(3, (2, 4))])
    rough = [torch.randn(1, 2, 9, 8).bfloat16().requires_grad_() for _ in range(3)]
    exact = [tensor.detach().float().requires_grad_() for tensor in rough]
    results = []
    for tensors in (rough, exact):
        chunks = layout.chunks(tensors[0].dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=tensors is rough):
            attended, _ = chunked_attention(torch.nn.Identity(), *tensors, None, pack=chunks)
        attended.float().sum().backward()
        results.append(attended)
    assert results[0].dtype is torch.bfloat16
    assert torch.equal(results[0], results[1].bfloat16())
    for one, other in zip(rough, exact, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad.bfloat16())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@families
def test_a_loss_does_not_change_by_a_bit_with_what_other_rows_of_the_pack_say(
    make_backbone: MAKE, family: str, attention: str, dtype: torch.dtype
) -> None:
    backbone = make_backbone(family)
    backbone.model.to(dtype)
    backbone.dtype = dtype
    backbone.causal_lm.config._attn_implementation = attention
    rows = rows_of(backbone, TASK.instruction, make_task(4))
    (pack,) = batches(backbone, rows)
    assert pack.layout is not None
    ((prefix, suffixes),) = pack.layout.groups
    stop = prefix
    with backbone.inference():
        losses = token_nll(backbone, pack)
        for row, length in zip(pack.owners.unique_consecutive(), suffixes, strict=True):
            start, stop = stop, stop + length
            others = pack.ids.clone()
            others[:, prefix:start] = others[:, stop:] = 77
            found = token_nll(backbone, replace(pack, ids=others))
            assert torch.equal(found[pack.owners == row], losses[pack.owners == row])
            assert not torch.equal(found, losses)


@pytest.mark.parametrize("chunk_tokens", [1, 7, 10**9])
@families
def test_losses_and_gradients_do_not_depend_on_the_size_of_chunks(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch, family: str, chunk_tokens: int
) -> None:
    monkeypatch.setitem(CHUNK_TOKENS, "cpu", chunk_tokens)
    backbone = make_backbone(family)
    adapter = learned(backbone)
    rows = rows_of(backbone, TASK.instruction, TASK)
    layout = packed(rows, [Group(shared_prefix(rows), range(len(rows)))]).layout
    assert layout is not None
    (group,) = layout.chunks(torch.float32).groups
    assert len(group.masks) == {1: 8, 7: 8, 10**9: 1}[chunk_tokens]
    assert_exact(backbone, adapter, rows)


def test_suffixes_shorter_than_a_chunk_share_it() -> None:
    layout = pack_layout([PackGroup(5, (3, 4, 9, 2, 2, 2)), PackGroup(2, (3, 3))])
    assert layout.chunks(torch.float32).lengths == [5, 22, 2, 6]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CHUNK_TOKENS, "cpu", 7)
        assert layout.chunks(torch.float32).lengths == [5, 7, 9, 6, 2, 6]


@pytest.mark.parametrize("chunk_tokens", [1, 7, 10**9])
@pytest.mark.parametrize("prefix", [0, 1, 6])
def test_chunks_hold_the_rows_of_the_dense_mask(
    monkeypatch: pytest.MonkeyPatch, prefix: int, chunk_tokens: int
) -> None:
    monkeypatch.setitem(CHUNK_TOKENS, "cpu", chunk_tokens)
    layout = pack_layout([PackGroup(prefix, (3, 1, 12, 2, 4)), PackGroup(4, (2,)), PackGroup(prefix, (9, 1))])
    length = 2 * prefix + 38
    dense = layout.mask()[0, 0]
    assert dense.shape == (length, length)
    done = 0
    for group in layout.chunks(torch.float32).groups:
        first, end = done, done + group.prefix
        assert torch.equal(dense[first:end, first:end], torch.ones(end - first, end - first).bool().tril())
        assert not dense[first:end, :first].any()
        done = end
        for mask in group.masks:
            start, stop = done, done + len(mask)
            seen = torch.zeros(stop - start, length, dtype=torch.bool)
            seen[:, first:end], seen[:, start:stop] = mask[:, : end - first] == 0, mask[:, end - first :] == 0
            assert torch.equal(seen, dense[start:stop])
            done = stop
    assert done == length


def test_no_mask_and_no_scores_over_a_whole_pack_are_ever_made(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    rows = rows_of(backbone, TASK.instruction, make_task(30))
    (batch,) = batches(backbone, rows, tokens=10**9)
    length = batch.ids.shape[1]
    with backbone.inference(), tensors_made() as shapes:
        token_nll(backbone, batch)
    assert length > 600
    assert (1, length, 64) in shapes
    assert not [shape for shape in shapes if shape[-2:] == (length, length)]
    assert max(shape[-1] * shape[-2] for shape in shapes if shape[:-2] == (1, 4)) < length**2 / 4


def test_a_model_with_eager_attention_takes_packs_by_a_dense_mask(make_backbone: MAKE) -> None:
    backbone = make_backbone("llama")
    backbone.causal_lm.config._attn_implementation = "eager"
    adapter = learned(backbone)
    assert_exact(backbone, adapter, rows_of(backbone, TASK.instruction, HARD))
    assert backbone.causal_lm.config._attn_implementation == "eager"


@families
def test_batches_that_are_no_packs_are_masked_as_before(make_backbone: MAKE, family: str) -> None:
    backbone = make_backbone(family)
    ids = torch.tensor([[0, 0, 0, 40, 50, 60], [0, 90, 80, 70, 60, 50]])
    padded_left = {"input_ids": ids, "attention_mask": ids.ne(0).long()}
    real = ids.ne(0)
    with backbone.inference():
        before = backbone.model(**padded_left).logits
        assert backbone.causal_lm.config._attn_implementation == "sdpa"
        assert use_chunked_attention(backbone.causal_lm)
        assert backbone.causal_lm.config._attn_implementation == CHUNKED
        assert torch.equal(backbone.model(**padded_left).logits[real], before[real])
        assert not torch.allclose(backbone.model(input_ids=ids).logits[real], before[real], rtol=1e-2)


# --- sliding windows


LONGEST = MAX_SOURCE + MAX_ANSWER


def mistral(folder: Path, window: int | None) -> Backbone:
    """Two layers of 64, both of which reach `window` tokens back."""
    tokenizer = llama_tokenizer()
    torch.manual_seed(7)
    config = transformers.MistralConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=512,
        initializer_range=0.15,
        sliding_window=window,
        eos_token_id=tokenizer.eos_token_id,
    )
    transformers.MistralForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load(folder)


def test_a_window_shorter_than_a_row_makes_padded_batches_which_are_exact(tmp_path: Path) -> None:
    short, endless = mistral(tmp_path / "short", 24), mistral(tmp_path / "endless", None)
    assert (short.packs, endless.packs) == (False, True)
    rows = rows_of(short, TASK.instruction, TASK)
    expected = [plain_nll(short.model, row) for row in rows]
    shapes = fed_shapes(short)
    assert answer_nll(short, rows)[0] == pytest.approx(expected, rel=1e-5)
    assert shapes == [(8, max(len(row.ids) for row in rows) - 1)]
    # The window matters: packs would have got it wrong.
    short.packs = True
    assert answer_nll(short, rows)[0] != pytest.approx(expected, rel=1e-2)
    assert answer_nll(endless, rows)[0] != pytest.approx(expected, rel=1e-2)


def test_a_window_as_long_as_the_longest_row_allows_packs_that_are_longer(tmp_path: Path) -> None:
    assert not mistral(tmp_path / "short", LONGEST - 1).packs
    backbone = mistral(tmp_path / "long", LONGEST)
    assert backbone.packs
    adapter = learned(backbone)
    rows = rows_of(backbone, TASK.instruction, HARD)
    shapes = fed_shapes(backbone)
    assert_exact(backbone, adapter, rows)
    assert max(length for _, length in shapes) > 2 * LONGEST
    backbone.packs = False
    assert_exact(backbone, adapter, rows)


@pytest.mark.parametrize(
    ("config", "reach"),
    [
        (transformers.Qwen3Config(), None),
        (transformers.LlamaConfig(), None),
        (transformers.MistralConfig(sliding_window=None), None),
        (transformers.MistralConfig(sliding_window=64), 64),
        # Configured but switched off, as Qwen3's hub models have it.
        (transformers.Qwen3Config(sliding_window=64, use_sliding_window=False), None),
        (
            transformers.Qwen3Config(
                sliding_window=64, use_sliding_window=True, max_window_layers=1, num_hidden_layers=2
            ),
            64,
        ),
        (transformers.Gemma2Config(sliding_window=64), 64),
        (transformers.Gemma3Config(text_config={"sliding_window": 64}), 64),  # beside a vision tower
        (transformers.Llama4TextConfig(), 0),  # attends within chunks
        (transformers.Qwen3NextConfig(), 0),  # linear attention
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "to_dict") else str(value),
)
def test_how_far_every_layer_sees_is_read_from_the_configuration(config: Any, reach: int | None) -> None:
    assert sees_everything(config, 10**6) is (reach is None)
    if reach is not None:
        assert sees_everything(config, 65) is False
        assert sees_everything(config, 64) is (reach == 64)


# --- gradients


def gradients(loss: Tensor, adapter: BlockAdapter) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [p for pair in adapter.pairs for p in pair]))


def gradients_alone(backbone: Backbone, adapter: BlockAdapter, rows: Sequence[EncodedRow]) -> list[Tensor]:
    """By plain forward passes of each row alone."""
    backbone.model.eval()
    alone = [gradients(row_nll(backbone.model, row), adapter) for row in rows]
    return [torch.stack(own).sum(0) for own in zip(*alone, strict=True)]


def accumulated(
    backbone: Backbone, rows: Sequence[EncodedRow], tokens: int, adapter: BlockAdapter
) -> list[Tensor]:
    """As `.backward()` adds them up over batches of at most so many tokens."""
    total: list[Tensor] = []
    for batch in batches(backbone, rows, tokens=tokens):
        own = gradients(token_nll(backbone, batch).sum(), adapter)
        total = [a + b for a, b in zip(total, own, strict=True)] if total else own
    return total


def assert_close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """1e-5 of every matrix's own norm."""
    for one, other in zip(found, expected, strict=True):
        assert other.norm() > 1e-2
        assert (one - other).norm() <= 1e-5 * other.norm()


def assert_exact(backbone: Backbone, adapter: BlockAdapter, rows: Sequence[EncodedRow]) -> None:
    """Losses and gradients of all rows at once, against rows alone."""
    expected = [plain_nll(backbone.model, row) for row in rows]
    assert answer_nll(backbone, rows, 10**9)[0] == pytest.approx(expected, rel=1e-5)
    alone = gradients_alone(backbone, adapter, rows)
    assert_close(accumulated(backbone, rows, 10**9, adapter), alone)


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
@quantizations
@families
def test_gradients_are_those_of_each_row_alone_for_any_budget(
    make_backbone: MAKE, family: str, quantization: str, checkpointing: bool
) -> None:
    backbone = make_backbone(family, quantization)
    adapter = learned(backbone, checkpointing=checkpointing)
    rows = rows_of(backbone, TASK.instruction, HARD)
    expected = gradients_alone(backbone, adapter, rows)
    if checkpointing:  # as the Trainer does
        backbone.model.gradient_checkpointing_enable({"use_reentrant": False})
    backbone.model.train()
    prefix = shared_prefix(rows)
    forwards = fed_shapes(backbone)
    for tokens in (1, prefix + 200, 10**9):
        assert_close(accumulated(backbone, rows, tokens, adapter), expected)
    assert len(forwards) > len(rows) + 2 + 1


@pytest.mark.parametrize(
    "ids",
    [
        [(20, 21, 22, 30), (40, 41, 30, 31), (60, 30)],  # nothing shared
        [(20, 30), (20, 31), (20, 32, 33)],  # an answer after one token: nothing before it to share
        [(20, 21, 30), (20, 21, 31), (20, 21, 32, 33)],  # only answers differ
        [(20, 21, 22, 30)] * 3,
        [(20, 21, 22, 30)],
    ],
)
def test_losses_and_gradients_are_exact_whatever_hand_made_rows_share(
    make_backbone: MAKE, ids: list[tuple[int, ...]]
) -> None:
    backbone = make_backbone("llama")
    starts = [next(n for n, token in enumerate(row) if 30 <= token < 40) for row in ids]
    assert_exact(
        backbone, learned(backbone), [EncodedRow(row, start) for row, start in zip(ids, starts, strict=True)]
    )


# --- what is computed where


def test_the_last_layers_mlp_runs_at_answer_rows_alone(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    learned(backbone)
    rows = rows_of(backbone, TASK.instruction, TASK)
    tokens: list[list[int]] = []
    for layer in backbone.decoder.layers:
        tokens.append([])
        layer.mlp.up_proj.register_forward_hook(
            lambda _, inputs, __, seen=tokens[-1]: seen.append(inputs[0].numel() // 64)
        )
    pack = next(batches(backbone, rows, tokens=10**9))
    answers = sum(len(row.answer_ids) for row in rows)
    backbone.model.train()
    token_nll(backbone, pack).sum().backward()
    answer_nll(backbone, rows, 10**9)
    assert tokens == [[pack.ids.numel()] * 2, [answers] * 2]
    assert answers < pack.ids.numel() / 3
    # Checkpointing runs the layer again when nobody knows the rows; generation asks for whole states.
    backbone.model.gradient_checkpointing_enable({"use_reentrant": False})
    token_nll(backbone, pack).sum().backward()
    assert tokens[1][2:] == [pack.ids.numel()] * 2
    del tokens[1][:]
    backbone.model(input_ids=torch.tensor([rows[0].ids]))
    assert tokens[1] == [len(rows[0].ids)]


def test_a_failed_pass_leaves_the_last_layer_as_it_was(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")
    rows = rows_of(backbone, TASK.instruction, TASK)
    expected = answer_nll(backbone, rows)

    def fail(*_: Any) -> Tensor:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(backbone.decoder.norm, "forward", fail)
        with pytest.raises(ZeroDivisionError):
            answer_nll(backbone, rows)
    mlp = backbone.decoder.layers[-1].mlp
    assert not mlp._forward_hooks
    assert not mlp._forward_pre_hooks
    assert answer_nll(backbone, rows) == expected


@contextmanager
def tensors_made() -> Iterator[set[tuple[int, ...]]]:
    """Shapes of all tensors that are computed within, backward passes included."""
    shapes: set[tuple[int, ...]] = set()

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            results = func(*args, **(kwargs or {}))
            listed = results if isinstance(results, tuple | list) else [results]
            shapes.update(tuple(result.shape) for result in listed if isinstance(result, Tensor))
            return results

    with Record():
        yield shapes


@contextmanager
def tensors_kept() -> Iterator[list[tuple[int, ...]]]:
    """Shapes of all tensors that are kept for the backward pass."""
    kept: list[tuple[int, ...]] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield kept


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_vocabulary_logits_of_more_than_a_chunk_never_exist_and_none_wait_for_the_backward_pass(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch, checkpointing: bool, packs: bool
) -> None:
    monkeypatch.setattr("sapo_lite.model.loss.HEAD_ROWS", 7)
    backbone = make_backbone("llama")
    backbone.packs = packs
    adapter = learned(backbone, checkpointing=checkpointing)
    rows = rows_of(backbone, TASK.instruction, TASK)
    assert sum(len(row.answer_ids) for row in rows) > 3 * 7
    if checkpointing:
        backbone.model.gradient_checkpointing_enable({"use_reentrant": False})
    backbone.model.train()
    (batch,) = batches(backbone, rows, tokens=10**9)
    with tensors_made() as made:
        with tensors_kept() as kept:
            loss = token_nll(backbone, batch).sum()
        forward = rows_of_logits(made)
        made.clear()
        gradients(loss, adapter)
        backward = rows_of_logits(made)
        made.clear()
        answer_nll(backbone, rows)
    assert forward == backward == rows_of_logits(made) == 7
    assert rows_of_logits(kept) == 0
    assert len(kept) > 10


def rows_of_logits(shapes: Iterable[tuple[int, ...]]) -> int:
    """Rows of the largest tensor over the vocabulary of 512; the head itself, transposed, is (64, 512)."""
    found = [shape for shape in shapes if shape[-1:] == (512,) and shape != (64, 512)]
    return max((math.prod(shape[:-1]) for shape in found), default=0)


def test_attention_of_a_pack_is_a_masked_softmax_of_grouped_heads() -> None:
    torch.manual_seed(0)
    layout = pack_layout([PackGroup(3, (2, 4))])
    query, key, value = torch.randn(1, 4, 9, 8), torch.randn(1, 2, 9, 8), torch.randn(1, 2, 9, 8)
    pack = layout.chunks(torch.float32)
    found, _ = chunked_attention(torch.nn.Module(), query, key, value, None, pack=pack, scaling=0.3)
    key, value = key.repeat_interleave(2, dim=1), value.repeat_interleave(2, dim=1)
    scores = 0.3 * query @ key.transpose(2, 3)
    expected = scores.masked_fill(~layout.mask(), -torch.inf).softmax(-1) @ value
    assert torch.allclose(found, expected.transpose(1, 2), rtol=1e-5, atol=1e-6)
