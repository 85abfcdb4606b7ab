"""An optimiser step in passes: as many rows each as memory has room for, with the gradient of all rows."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.rows import RowBatcher
from sapo_lite.learning.steps import Step
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.footprint import BEST_TOKENS, MEMORY_SHARE
from sapo_lite.model.memory import holds_layer_inputs, token_budget, training_budget
from sapo_lite.prompts.schedules import AfterTraining
from sapo_lite.recipe import TrainingConfig
from sapo_lite.types import TrainingRow, TrainingSet
from tiny import adapter_config, make_task, row_nll

MAKE = Callable[..., Backbone]
TASK = make_task(16)
INSTRUCTIONS = (TASK.instruction, "判断情感 {0}", "Is the text happy?")
ROWS = [TrainingRow(INSTRUCTIONS[n % 3], e.input, e.answer) for n, e in enumerate(TASK.train)]


def opened(backbone: Backbone) -> BlockAdapter:
    adapter = METHODS["lorainc"].build(backbone, adapter_config(), tasks=1, checkpointing=False)
    adapter.open_block(0, seed=0)
    for _, b in adapter.pairs:  # B = 0 would leave A without a gradient
        b.data[:] = 0.05
    return adapter


def fed(backbone: Backbone, limit: float = float("inf")) -> list[tuple[int, ...]]:
    """(rows, tokens a row) of every forward pass from now on; none of more than `limit` tokens fits."""
    shapes: list[tuple[int, ...]] = []

    def enter(_: Any, given: tuple[Tensor]) -> None:
        shapes.append(tuple(given[0].shape))
        if given[0].numel() > limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    backbone.causal_lm.get_input_embeddings().register_forward_pre_hook(enter)
    return shapes


def learn(backbone: Backbone, adapter: BlockAdapter, folder: Path, **settings: Any) -> list[Step]:
    defaults = {"epochs": 1, "batch_size": 16, "micro_batch_size": 16, "gradient_checkpointing": False}
    config = TrainingConfig(**{**defaults, **settings})
    steps: list[Step] = []
    sets = [TrainingSet(TASK, ROWS)]
    train(backbone, adapter, sets, config, checkpoints=folder / "c", seed=0, on_step=steps.append)
    return steps


@pytest.fixture
def gradients(monkeypatch: pytest.MonkeyPatch) -> list[list[Tensor]]:
    """Gradients that optimiser steps are given, before they are clipped."""
    found: list[list[Tensor]] = []
    clip = torch.nn.utils.clip_grad_norm_

    def spy(parameters: Any, *args: Any, **kwargs: Any) -> Any:
        parameters = list(parameters)
        found.append([p.grad.clone() for p in parameters if p.grad is not None])
        return clip(parameters, *args, **kwargs)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spy)
    return found


def alone(backbone: Backbone, adapter: BlockAdapter) -> list[Tensor]:
    """The gradient of the mean loss of all answer tokens, by plain forward passes of each row alone."""
    backbone.model.eval()
    weights = [weight for pair in adapter.pairs for weight in pair]
    rows = backbone.chat.encode(TASK, ROWS)
    each = [torch.autograd.grad(row_nll(backbone.model, row), weights) for row in rows]
    tokens = sum(len(row.answer_ids) for row in rows)
    return [torch.stack(own).sum(0) / tokens for own in zip(*each, strict=True)]


def assert_close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert other.norm() > 1e-4
        assert (one - other).norm() <= 1e-5 * other.norm()


@pytest.mark.slow
@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize(("tokens", "rows"), [(10**9, 16), (400, 16), (10**9, 3), (1, 16)])
def test_passes_keep_to_tokens_and_rows_and_give_the_gradient_of_rows_alone(
    make_backbone: MAKE,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gradients: list[list[Tensor]],
    tokens: int,
    rows: int,
    packs: bool,
) -> None:
    monkeypatch.setitem(BEST_TOKENS, "cpu", tokens)
    backbone = make_backbone("qwen3")
    adapter = opened(backbone)
    expected = alone(backbone, adapter)
    shapes = fed(backbone)
    # Of 16 rows, 3 go into no number of equal passes.
    learn(backbone, adapter, tmp_path, micro_batch_size=16 if rows == 16 else 4, pack=packs)
    assert_close(gradients[0], expected)
    assert len(gradients) == 1
    if tokens == 1:
        assert len(shapes) == 16
    elif rows == 16 and tokens > 400:
        assert len(shapes) == 1
    else:
        assert 1 < len(shapes) < 16
        assert tokens > 400 or all(batch * length <= tokens for batch, length in shapes)


def test_rows_of_like_lengths_share_a_padded_pass(make_backbone: MAKE, tmp_path: Path) -> None:
    backbone = make_backbone("llama")
    adapter = opened(backbone)
    shapes = fed(backbone)
    learn(backbone, adapter, tmp_path, micro_batch_size=4, pack=False)
    lengths = sorted(len(row.ids) - 1 for row in backbone.chat.encode(TASK, ROWS))
    assert shapes == [(4, lengths[n]) for n in (3, 7, 11, 15)]


@pytest.mark.slow
def test_a_size_that_did_not_fit_is_not_tried_again(
    make_backbone: MAKE, tmp_path: Path, gradients: list[list[Tensor]]
) -> None:
    backbone = make_backbone("qwen3")
    adapter = opened(backbone)
    expected = alone(backbone, adapter)
    shapes = fed(backbone, limit=260)
    learn(backbone, adapter, tmp_path)
    assert_close(gradients[0], expected)
    failed = [length for _, length in shapes if length > 260]
    assert failed
    assert all(later <= earlier / 2 for earlier, later in pairwise(failed))
    assert 0 < backbone.training_share < 1
    assert backbone.budget_share == 1.0  # scoring keeps nothing for a backward pass
    shapes.clear()
    learn(backbone, adapter, tmp_path, epochs=2)  # another task, another trainer
    assert max(length for _, length in shapes) <= 260


def test_rows_of_a_schedule_are_rendered_once_a_step(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")

    class InTurn:
        def at(self, step: int, loss: Any, epoch: int) -> str:
            return INSTRUCTIONS[1 + step % 2]

        def after_training(self) -> AfterTraining:
            return AfterTraining()

    rows = RowBatcher(backbone, [TrainingSet(TASK, ROWS[:6], InTurn())], pack=True)
    rows.begin(0, 0, range(6))
    calls: list[int] = []
    encode = type(backbone.chat).encode
    monkeypatch.setattr(
        type(backbone.chat), "encode", lambda self, task, own: (calls.append(1), encode(self, task, own))[1]
    )
    with torch.no_grad():
        first = rows.nll(range(6)).item()
    assert (rows.length(range(6)), rows.tokens(range(6))) > (0, 0)
    assert list(rows.passes(range(6), 6, 10**9)) == [sorted(range(6), key=lambda n: len(rows._row(n).ids))]
    assert calls == []
    rows.begin(1, 0, range(6))
    with torch.no_grad():
        assert rows.nll(range(6)).item() != pytest.approx(first, rel=1e-3)


def test_rows_that_have_lost_their_answers_make_a_pass_without_a_gradient(make_backbone: MAKE) -> None:
    backbone = make_backbone("llama")
    rows = RowBatcher(backbone, [TrainingSet(TASK, ROWS[:4])], pack=True)
    rows.encoded = [EncodedRow(row.ids, len(row.ids)) for row in rows.encoded]
    (part,) = rows.passes(range(4), 4, 10**9)
    assert part == [0, 1, 2, 3]
    assert rows.nll(part).item() == 0.0
    rows.encoded[2] = EncodedRow(rows.encoded[2].ids, len(rows.encoded[2].ids) - 1)
    assert list(rows.passes(range(4), 4, 10**9)) == [[2]]


# --- what a card has room for

GIB = 2**30


@pytest.fixture
def card(make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Backbone]:
    """Tiny Qwen3 as if it were on a card with so many free bytes."""

    def on_card(free: int) -> Backbone:
        backbone = make_backbone("qwen3")
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 80 * GIB))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 0)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 0)
        monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda _: 1.0)
        backbone.device = torch.device("cuda", 0)
        return backbone

    return on_card


def test_a_budget_does_not_change_with_small_differences_in_free_memory(
    card: Callable[[int], Backbone],
) -> None:
    room = 300 * 2560 / MEMORY_SHARE  # for 300 tokens of 2560 bytes
    assert {token_budget(card(int(room * share))) for share in (0.9, 1.0, 1.1, 1.6)} == {256}
    assert token_budget(card(2 * int(room))) == 512


def test_training_has_fewer_tokens_a_pass_than_scoring_and_most_with_checkpointing(
    card: Callable[[int], Backbone],
) -> None:
    backbone = card(2**24)
    scoring = token_budget(backbone)
    rows = {"dropout": True, "packed": False}
    kept, again = (training_budget(backbone, checkpointing=which, **rows) for which in (False, True))
    assert kept <= again < scoring == 2048
    assert training_budget(card(60 * GIB), checkpointing=False, **rows) == BEST_TOKENS["cuda"]


def test_inputs_of_layers_stay_on_a_card_with_room_for_them(
    card: Callable[[int], Backbone], make_backbone: MAKE
) -> None:
    inputs = 8192 * 2 * 64 * 4  # two layers of 64 in float32
    assert holds_layer_inputs(card(8 * inputs))
    assert not holds_layer_inputs(card(8 * inputs - 1))
    assert not holds_layer_inputs(make_backbone("qwen3"))  # on a CPU, Unsloth's own way is kept
