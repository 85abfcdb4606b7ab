"""Where packs give something that is no number and padded batches do not, work goes on padded."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sapo_lite.errors import TrainingError
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.gradient import gradient_norm
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.steps import Step
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.loss import answer_nll, greedy_answer_nll
from sapo_lite.model.notices import noticed
from sapo_lite.recipe import TrainingConfig
from sapo_lite.types import TrainingRow, TrainingSet
from tiny import adapter_config, make_task

MAKE = Callable[..., Backbone]
TASK = make_task(12)
ROWS = [TrainingRow(TASK.instruction, e.input, e.answer) for e in TASK.train]
SAID = [
    "a pack gave a loss or gradient that is not finite, and padded batches do not: from here on batches are "
    "padded, which is slower"
]


class NotFinite(torch.autograd.Function):
    """The identity, with a gradient that is not finite."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * torch.inf


def break_packs(backbone: Backbone, beyond: int = 0, gradient: bool = False) -> None:
    """From now on, packs of more than so many tokens give losses, or gradients, that are not finite."""
    forward = backbone.decoder.forward

    def broken(**given: Any) -> Any:
        output = forward(**given)
        if given.get("pack") is not None and given["input_ids"].numel() > beyond:
            states = output.last_hidden_state
            output.last_hidden_state = NotFinite.apply(states) if gradient else states * torch.nan
        return output

    backbone.decoder.forward = broken


def encoded(backbone: Backbone) -> list[EncodedRow]:
    return backbone.chat.encode(TASK, ROWS)


def opened(backbone: Backbone, method: str = "lorainc") -> BlockAdapter:
    adapter = METHODS[method].build(backbone, adapter_config(), tasks=2, checkpointing=False)
    adapter.open_block(0, seed=0)
    return adapter


# --- scoring


@pytest.mark.parametrize("beyond", [0, 300])
def test_losses_are_measured_padded_and_the_user_is_told_once(make_backbone: MAKE, beyond: int) -> None:
    backbone = make_backbone("qwen3")
    rows = encoded(backbone)
    expected = answer_nll(backbone, rows, 400)[0]
    break_packs(backbone, beyond)
    lines: list[str] = []
    counts: list[int] = []
    with noticed(lines.append):
        assert answer_nll(backbone, rows, 400, on_rows=counts.append)[0] == pytest.approx(expected, rel=1e-5)
        assert answer_nll(backbone, rows, 400)[0] == pytest.approx(expected, rel=1e-5)
    assert lines == SAID
    assert not backbone.packs
    assert sum(counts) == len(rows)


def test_greedy_answers_are_judged_padded(make_backbone: MAKE) -> None:
    backbone = make_backbone("llama")
    losses, greedy = greedy_answer_nll(backbone, encoded(backbone))
    break_packs(backbone)
    found, same = greedy_answer_nll(backbone, encoded(backbone))
    assert found == pytest.approx(losses, rel=1e-5)
    assert same == greedy
    assert not backbone.packs


def test_a_model_whose_padded_batches_give_no_number_either_keeps_its_packs(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    backbone.decoder.norm.weight.data[0] = torch.nan
    lines: list[str] = []
    with noticed(lines.append):
        losses, _ = answer_nll(backbone, encoded(backbone))
    assert all(loss != loss for loss in losses)
    assert backbone.packs
    assert lines == []


# --- training


def learn(backbone: Backbone, adapter: BlockAdapter, folder: Any, **settings: Any) -> list[Step]:
    defaults = {"epochs": 2, "learning_rate": 1e-2, "batch_size": 6, "micro_batch_size": 3}
    config = TrainingConfig(**{**defaults, "gradient_checkpointing": False, **settings})
    steps: list[Step] = []
    sets = [TrainingSet(TASK, ROWS)]
    train(backbone, adapter, sets, config, checkpoints=folder / "c", seed=0, on_step=steps.append)
    return steps


@pytest.mark.slow
@pytest.mark.parametrize("gradient", [False, True])
def test_training_goes_on_padded_with_the_same_steps(
    make_backbone: MAKE, tmp_path: Any, quick_collections: None, gradient: bool
) -> None:
    ends, losses = [], []
    for broken in (False, True):
        backbone = make_backbone("qwen3")
        adapter = opened(backbone, "olora")
        if broken:
            break_packs(backbone, beyond=180, gradient=gradient)
        lines: list[str] = []
        with noticed(lines.append):
            losses.append([(s.loss, s.penalty) for s in learn(backbone, adapter, tmp_path)])
        assert lines == (SAID if broken else [])
        assert backbone.packs is not broken
        ends.append(torch.cat([weight.detach().flatten() for pair in adapter.pairs for weight in pair]))
    for one, other in zip(*losses, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert (ends[0] - ends[1]).norm() <= 1e-4 * ends[0].norm()


def test_a_gradient_that_is_not_finite_stops_before_the_step(make_backbone: MAKE, tmp_path: Any) -> None:
    backbone = make_backbone("llama")
    adapter = opened(backbone)
    forward = backbone.decoder.forward

    def broken(**given: Any) -> Any:
        output = forward(**given)
        output.last_hidden_state = NotFinite.apply(output.last_hidden_state)
        return output

    backbone.decoder.forward = broken
    before = adapter.state()
    with pytest.raises(TrainingError) as refused:
        learn(backbone, adapter, tmp_path)
    message = str(refused.value)
    assert message.startswith("The gradient is not finite in step 1, at training rows [")
    assert message.endswith(
        "] (0-based), although their loss is. Lower training.learning_rate, or look at these rows."
    )
    assert backbone.packs  # they are not to blame
    for (a, b), (old_a, old_b) in zip(adapter.pairs, before, strict=True):
        assert torch.equal(a, old_a)
        assert torch.equal(b, old_b)


def test_the_gradient_before_training_is_measured_padded(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    adapter = opened(backbone)
    expected = gradient_norm(backbone, adapter, TrainingSet(TASK, ROWS), 4)
    break_packs(backbone, gradient=True)
    assert gradient_norm(backbone, adapter, TrainingSet(TASK, ROWS), 4) == pytest.approx(expected, rel=1e-5)
    assert not backbone.packs
