"""EWC: the Fisher information is that of single examples, and its penalty holds important weights."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from sapo_lite.errors import RunFolderError, TrainingError
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.adapters.ewc import WEIGHT, fisher
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.prompts.schedules import RandomSchedule
from sapo_lite.recipe import TrainingConfig
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.types import TrainingRow, TrainingSet
from tiny import FAMILIES, adapter_config, fill_blocks, make_task, row_nll

TASK = make_task(6)
ROWS = [TrainingRow(TASK.instruction, e.input, e.answer) for e in TASK.train]
PART = TrainingSet(TASK, ROWS)
MAKE = Callable[..., Backbone]
SILENT = PlainDisplay(Console(file=io.StringIO()))

pytestmark = pytest.mark.usefixtures("quick_collections")
families = pytest.mark.parametrize("family", FAMILIES)
quantizations = pytest.mark.parametrize("quantization", ["none", "nf4"])


def attach(backbone: Backbone, checkpointing: bool = False, **settings: object) -> BlockAdapter:
    """EWC whose block is as if it had learned a task already."""
    adapter = METHODS["ewc"].build(backbone, adapter_config(**settings), tasks=3, checkpointing=checkpointing)
    fill_blocks(adapter, 1)
    adapter.open_block(1, seed=1)
    return adapter


def lora(adapter: BlockAdapter) -> list[nn.Parameter]:
    return [weight for pair in adapter.pairs for weight in pair]


def after_task(adapter: BlockAdapter, part: TrainingSet = PART) -> None:
    assert adapter.after_task is not None
    adapter.after_task([part], SILENT)


def squares_of_single_rows(backbone: Backbone, adapter: BlockAdapter, rows: Sequence[TrainingRow]) -> Tensor:
    """Mean of squared gradients, by autograd on one row at a time: the model's own forward, full logits."""
    backbone.model.eval()
    weights = lora(adapter)
    found = [
        parameters_to_vector(torch.autograd.grad(row_nll(backbone.model, row), weights)).square()
        for row in backbone.chat.encode(TASK, rows)
    ]
    return torch.stack(found).mean(0)


# --- Fisher information


@quantizations
@families
def test_the_fisher_information_is_the_mean_square_of_the_gradients_of_single_rows(
    make_backbone: MAKE, family: str, quantization: str
) -> None:
    backbone = make_backbone(family, quantization)
    adapter = attach(backbone, dropout=0.5)  # which is off here
    backbone.model.train()
    found = fisher(backbone, lora(adapter), [PART], 250, SILENT)
    assert backbone.model.training
    assert not any(weight.grad is not None for weight in lora(adapter))
    expected = squares_of_single_rows(backbone, adapter, ROWS)
    assert expected.max() > 10 * expected.median() > 0
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * expected.max().item())


def test_the_fisher_information_is_of_the_first_examples(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    adapter = attach(backbone, fisher_examples=2)
    after_task(adapter)
    expected = squares_of_single_rows(backbone, adapter, ROWS[:2])
    torch.testing.assert_close(adapter.memory["fisher"], expected, rtol=1e-3, atol=1e-4)


def test_rows_of_changing_instructions_count_in_those_of_the_first_steps(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    adapter = attach(backbone)
    schedule = RandomSchedule((TASK.instruction, "判断情感", "Positive or negative?"), hold=1, seed="3")
    drawn = [schedule.at(step) for step in range(len(ROWS))]
    assert len(set(drawn)) > 1
    found = fisher(backbone, lora(adapter), [replace(PART, schedule=schedule)], 6, SILENT)
    worded = [replace(row, instruction=text) for row, text in zip(ROWS, drawn, strict=True)]
    expected = squares_of_single_rows(backbone, adapter, worded)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_checkpointed_layers_are_recomputed_and_change_nothing(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers.modeling_layers as layers

    backbone = make_backbone("qwen3")
    adapter = attach(backbone, dropout=0.5)
    expected = fisher(backbone, lora(adapter), [PART], 3, SILENT)
    recomputed: list[object] = []
    inner = layers.GradientCheckpointingLayer.__call__

    def spy(self: nn.Module, *args: object, **kwargs: object) -> object:
        if self.gradient_checkpointing and self.training:
            recomputed.append(self)
        return inner(self, *args, **kwargs)

    monkeypatch.setattr(layers.GradientCheckpointingLayer, "__call__", spy)
    backbone.model.gradient_checkpointing_enable({"use_reentrant": False})
    found = fisher(backbone, lora(adapter), [PART], 3, SILENT)
    assert len(recomputed) == 3 * 2  # layers of three rows
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("decay", "kept"), [(1.0, 1.0), (0.5, 0.5), (0.0, 0.0)])
def test_the_fisher_information_of_earlier_tasks_decays_and_the_anchor_moves_on(
    make_backbone: MAKE, decay: float, kept: float
) -> None:
    backbone = make_backbone("qwen3")
    adapter = attach(backbone, fisher_decay=decay)
    after_task(adapter, TrainingSet(TASK, ROWS[:3]))
    first = adapter.memory["fisher"].clone()
    fill_blocks(adapter, 1, seed=1)
    after_task(adapter, TrainingSet(TASK, ROWS[3:]))
    second = fisher(backbone, lora(adapter), [TrainingSet(TASK, ROWS[3:])], 250, SILENT)
    torch.testing.assert_close(adapter.memory["fisher"], kept * first + second)
    assert torch.equal(adapter.memory["anchor"], parameters_to_vector(lora(adapter)))
    adapter.pairs[0][0].data += 1
    assert not torch.equal(adapter.memory["anchor"], parameters_to_vector(lora(adapter)))


def test_the_progress_of_the_fisher_information_is_shown(make_backbone: MAKE) -> None:
    shown = io.StringIO()
    adapter = attach(make_backbone("qwen3"))
    assert adapter.after_task is not None
    adapter.after_task([PART], PlainDisplay(Console(file=shown)))
    assert shown.getvalue().splitlines()[-1] == "Fisher information: 6/6 examples"


@pytest.mark.parametrize(("value", "found"), [(0.0, "zero in every weight"), (torch.nan, "not finite")])
def test_a_fisher_information_that_tells_nothing_is_refused(
    make_backbone: MAKE, value: float, found: str
) -> None:
    adapter = attach(make_backbone("qwen3"))
    for weight in lora(adapter):
        weight.data.fill_(value)
    with pytest.raises(TrainingError) as refused:
        after_task(adapter)
    assert str(refused.value) == (
        f"{TASK.id}: expected a Fisher information that tells which LoRA weights the task needs, found one "
        f"that is {found} (on 6 rows). Set adapter.target_modules to layers that answers depend on, lower "
        "training.learning_rate, or use another adapter.method."
    )


# --- penalty


def test_the_penalty_is_half_the_weighted_square_of_the_distance_from_the_anchor(
    make_backbone: MAKE,
) -> None:
    adapter = attach(make_backbone("qwen3"), penalty_weight=3.0)
    assert adapter.penalty is not None
    here = parameters_to_vector(lora(adapter)).detach()
    importance, moved = torch.zeros_like(here), torch.zeros_like(here)
    # The first weight is A of the first layer, the last one B of the last.
    importance[0], moved[0] = 2.0, 5.0
    importance[-1], moved[-1] = 7.0, -1.0
    moved[1] = 100.0  # which no task needs
    adapter.memory = {"fisher": importance, "anchor": here - moved}
    penalty = adapter.penalty()
    assert penalty.item() == pytest.approx(3 / 2 * (2 * 25 + 7 * 1), rel=1e-5)
    penalty.backward()
    first, last = adapter.pairs[0][0].grad, adapter.pairs[-1][1].grad
    assert first is not None
    assert last is not None
    # A step against the gradient goes back to the anchor: down where the weight has grown.
    assert first.flatten()[:2].tolist() == pytest.approx([3 * 2 * 5, 0], rel=1e-4)
    assert last.flatten()[-1].item() == pytest.approx(3 * 7 * -1, rel=1e-4)


def test_without_a_weight_in_the_recipe_it_has_its_own(make_backbone: MAKE) -> None:
    adapter = attach(make_backbone("qwen3"))
    assert adapter.penalty is not None
    here = parameters_to_vector(lora(adapter)).detach()
    adapter.memory = {"fisher": torch.ones_like(here), "anchor": here - 0.1}
    assert adapter.penalty().item() == pytest.approx(WEIGHT / 2 * len(here) * 0.01, rel=1e-4)


def test_in_the_first_task_and_where_nothing_has_moved_there_is_none(make_backbone: MAKE) -> None:
    adapter = attach(make_backbone("qwen3"))
    assert adapter.penalty is not None
    assert adapter.penalty().item() == 0
    after_task(adapter)
    assert adapter.penalty().item() == 0
    adapter.pairs[0][1].data += 0.01
    assert adapter.penalty().item() > 0


def learn_another_task(backbone: Backbone, adapter: BlockAdapter, folder: Path) -> Tensor:
    """Run `after_task`, then learn other answers in 12 steps. Returns how far the weights moved."""
    after_task(adapter)
    anchor, importance = adapter.memory["anchor"], adapter.memory["fisher"]
    rows = [TrainingRow("Say it again.", e.input, "no") for e in TASK.train]
    settings = TrainingConfig(
        epochs=4, learning_rate=1e-3, batch_size=2, micro_batch_size=2, gradient_checkpointing=False
    )
    train(backbone, adapter, [TrainingSet(TASK, rows)], settings, checkpoints=folder / "c", seed=0)
    return (importance * (parameters_to_vector(lora(adapter)).detach() - anchor).square()).sum()


@quantizations
@pytest.mark.slow
def test_a_heavy_penalty_holds_weights_near_the_anchor(
    make_backbone: MAKE, tmp_path: Path, quantization: str
) -> None:
    moved = []
    for weight in (1e-9, 1e3):
        backbone = make_backbone("qwen3", quantization)
        adapter = attach(backbone, penalty_weight=weight)
        moved.append(learn_another_task(backbone, adapter, tmp_path).item())
    assert moved[0] > 10 * moved[1] > 0


# --- memory


def test_fisher_and_anchor_are_kept_beside_the_weights(make_backbone: MAKE, tmp_path: Path) -> None:
    adapter = attach(make_backbone("qwen3"))
    after_task(adapter)
    adapter.save(tmp_path / "adapter")
    assert (tmp_path / "adapter/memory.safetensors").exists()
    other = attach(make_backbone("qwen3"))
    other.load(tmp_path / "adapter")
    assert other.memory.keys() == {"fisher", "anchor"}
    assert all(torch.equal(other.memory[name], kept) for name, kept in adapter.memory.items())
    assert torch.equal(other.memory["anchor"], parameters_to_vector(lora(other)))


def test_weights_without_their_fisher_information_are_refused(make_backbone: MAKE, tmp_path: Path) -> None:
    adapter = attach(make_backbone("qwen3"))
    after_task(adapter)
    adapter.save(tmp_path / "adapter")
    (tmp_path / "adapter/memory.safetensors").unlink()
    with pytest.raises(RunFolderError) as refused:
        adapter.load(tmp_path / "adapter")
    assert str(refused.value) == (
        f"{tmp_path}/adapter: expected memory.safetensors beside the adapter's weights, which tells what "
        "earlier tasks need, found none. Put it back, or start over with --fresh."
    )
