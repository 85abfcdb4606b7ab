"""Prompt schedules that measure losses of a real model during training, and their effect on it."""

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kept import value_of
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.rows import RowBatcher
from sapo_lite.learning.steps import Step
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.load import load_backbone
from sapo_lite.model.loss import answer_nll
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.schedules import Adversarial, AfterTraining, PromptSchedule, Rescored, TrainingContext
from sapo_lite.prompts.scoring import score
from sapo_lite.recipe import ModelConfig, TrainingConfig
from sapo_lite.types import Candidate, Task, TrainingRow, TrainingSet
from tiny import adapter_config, fill_blocks, make_task, plain_nll

MAKE = Callable[..., Backbone]
TASK = make_task(12)
TEXTS = (
    TASK.instruction,
    "Judge.",
    "Which side is it?",
    "Say {0} at once, and no more than that.",
    "判断情感",
)
POOL = [Candidate(i, text, "file") for i, text in enumerate(TEXTS)]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_collections")]


class Killed(BaseException):
    """Raised in place of a kill. A BaseException: no `except Exception` catches it."""


@dataclass(frozen=True)
class Constant:
    """A schedule with one instruction. At each step it measures and keeps the losses of `asked`."""

    asked: Sequence[str]
    measured: list[float]

    def at(self, step: int, loss: Callable[[str], float], epoch: int) -> str:
        self.measured.extend(loss(instruction) for instruction in self.asked)
        return TASK.instruction

    def after_training(self) -> AfterTraining:
        return AfterTraining()


def rows_of(task: Task, count: int | None = None) -> list[TrainingRow]:
    return [TrainingRow(task.instruction, e.input, e.answer) for e in task.train[:count]]


def started(backbone: Backbone, dropout: float = 0.0, checkpointing: bool = False) -> BlockAdapter:
    """A backbone that has learned one task of three and opens the second block."""
    build = METHODS["lorainc"].build
    adapter = build(backbone, adapter_config(dropout=dropout), tasks=3, checkpointing=checkpointing)
    fill_blocks(adapter, 1)
    adapter.open_block(1, seed=1)
    return adapter


def settings(**changed: Any) -> TrainingConfig:
    defaults = {"epochs": 2, "learning_rate": 1e-2, "batch_size": 4, "micro_batch_size": 2}
    return TrainingConfig(**{**defaults, "gradient_checkpointing": False, **changed})


def learn(
    backbone: Backbone,
    adapter: BlockAdapter,
    how: TrainingConfig,
    folder: Path,
    *parts: TrainingSet,
    on_step: Callable[[Step], None] = lambda _: None,
) -> None:
    train(backbone, adapter, parts, how, checkpoints=folder / "checkpoints", seed=5, on_step=on_step)


def weights(adapter: BlockAdapter) -> list[Tensor]:
    return [p.detach().clone() for pair in adapter.pairs for p in pair]


def identical(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


def loss_by_hand(backbone: Backbone, rows: Sequence[TrainingRow], instruction: str) -> float:
    """Nats per answer token, one plain forward a row."""
    encoded = backbone.chat.encode(TASK, [replace(row, instruction=instruction) for row in rows])
    was_training = backbone.model.training
    nll = sum(plain_nll(backbone.model, row) for row in encoded)
    backbone.model.train(was_training)
    return nll / sum(len(row.answer_ids) for row in encoded)


# --- training does not notice that it was asked


@pytest.mark.parametrize(
    ("family", "quantization", "checkpointing"),
    [("qwen3", "none", True), ("llama", "none", False), ("qwen3", "nf4", False), ("llama", "nf4", True)],
)
def test_losses_that_are_computed_in_between_change_nothing_in_training(
    make_backbone: MAKE,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    quantization: str,
    checkpointing: bool,
) -> None:
    """Not the masks that dropout draws, not the mode: the weights end in the same bits."""
    modes: list[bool] = []
    nll = RowBatcher.nll
    monkeypatch.setattr(
        RowBatcher,
        "nll",
        lambda self, n: (modes.extend(m.training for m in self.backbone.model.modules()), nll(self, n))[1],
    )
    how = settings(gradient_checkpointing=checkpointing)
    ends = []
    for asked in ((), TEXTS[1:4]):
        backbone = make_backbone(family, quantization)
        adapter = started(backbone, dropout=0.3, checkpointing=checkpointing)
        backbone.model.eval()  # as scoring leaves it
        schedule = Constant(asked, [])
        learn(backbone, adapter, how, tmp_path, TrainingSet(TASK, rows_of(TASK), schedule))
        assert len(schedule.measured) == 6 * len(asked)
        ends.append(weights(adapter))
    assert all(modes)
    assert identical(*ends)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_loss_in_training_is_that_of_scoring_before_it_and_training_goes_on_as_if_nothing_was(
    make_backbone: MAKE, tmp_path: Path, dtype: str
) -> None:
    """In bfloat16, accelerate wraps the model in its own autocast while it trains."""
    folder = make_backbone("qwen3").config.name
    ends = []
    for asked in ((), TEXTS):
        config = ModelConfig(name=folder, quantization="none", dtype=dtype, loader="transformers")
        backbone = load_backbone(
            config.model_copy(update={"max_source_tokens": 192, "max_answer_tokens": 24})
        )
        adapter = started(backbone, dropout=0.3)
        rows = rows_of(TASK, 8)
        before = []
        for text in TEXTS:
            encoded = backbone.chat.encode(TASK, [replace(row, instruction=text) for row in rows])
            sums, tokens = answer_nll(backbone, encoded)
            before.append(sum(sums) / sum(tokens))
        schedule = Constant(asked, [])
        how = settings(batch_size=8, micro_batch_size=4, warmup=0.0)
        learn(backbone, adapter, how, tmp_path, TrainingSet(TASK, rows, schedule))
        if asked:
            # Rows come in another order, and sums of floats depend on it.
            assert schedule.measured[:5] == pytest.approx(before, rel=1e-6 if dtype == "float32" else 1e-2)
            assert schedule.measured[5:] != pytest.approx(before, rel=1e-3)
        ends.append(weights(adapter))
    assert identical(*ends)


# --- adversarial


@dataclass
class CheckedByHand:
    """An adversarial schedule whose losses are computed a second time, by hand, before each step."""

    schedule: Adversarial
    backbone: Backbone
    rows: Sequence[TrainingRow]
    losses: list[list[float]]

    def at(self, step: int, loss: Callable[[str], float], epoch: int) -> str:
        self.losses.append([loss_by_hand(self.backbone, self.rows, text) for text in TEXTS])
        return self.schedule.at(step, loss, epoch)

    def after_training(self) -> AfterTraining:
        return self.schedule.after_training()


@pytest.mark.parametrize(("micro", "die_at"), [(8, 0), (2, 5)])
def test_the_hardest_candidate_for_the_model_as_it_is_when_a_hold_begins_is_on_all_rows_until_it_ends(
    make_backbone: MAKE, tmp_path: Path, micro: int, die_at: int
) -> None:
    """All rows are in every step, so the loss of a step shows with which candidate it was made."""
    how = settings(epochs=9, batch_size=8, micro_batch_size=micro, checkpoint_every=2, warmup=0.0)
    rows, steps = rows_of(TASK, 8), {}

    def on_step(step: Step) -> None:
        before = step.number in steps
        steps[step.number] = step
        if step.number == die_at and not before:
            raise Killed

    losses: list[list[float]] = []
    for _ in range(2 if die_at else 1):
        backbone = make_backbone("qwen3")
        adapter = started(backbone)
        adversarial = Adversarial(POOL, draws=3, hold=3, seed="2", training=kept_in(tmp_path))
        schedule = CheckedByHand(adversarial, backbone, rows, losses)
        with contextlib.suppress(Killed):
            learn(backbone, adapter, how, tmp_path, TrainingSet(TASK, rows, schedule), on_step=on_step)
    if die_at:
        del losses[4:5]  # the fifth step was taken twice, from the checkpoint after the fourth
    decisions = value_of(tmp_path / "wordings.json")
    assert [decision["hold"] for decision in decisions] == [0, 1, 2]
    for decision in decisions:
        current = losses[decision["step"]]
        assert decision["losses"] == pytest.approx([current[i] for i in decision["drawn"]], rel=1e-5)
        assert decision["kept"] == max(decision["drawn"], key=current.__getitem__)
        for step in range(decision["step"], decision["step"] + 3):
            assert steps[step + 1].loss == pytest.approx(losses[step][decision["kept"]], rel=1e-5)
    assert losses[0] != pytest.approx(losses[6], rel=1e-2)
    assert len({decision["kept"] for decision in decisions}) > 1


# --- interruption


def kept_in(folder: Path) -> TrainingContext:
    """The folder keeps the decisions; nothing is rescored."""
    return TrainingContext(folder / "wordings.json", "wordings", list, 0.0, 1, lambda _: None)


def adversarial_for(_: Backbone, folder: Path) -> PromptSchedule:
    return Adversarial(POOL, draws=3, hold=4, seed="2", training=kept_in(folder))


def rescored_for(backbone: Backbone, folder: Path) -> PromptSchedule:
    """A rescored schedule that starts with the worst candidate, with enough examples to find that out."""
    task = make_task(60)

    def scores() -> list[CandidateLoss]:
        return score(backbone, task, POOL, examples=60)

    worst = max(scores(), key=lambda s: s.token_mean).index
    return Rescored(POOL, POOL[worst], replace(kept_in(folder), rescore=scores))


@pytest.mark.parametrize(("family", "kind"), [("llama", adversarial_for), ("qwen3", rescored_for)])
def test_training_killed_in_the_middle_of_a_hold_or_epoch_ends_in_the_same_bits_and_decisions(
    make_backbone: MAKE, tmp_path: Path, kind: Callable[[Backbone, Path], PromptSchedule], family: str
) -> None:
    # 3 steps an epoch, 9 in all, checkpoints after every second one.
    how = settings(epochs=3, checkpoint_every=2, learning_rate=1e-3)

    def go(name: str, die_at: int = 0) -> tuple[list[Tensor], list[Step], bytes]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        backbone = make_backbone(family)
        adapter = started(backbone, dropout=0.1)
        schedule = kind(backbone, folder)
        torch.manual_seed(die_at)
        steps: list[Step] = []

        def on_step(step: Step) -> None:
            steps.append(step)
            if step.number == die_at:
                raise Killed

        learn(backbone, adapter, how, folder, TrainingSet(TASK, rows_of(TASK, 11), schedule), on_step=on_step)
        return weights(adapter), steps, (folder / "wordings.json").read_bytes()

    expected, whole, decisions = go("whole")
    made = json.loads(decisions)["value"]
    trained_with = [decision.get("kept", decision.get("after")) for decision in made]
    assert len(trained_with) == (3 if kind is adversarial_for else 2)
    assert kind is adversarial_for or made[0]["before"] != trained_with[0]
    # Died after a decision that no checkpoint has seen; in the middle of a hold and of an epoch; twice.
    for deaths in ((5,), (6,), (3, 8)):
        name = f"killed-{deaths}"
        for die_at in deaths:
            with pytest.raises(Killed):
                go(name, die_at)
        end, steps, found = go(name)
        assert identical(end, expected)
        assert found == decisions
        assert steps == whole[steps[0].number - 1 :]
        assert steps[0].number == {5: 5, 6: 5, 8: 7}[deaths[-1]]


# --- several tasks in one group


def test_every_training_set_of_a_group_has_a_schedule_of_its_own_and_the_epochs_of_the_whole(
    make_backbone: MAKE, tmp_path: Path
) -> None:
    other = replace(make_task(3, seed=1), id="task1310_other")
    calls: dict[str, list[tuple[int, int]]] = {TASK.id: [], other.id: []}

    @dataclass(frozen=True)
    class Told:
        name: str

        def at(self, step: int, loss: Callable[[str], float], epoch: int) -> str:
            calls[self.name].append((step, epoch))
            assert loss("Judge.") > 0
            return self.name

    backbone = make_backbone("qwen3")
    parts = [TrainingSet(task, rows_of(task), Told(task.id)) for task in (TASK, other)]
    learn(backbone, started(backbone), settings(epochs=2), tmp_path, *parts)
    # 15 rows in batches of 4: four steps an epoch, with three rows of the other task in some of them.
    assert calls[TASK.id] == [(step, step // 4) for step in range(8)]
    assert set(calls[other.id]) < set(calls[TASK.id])
    assert {epoch for _, epoch in calls[other.id]} == {0, 1}
