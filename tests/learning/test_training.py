"""Training of one task: the gradient of the answers' mean loss, and equal weights after any interruption."""

import contextlib
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sapo_lite.errors import TrainingError
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.checkpoints import latest_checkpoint
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.steps import Step
from sapo_lite.learning.trainer import logarithmic_warmup, train
from sapo_lite.model.attention import PackLayout
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import ChatFormat, EncodedRow
from sapo_lite.prompts.schedules import RandomSchedule
from sapo_lite.recipe import TrainingConfig
from sapo_lite.support.checksums import write_checksums
from sapo_lite.types import TrainingRow, TrainingSet
from tiny import FAMILIES, adapter_config, fill_blocks, make_task

TASK = make_task(12)
MAKE = Callable[..., Backbone]
# Several instructions within a step, as with prompt.hold_unit = "rows".
WORDINGS = (TASK.instruction, TASK.instruction, "判断情感")
ROWS = [TrainingRow(WORDINGS[n % 3], e.input, e.answer) for n, e in enumerate(TASK.train)]

# A second each, and a minute in all.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_collections")]


def config(**settings: Any) -> TrainingConfig:
    defaults = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 4, "micro_batch_size": 2}
    return TrainingConfig(**{**defaults, "gradient_checkpointing": False, **settings})


def start(backbone: Backbone, method: str = "lorainc", stage: int = 1, **settings: Any) -> BlockAdapter:
    """A backbone that has learned `stage` tasks and opens the next block."""
    adapter = METHODS[method].build(backbone, adapter_config(**settings), tasks=3, checkpointing=False)
    fill_blocks(adapter, stage)
    adapter.open_block(stage, seed=stage)
    return adapter


def learn(
    backbone: Backbone,
    adapter: BlockAdapter,
    settings: TrainingConfig,
    folder: Path,
    *,
    rows: Sequence[TrainingRow] = ROWS,
    schedule: RandomSchedule | None = None,
    seed: int = 0,
    on_step: Callable[[Step], None] = lambda _: None,
) -> None:
    train(
        backbone,
        adapter,
        [TrainingSet(TASK, rows, schedule)],
        settings,
        checkpoints=folder / "checkpoints",
        seed=seed,
        on_step=on_step,
    )


def weights(adapter: BlockAdapter) -> list[Tensor]:
    return [p.detach().clone() for pair in adapter.pairs for p in pair]


def identical(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


def record_gradients(adapter: BlockAdapter, monkeypatch: pytest.MonkeyPatch) -> list[list[Tensor]]:
    """The gradients that each optimiser step from now on is given."""
    steps: list[list[Tensor]] = []
    step = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        steps.append([p.grad.clone() for pair in adapter.pairs for p in pair if p.grad is not None])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    return steps


def mean_answer_loss(backbone: Backbone, rows: Sequence[TrainingRow]) -> Tensor:
    """By hand: one plain forward per row, full logits, nats summed over answers, per answer token."""
    total, tokens = torch.zeros(()), 0
    for row in backbone.chat.encode(TASK, rows):
        ids = torch.tensor([row.ids])
        log_probabilities = backbone.model(input_ids=ids).logits.log_softmax(-1)[0]
        for place in range(row.answer_start, len(row.ids)):
            total = total - log_probabilities[place - 1, row.ids[place]]
            tokens += 1
    return total / tokens


def expected_gradients(backbone: Backbone, adapter: BlockAdapter, loss: Tensor) -> list[Tensor]:
    """Those of `loss` at the open block, clipped to norm 1 as the Trainer does by default."""
    parameters = [p for pair in adapter.pairs for p in pair]
    gradients = list(torch.autograd.grad(loss, parameters))
    for n, gradient in enumerate(gradients):
        kept = torch.zeros_like(gradient)
        own = (adapter.active, slice(None)) if n % 2 == 0 else (slice(None), adapter.active)
        kept[own] = gradient[own]
        gradients[n] = kept
    norm = math.sqrt(sum(float(g.double().pow(2).sum()) for g in gradients))
    return [g / max(1.0, norm) for g in gradients]


def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    """1e-5 relative to the largest gradient of each matrix."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-5 * max(other.abs().max(), 1e-3)


# --- the gradient


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("micro_batch_size", [1, 2, 8])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_accumulated_step_has_the_gradient_of_the_answers_of_the_whole_batch(
    make_backbone: MAKE,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    micro_batch_size: int,
    packs: bool,
) -> None:
    backbone = make_backbone(family)
    backbone.packs = packs
    adapter = start(backbone)
    for _, b in adapter.pairs:  # B = 0 would leave A without a gradient
        b.data[:, adapter.active] = 0.05
    rows = ROWS[:8]
    assert len({len(row.answer_ids) for row in backbone.chat.encode(TASK, rows)}) > 3
    loss = mean_answer_loss(backbone, rows)
    expected = expected_gradients(backbone, adapter, loss)
    steps: list[Step] = []
    found = record_gradients(adapter, monkeypatch)
    settings = config(batch_size=8, micro_batch_size=micro_batch_size)
    learn(backbone, adapter, settings, tmp_path, rows=rows, on_step=steps.append)
    assert len(found) == 1
    assert_close(found[0], expected)
    assert all(g.abs().max() > 1e-4 for g in expected)
    assert (steps[0].number, steps[0].total, steps[0].penalty) == (1, 1, 0.0)
    assert steps[0].loss == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("rows", [1, 3])
def test_a_last_batch_of_fewer_rows_is_their_mean(
    make_backbone: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    backbone = make_backbone("qwen3")
    adapter = start(backbone)
    loss = mean_answer_loss(backbone, ROWS[:rows])
    expected = expected_gradients(backbone, adapter, loss)
    steps: list[Step] = []
    found = record_gradients(adapter, monkeypatch)
    settings = config(batch_size=8, micro_batch_size=1)
    learn(backbone, adapter, settings, tmp_path, rows=ROWS[:rows], on_step=steps.append)
    assert len(found) == 1
    assert_close(found[0], expected)
    assert steps[0].loss == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize(("rows", "micro_batch_size"), [(8, 8), (8, 1), (3, 1)])
def test_the_penalty_is_added_once_per_step_whatever_the_accumulation(
    make_backbone: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, micro_batch_size: int
) -> None:
    backbone = make_backbone("qwen3")
    adapter = start(backbone, "olora", penalty_weight=0.5)
    assert adapter.penalty is not None
    loss, penalty = mean_answer_loss(backbone, ROWS[:rows]), adapter.penalty()
    assert 0.1 < penalty.item() < 10  # of the loss's own size, so that neither hides the other
    # The penalty touches A alone, and while B = 0 the loss does not: here is all that A gets.
    expected = expected_gradients(backbone, adapter, loss + penalty)
    assert all(g.any() for g in expected)
    steps: list[Step] = []
    found = record_gradients(adapter, monkeypatch)
    settings = config(batch_size=8, micro_batch_size=micro_batch_size)
    learn(backbone, adapter, settings, tmp_path, rows=ROWS[:rows], on_step=steps.append)
    assert_close(found[0], expected)
    assert steps[0].penalty == pytest.approx(penalty.item(), rel=1e-5)
    assert steps[0].loss == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("pack", "dropout", "expected"),
    [("auto", 0.0, True), ("auto", 0.1, False), (True, 0.1, True), (False, 0.0, False)],
)
def test_rows_of_one_instruction_share_a_pack_unless_dropout_draws_their_masks_or_it_is_forbidden(
    make_backbone: MAKE,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pack: Any,
    dropout: float,
    expected: bool,
) -> None:
    fed: list[tuple[tuple[int, ...], bool]] = []
    forward = Backbone.answer_states

    def spy(
        self: Backbone, ids: Tensor, rows: Tensor, columns: Tensor, layout: PackLayout | None = None
    ) -> Tensor:
        fed.append((tuple(ids.shape), layout is not None))
        return forward(self, ids, rows, columns, layout)

    monkeypatch.setattr(Backbone, "answer_states", spy)
    backbone = make_backbone("qwen3")
    adapter = start(backbone, dropout=dropout)
    settings = config(batch_size=6, micro_batch_size=6, pack=pack)
    learn(backbone, adapter, settings, tmp_path, rows=ROWS[:6])
    rows = backbone.chat.encode(TASK, ROWS[:6])
    unshared = sum(len(row.ids) - 1 for row in rows)
    if expected:
        assert len(fed) == 1  # four rows of one instruction, two of another, in one pack
        instruction = len(backbone.tokenizer(TASK.instruction).input_ids)
        assert all(packed and shape[0] == 1 for shape, packed in fed)
        assert sum(shape[1] for shape, _ in fed) < unshared - 3 * instruction
    else:
        assert [(shape[0], packed) for shape, packed in fed] == [(6, False)]


def test_rows_that_are_alone_with_their_instruction_go_together(
    make_backbone: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts: list[PackLayout | None] = []
    forward = Backbone.answer_states

    def spy(self: Backbone, *given: Any) -> Tensor:
        layouts.append(given[3])
        return forward(self, *given)

    backbone = make_backbone("qwen3")
    adapter = start(backbone)
    lone = [TrainingRow(f"{n}: is it good?", e.input, e.answer) for n, e in enumerate(TASK.train[:3])]
    rows = [*lone, ROWS[0], ROWS[3]]
    expected = mean_answer_loss(backbone, rows).item()
    settings = config(batch_size=5, micro_batch_size=5)
    steps: list[Step] = []
    monkeypatch.setattr(Backbone, "answer_states", spy)
    learn(backbone, adapter, settings, tmp_path, rows=rows, on_step=steps.append)
    (layout,) = layouts
    assert layout is not None
    assert [len(group.suffixes) for group in layout.groups] == [2, 3]
    assert steps[0].loss == pytest.approx(expected, rel=1e-5)


def test_dropout_is_live_while_training(make_backbone: MAKE, tmp_path: Path) -> None:
    losses = {}
    for dropout in (0.0, 0.5):
        backbone = make_backbone("qwen3")
        adapter = start(backbone, dropout=dropout)
        backbone.model.eval()  # as scoring leaves it
        settings = config(batch_size=4, micro_batch_size=4)
        steps: list[Step] = []
        learn(backbone, adapter, settings, tmp_path, rows=ROWS[:4], on_step=steps.append)
        losses[dropout] = steps[0].loss
    assert losses[0.5] != pytest.approx(losses[0.0], rel=1e-3)


# --- packs against padded batches, over many steps


@dataclass(frozen=True)
class Trained:
    """Record of a training run: its steps and its final weights."""

    rows: list[tuple[int, ...]]  # of every pass
    rates: list[float]
    steps: list[Step]
    end: Tensor


@pytest.fixture
def train_20_steps(
    make_backbone: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Trained]:
    """Five epochs of four steps on 15 rows with three instructions, several of them in a micro-batch."""
    from sapo_lite.learning import trainer as training

    rows: list[tuple[int, ...]] = []
    rates: list[float] = []
    nll, step = training.RowBatcher.nll, torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(training.RowBatcher, "nll", lambda self, n: (rows.append(tuple(n)), nll(self, n))[1])
    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    instructions = ("", TASK.instruction, "判断情感 {0}")
    data = [TrainingRow(instructions[n % 3], e.input, e.answer) for n, e in enumerate(make_task(15).train)]

    def go(
        pack: bool, family: str, quantization: str = "none", checkpointing: bool = False, **settings: Any
    ) -> Trained:
        rows.clear()
        rates.clear()
        backbone = make_backbone(family, quantization)
        adapter = start(backbone, **settings)
        steps: list[Step] = []
        how = config(epochs=5, micro_batch_size=4, pack=pack, gradient_checkpointing=checkpointing)
        learn(backbone, adapter, how, tmp_path, rows=data, seed=4, on_step=steps.append)
        end = torch.cat(
            [own.flatten() for a, b in adapter.pairs for own in (a[adapter.active], b[:, adapter.active])]
        )
        return Trained(list(rows), list(rates), steps, end.detach().clone())

    return go


@pytest.mark.parametrize(
    ("family", "quantization", "checkpointing"),
    [("qwen3", "none", False), ("llama", "none", True), ("qwen3", "nf4", True), ("llama", "nf4", False)],
)
def test_20_steps_with_packs_end_where_they_end_with_padded_batches(
    train_20_steps: Callable[..., Trained], family: str, quantization: str, checkpointing: bool
) -> None:
    packed, padded = (train_20_steps(pack, family, quantization, checkpointing) for pack in (True, False))
    assert [sorted(rows) for rows in packed.rows] == [sorted(rows) for rows in padded.rows]
    assert len(packed.rows) == 20
    assert all(sorted(sum(packed.rows[n : n + 4], ())) == list(range(15)) for n in range(0, 20, 4))
    assert any(len({n % 3 for n in rows}) == 3 for rows in packed.rows)
    assert packed.rates == padded.rates
    assert len(set(packed.rates)) == 20
    assert [(s.number, s.total) for s in packed.steps] == [(s.number, s.total) for s in padded.steps]
    assert [s.loss for s in packed.steps] == pytest.approx([s.loss for s in padded.steps], rel=1e-5)
    assert packed.steps[-1].loss < 0.8 * packed.steps[0].loss
    assert (packed.end - padded.end).norm() <= 1e-5 * padded.end.norm()


def test_packs_with_dropout_train_as_well_though_masks_and_so_losses_are_others(
    train_20_steps: Callable[..., Trained],
) -> None:
    packed, padded = (train_20_steps(pack, "qwen3", dropout=0.1) for pack in (True, False))
    # What was learned in the task before is in these losses; B = 0 only in the open block.
    assert packed.steps[0].loss != pytest.approx(padded.steps[0].loss, rel=1e-4)
    assert packed.steps[0].loss == pytest.approx(padded.steps[0].loss, rel=0.1)
    for trained in (packed, padded):
        assert trained.steps[-1].loss < 0.8 * trained.steps[0].loss


# --- steps and schedule


@pytest.mark.parametrize(
    ("rows", "settings", "steps"),
    [
        (8, {"batch_size": 4, "micro_batch_size": 2}, 2),
        (9, {"batch_size": 4, "micro_batch_size": 2}, 3),
        (5, {"batch_size": 4, "micro_batch_size": 4, "epochs": 2}, 4),
        (7, {"batch_size": 6, "micro_batch_size": 2, "epochs": 2}, 4),
        (12, {"batch_size": 8, "micro_batch_size": 1, "epochs": 2}, 4),
        (1, {"batch_size": 8, "micro_batch_size": 2, "epochs": 3}, 3),
    ],
)
def test_the_number_of_steps_is_as_announced(
    make_backbone: MAKE,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    settings: dict[str, int],
    steps: int,
) -> None:
    backbone = make_backbone("qwen3")
    adapter = start(backbone)
    taken: list[Step] = []
    gradients = record_gradients(adapter, monkeypatch)
    learn(backbone, adapter, config(**settings), tmp_path, rows=ROWS[:rows], on_step=taken.append)
    assert config(**settings).steps(rows) == steps
    assert [(step.number, step.total) for step in taken] == [(n, steps) for n in range(1, steps + 1)]
    assert len(gradients) == steps


def test_every_row_is_seen_once_an_epoch(
    make_backbone: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sapo_lite.learning import trainer as training

    backbone = make_backbone("qwen3")
    seen: list[int] = []
    nll = training.RowBatcher.nll
    monkeypatch.setattr(training.RowBatcher, "nll", lambda self, n: (seen.extend(n), nll(self, n))[1])
    learn(backbone, start(backbone), config(epochs=2), tmp_path, rows=ROWS[:9])
    first, second = seen[:9], seen[9:]
    assert sorted(first) == sorted(second) == list(range(9))
    assert first != second  # shuffled anew


@pytest.fixture
def optimisers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Learning rate and weight decay of each optimiser step from now on."""
    found: list[tuple[float, float]] = []
    step = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        found.extend((group["lr"], group["weight_decay"]) for group in self.param_groups[:1])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    return found


def test_the_rate_warms_up_and_falls_as_a_cosine(
    make_backbone: MAKE, tmp_path: Path, optimisers: list[tuple[float, float]]
) -> None:
    backbone = make_backbone("qwen3")
    # 10 steps, of which 0.15 x 10, rounded up, warm up.
    settings = config(epochs=5, learning_rate=1e-3, batch_size=4, micro_batch_size=4, warmup=0.15)
    learn(backbone, start(backbone), settings, tmp_path, rows=ROWS[:8])
    rates = [0.0, 0.5e-3] + [0.5e-3 * (1 + math.cos(math.pi * n / 8)) for n in range(8)]
    assert [rate for rate, _ in optimisers] == pytest.approx(rates)
    assert {decay for _, decay in optimisers} == {0.0}


def test_a_constant_rate_warms_up_as_a_logarithm_one_step_late_and_stays(
    make_backbone: MAKE, tmp_path: Path, optimisers: list[tuple[float, float]]
) -> None:
    """The published 160 steps with 5 % of warm-up, as DeepSpeed's WarmupLR gives them to its engine."""
    backbone = make_backbone("qwen3")
    settings = config(
        epochs=160, learning_rate=1e-4, batch_size=2, schedule="constant", warmup=0.05, micro_batch_size=2
    )
    learn(backbone, start(backbone), settings, tmp_path, rows=ROWS[:2])
    # log(1), log(1), log(2), ... log(7) by log(8)
    warm_up = [0.0, 0.0, 1 / 3, 0.528321, 2 / 3, 0.773976, 0.861654, 0.935785]
    rates = [rate for rate, _ in optimisers]
    assert rates == pytest.approx([share * 1e-4 for share in warm_up] + [1e-4] * 152, rel=1e-6)
    assert sum(rates) / 160 == pytest.approx(0.9756e-4, rel=1e-4)  # with a cosine: 0.5e-4


@pytest.mark.parametrize(
    ("warmup", "expected"),
    [
        (0, [1, 1, 1, 1, 1]),
        (1, [0, 0, 1, 1, 1]),  # as two
        (2, [0, 0, 1, 1, 1]),
        (3, [0, 0, math.log(2) / math.log(3), 1, 1]),
        (4, [0, 0, 0.5, math.log(3) / math.log(4), 1]),
    ],
)
def test_a_short_logarithmic_warm_up_ends_at_the_whole_rate(warmup: int, expected: list[float]) -> None:
    assert [logarithmic_warmup(step, warmup) for step in range(5)] == pytest.approx(expected)
    assert logarithmic_warmup(10**6, warmup) == 1


# --- the seed


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_seed_decides_everything(make_backbone: MAKE, tmp_path: Path, quantization: str) -> None:
    ends = []
    for seed in (1, 1, 2):
        backbone = make_backbone("llama", quantization)
        adapter = start(backbone, dropout=0.1)
        torch.manual_seed(len(ends))  # whatever was drawn before
        learn(backbone, adapter, config(epochs=2), tmp_path, seed=seed)
        ends.append(weights(adapter))
    assert identical(ends[0], ends[1])
    assert not identical(ends[0], ends[2])


# --- interruption


class Killed(BaseException):
    """Raised in place of a kill. A BaseException: no `except Exception` catches it."""


@pytest.fixture
def interrupted(make_backbone: MAKE, tmp_path: Path) -> Callable[..., BlockAdapter]:
    """Train as a new process would: a fresh model, and the folder as the last one left it."""
    # 3 steps an epoch (the last of fewer rows), 6 in all; a checkpoint after steps 2, 4 and 6.
    usual = config(epochs=2, batch_size=4, micro_batch_size=2, checkpoint_every=2)

    def go(
        folder: str,
        die_at: int = 0,
        family: str = "qwen3",
        quantization: str = "none",
        steps: Any = None,
        settings: TrainingConfig = usual,
    ) -> BlockAdapter:
        backbone = make_backbone(family, quantization)
        adapter = start(backbone, dropout=0.1)
        torch.manual_seed(die_at)

        def on_step(step: Step) -> None:
            if steps is not None:
                steps.append(step)
            if step.number == die_at:
                raise Killed

        learn(backbone, adapter, settings, tmp_path / folder, rows=ROWS[:11], seed=5, on_step=on_step)
        return adapter

    return go


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").glob("checkpoint-*"))


# What is left when training dies in a step: nothing, the first checkpoint, the first while the second
# is due, the second; and the step that the next process then begins with.
LEFT = {
    1: ([], 1),
    3: (["checkpoint-2"], 3),
    4: (["checkpoint-2"], 3),
    5: (["checkpoint-2", "checkpoint-4"], 5),
}


@pytest.mark.parametrize("micro", [2, 8])
@pytest.mark.parametrize("die_at", [0, 5])
def test_a_scheduled_instruction_is_on_all_rows_of_its_steps_whatever_the_accumulation(
    make_backbone: MAKE, tmp_path: Path, micro: int, die_at: int
) -> None:
    """All rows are in every step, and the rate changes nothing: the loss shows the instruction."""
    instructions = ("Judge.", "Which side is it?", "Say {0} at once, and no more than that.")
    schedule = RandomSchedule(instructions, hold=3, seed="5")
    settings = config(
        epochs=9, batch_size=8, micro_batch_size=micro, learning_rate=1e-12, checkpoint_every=2, warmup=0.0
    )
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        if step.number == die_at and len(steps) == die_at:
            raise Killed

    for _ in range(2 if die_at else 1):
        backbone = make_backbone("qwen3")
        adapter = start(backbone, dropout=0.0)
        with contextlib.suppress(Killed):
            learn(backbone, adapter, settings, tmp_path, rows=ROWS[:8], schedule=schedule, on_step=on_step)
    losses = {
        text: mean_answer_loss(backbone, [replace(row, instruction=text) for row in ROWS[:8]]).item()
        for text in instructions
    }
    assert len({round(loss, 3) for loss in losses.values()}) == 3
    assert len({schedule.at(step) for step in range(9)}) > 1
    assert {step.number for step in steps} == set(range(1, 10))
    for step in steps:
        assert step.loss == pytest.approx(losses[schedule.at((step.number - 1) // 3 * 3)], rel=1e-4)


@pytest.mark.parametrize(
    ("family", "quantization", "deaths"),
    [("qwen3", "none", LEFT), ("llama", "none", [3]), ("qwen3", "nf4", [5])],
)
def test_training_killed_at_any_step_ends_bit_identical(
    interrupted: Callable[..., BlockAdapter],
    tmp_path: Path,
    family: str,
    quantization: str,
    deaths: Sequence[int],
) -> None:
    whole: list[Step] = []
    expected = weights(interrupted("whole", 0, family, quantization, whole))
    for die_at in deaths:
        folder = f"killed-{die_at}"
        with pytest.raises(Killed):
            interrupted(folder, die_at, family, quantization)
        left, first = LEFT[die_at]
        assert checkpoints(tmp_path / folder) == left
        steps: list[Step] = []
        adapter = interrupted(folder, 0, family, quantization, steps)
        assert identical(weights(adapter), expected)
        assert steps == whole[first - 1 :]
        assert not (tmp_path / folder / "checkpoints").exists()


@pytest.mark.parametrize("die_at", [3, 5])
def test_a_constant_rate_goes_on_after_a_kill_where_it_was(
    interrupted: Callable[..., BlockAdapter], optimisers: list[tuple[float, float]], die_at: int
) -> None:
    # 6 steps, of which 4 warm up: one kill during the warm-up, one after it.
    settings = config(epochs=2, checkpoint_every=2, schedule="constant", warmup=0.6)
    expected = weights(interrupted("whole", settings=settings))
    whole = list(optimisers)
    optimisers.clear()
    with pytest.raises(Killed):
        interrupted("killed", die_at, settings=settings)
    optimisers.clear()
    assert identical(weights(interrupted("killed", settings=settings)), expected)
    assert len(whole) == 6
    assert optimisers == whole[LEFT[die_at][1] - 1 :]


def test_training_killed_twice_ends_bit_identical(interrupted: Callable[..., BlockAdapter]) -> None:
    expected = weights(interrupted("whole"))
    for die_at in (3, 5):
        with pytest.raises(Killed):
            interrupted("killed", die_at)
    assert identical(weights(interrupted("killed")), expected)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("scheduler.pt", Path.unlink),  # the Trainer itself would go on with another learning rate
        ("optimizer.pt", Path.unlink),
        ("optimizer.pt", flip),
        ("rng_state.pth", lambda path: os.truncate(path, 100)),
        ("adapter_model.safetensors", lambda path: path.write_bytes(b"")),
        ("trainer_state.json", lambda path: path.write_text("null")),
        ("SHA256SUMS", Path.unlink),  # killed before the checkpoint was whole
    ],
)
def test_a_checkpoint_that_is_not_as_it_was_written_gives_way_to_the_one_before(
    interrupted: Callable[..., BlockAdapter], tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    expected = weights(interrupted("whole"))
    with pytest.raises(Killed):
        interrupted("killed", 5)
    damage(tmp_path / "killed/checkpoints/checkpoint-4" / name)
    steps: list[Step] = []
    adapter = interrupted("killed", steps=steps)
    assert steps[0].number == 3
    assert identical(weights(adapter), expected)


def test_a_checkpoint_of_another_stage_is_not_taken(
    interrupted: Callable[..., BlockAdapter], tmp_path: Path
) -> None:
    expected = weights(interrupted("whole"))
    with pytest.raises(Killed):
        interrupted("other", 5)
    shutil.copytree(tmp_path / "other/checkpoints", tmp_path / "here/checkpoints")
    steps: list[Step] = []
    assert identical(weights(interrupted("here", steps=steps)), expected)
    assert steps[0].number == 1


def test_what_a_checkpoint_holds_is_read_without_running_any_pickled_code(
    interrupted: Callable[..., BlockAdapter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Killed):
        interrupted("killed", 3)
    names = {path.name for path in (tmp_path / "killed/checkpoints/checkpoint-2").iterdir()}
    assert names == {
        *("adapter_config.json", "adapter_model.safetensors", "README.md", "trainer_state.json"),
        *("optimizer.pt", "scheduler.pt", "rng_state.pth", "SHA256SUMS"),
    }
    load, asked = torch.load, []

    def watched(*args: Any, **options: Any) -> Any:
        asked.append(options.get("weights_only"))
        return load(*args, **options)

    monkeypatch.setattr(torch, "load", watched)
    interrupted("killed")
    assert asked == [True] * 3


def test_without_a_complete_checkpoint_training_starts_over(
    interrupted: Callable[..., BlockAdapter], tmp_path: Path
) -> None:
    expected = weights(interrupted("whole"))
    with pytest.raises(Killed):
        interrupted("killed", 3)
    (tmp_path / "killed" / "checkpoints" / "checkpoint-2" / "trainer_state.json").unlink()
    steps: list[Step] = []
    assert identical(weights(interrupted("killed", steps=steps)), expected)
    assert steps[0].number == 1


def test_the_newest_checkpoint_is_found_by_number(tmp_path: Path) -> None:
    folder = tmp_path / "01-stars/checkpoints"
    for step in ("2", "10", "9", "x"):
        checkpoint = folder / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "trainer_state.json").write_text("{}")
        write_checksums(checkpoint, of="01-stars")
    (folder / "checkpoint-11").symlink_to(folder / "checkpoint-2")
    assert latest_checkpoint(folder) == str(folder / "checkpoint-10")
    assert latest_checkpoint(tmp_path / "nowhere") is None


def test_no_checkpoint_is_written_unless_asked_for(make_backbone: MAKE, tmp_path: Path) -> None:
    backbone = make_backbone("qwen3")
    seen: list[bool] = []
    learn(
        backbone,
        start(backbone),
        config(),
        tmp_path,
        on_step=lambda _: seen.append(any((tmp_path / "checkpoints").glob("checkpoint-*"))),
    )
    assert seen == [False] * 3
    assert not (tmp_path / "checkpoints").exists()


# --- refusals


@pytest.mark.parametrize("method", ["lorainc", "olora"])
def test_a_loss_that_is_not_finite_stops_and_names_the_rows(
    make_backbone: MAKE, tmp_path: Path, method: str
) -> None:
    backbone = make_backbone("qwen3")
    adapter = start(backbone, method)
    adapter.pairs[0][1].data[0, 0] = torch.inf
    settings = config(batch_size=2, micro_batch_size=2)
    with pytest.raises(TrainingError) as refused:
        learn(backbone, adapter, settings, tmp_path, rows=ROWS[:2])
    message = str(refused.value)
    assert message.startswith("The loss became nan (penalty ")
    assert "in step 1, at training rows [0, 1] (0-based). " in message
    assert "Expected a finite loss: lower training.learning_rate, or look at these rows." in message


def test_the_rows_named_are_those_whose_loss_is_not_finite(
    make_backbone: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")
    adapter = start(backbone)
    # A token that only row 5 holds has an embedding that is not finite.
    rows = [TrainingRow("Judge.", "film", "no")] * 5 + [TrainingRow("Judge.", "film #", "no")]
    (token,) = set(backbone.tokenizer("#").input_ids) - {backbone.tokenizer.bos_token_id}
    backbone.causal_lm.get_input_embeddings().weight.data[token] = torch.nan
    backbone.causal_lm.lm_head.weight = torch.nn.Parameter(torch.ones(512, 64), requires_grad=False)
    settings = config(batch_size=2, micro_batch_size=1, learning_rate=1e-6)
    with pytest.raises(TrainingError, match=r"step \d, at training rows \[5\] \(0-based\)"):
        learn(backbone, adapter, settings, tmp_path, rows=rows)


def test_a_penalty_that_is_not_finite_stops_training(make_backbone: MAKE, tmp_path: Path) -> None:
    backbone = make_backbone("qwen3")
    adapter = start(backbone, "olora")
    adapter.penalty = lambda: torch.tensor(torch.inf)
    with pytest.raises(TrainingError, match=r"\(penalty inf\) in step 1"):
        learn(backbone, adapter, config(), tmp_path)


def test_rows_without_answer_tokens_are_refused_by_number(
    make_backbone: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")
    adapter = start(backbone)
    encode = ChatFormat.encode

    def broken(self: ChatFormat, task: Any, rows: Any) -> list[EncodedRow]:
        encoded = encode(self, task, rows)
        return [EncodedRow(e.ids, len(e.ids)) if n in (2, 7) else e for n, e in enumerate(encoded)]

    monkeypatch.setattr(ChatFormat, "encode", broken)
    before = weights(adapter)
    with pytest.raises(TrainingError) as refused:
        learn(backbone, adapter, config(), tmp_path)
    assert str(refused.value) == (
        "task195_sentiment140_classification: training rows [2, 7] have no answer token to learn from. "
        "Expected every row to end in an answer; check the task's file and the model's chat template."
    )
    assert identical(weights(adapter), before)


def test_no_rows_at_all_are_refused(make_backbone: MAKE, tmp_path: Path) -> None:
    backbone = make_backbone("qwen3")
    with pytest.raises(TrainingError, match=r"training rows \(none at all\) have no answer token"):
        learn(backbone, start(backbone), config(), tmp_path, rows=[])


def test_a_model_with_nothing_to_train_is_refused(make_backbone: MAKE, tmp_path: Path) -> None:
    backbone = make_backbone("qwen3")
    adapter = start(backbone)
    backbone.model.requires_grad_(False)
    with pytest.raises(TrainingError, match="Nothing is trainable"):
        learn(backbone, adapter, config(), tmp_path)
