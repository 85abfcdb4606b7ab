"""Unsloth's CPU backend gives what plain transformers gives: losses, training, adapters, answers.

Importing Unsloth changes transformers, PEFT and TRL for the rest of a process, so it is done in one
process of its own (this file run as a program), which writes what it finds; here it is compared with
the transformers loader.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from rich.console import Console

from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.adapters.ewc import fisher
from sapo_lite.learning.adapters.replay import distances
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.steps import Step
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.generation import generate
from sapo_lite.model.loss import answer_nll
from sapo_lite.recipe import TrainingConfig
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.types import TrainingRow, TrainingSet
from tiny import FAMILIES, adapter_config, load, make_task, plain_model

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TASK = make_task(6)
ROWS = [TrainingRow(TASK.instruction, e.input, e.answer) for e in TASK.train]
CASES = [(family, quantization) for family in FAMILIES for quantization in ("none", "nf4")]
cases = pytest.mark.parametrize(("family", "quantization"), CASES)
MEASURED = [" ".join(case) for case in CASES[1:3]]  # each family and each number of bits once


# --- what both loaders are put through


def attach(backbone: Backbone, **settings: Any) -> BlockAdapter:
    return METHODS["olora"].build(backbone, adapter_config(**settings), tasks=3, checkpointing=True)


def losses(backbone: Backbone) -> list[float]:
    return list(answer_nll(backbone, backbone.chat.encode(TASK, ROWS))[0])


def lone_losses(backbone: Backbone) -> list[float]:
    """The same, one row a batch: nothing is shared."""
    return [answer_nll(backbone, [row])[0][0] for row in backbone.chat.encode(TASK, ROWS)]


def answers(backbone: Backbone) -> list[str]:
    prompts = backbone.chat.encode_prompts(TASK, TASK.instruction, [e.input for e in TASK.test])
    return generate(backbone, prompts, max_new_tokens=12, batch_size=4)


class Asking:
    """A schedule with one instruction. Before every step it measures the losses of others."""

    def __init__(self, others: Sequence[str]) -> None:
        self._others = others
        self.measured: list[float] = []

    def at(self, step: int, loss: Callable[[str], float], epoch: int) -> str:
        self.measured.extend(loss(instruction) for instruction in self._others)
        return TASK.instruction


def learn(
    backbone: Backbone, adapter: BlockAdapter, stage: int, folder: Path, schedule: Asking | None = None
) -> list[Step]:
    """Three steps of two micro-batches on the block of `stage`."""
    steps: list[Step] = []
    adapter.open_block(stage, seed=stage)
    config = TrainingConfig(epochs=2, learning_rate=1e-2, batch_size=4, micro_batch_size=2)
    checkpoints = folder / "checkpoints"
    part = TrainingSet(TASK, ROWS, schedule)
    train(backbone, adapter, [part], config, checkpoints=checkpoints, seed=3, on_step=steps.append)
    return steps


def block(adapter: BlockAdapter, stage: int) -> list[torch.Tensor]:
    own = slice(stage * adapter.rank, (stage + 1) * adapter.rank)
    return [t.detach().clone() for a, b in adapter.pairs for t in (a[own], b[:, own])]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


def remembered(backbone: Backbone, adapter: BlockAdapter) -> tuple[list[float], list[float]]:
    """What EWC and replay ask of a model: sums of the Fisher information of A and B, and distances."""
    weights = [weight for pair in adapter.pairs for weight in pair]
    silent = PlainDisplay(Console(file=io.StringIO()))
    found = fisher(backbone, weights, [TrainingSet(TASK, ROWS)], 3, silent).split(
        [w.numel() for w in weights]
    )
    parts = [
        TrainingSet(TASK, [TrainingRow(text, "", "")])
        for text in (TASK.instruction, "判断情感", "Say it again.")
    ]
    return [float(values.sum()) for values in found], distances(backbone, parts[1:], parts[:1])


def live(folder: Path, quantization: str, loader: str, out: Path) -> dict[str, Any]:
    """Learn two of three tasks, as a run does; say what was seen on the way."""
    backbone = load(folder, quantization, loader)
    seen: dict[str, Any] = {"bare": losses(backbone), "fused": backbone.fused}
    base = [p.detach().clone() for p in backbone.model.parameters()]
    adapter = attach(backbone)
    seen["quantised"] = sum(type(m).__name__ == "Linear4bit" for m in backbone.causal_lm.modules())
    seen["attached"] = losses(backbone)
    steps = learn(backbone, adapter, 0, out)
    seen["moved"] = [bool(t.any()) for t in block(adapter, 0)[1::2]]  # every B has left zero
    seen["first"] = losses(backbone)  # a no-grad pass, after which gradients must still flow
    past = block(adapter, 0)
    steps += learn(backbone, adapter, 1, out)
    seen["past is bit-identical"] = same(past, block(adapter, 0))
    seen["moved"] += [bool(t.any()) for t in block(adapter, 1)[1::2]]
    seen["future is zero"] = not any(t.any() for t in block(adapter, 2))
    seen["dtypes"] = sorted({str(p.dtype) for pair in adapter.pairs for p in pair})
    learned = {id(p) for pair in adapter.pairs for p in pair}
    now = [p.detach() for p in backbone.model.get_base_model().parameters() if id(p) not in learned]
    seen["base is bit-identical"] = same(base, now)
    seen["steps"] = [(step.number, step.loss, step.penalty) for step in steps]
    seen["second"], seen["alone"] = losses(backbone), lone_losses(backbone)
    seen["answers"] = answers(backbone)
    seen["fisher"], seen["distances"] = remembered(backbone, adapter)
    adapter.save(out / "adapter")
    fresh = load(folder, quantization, loader)
    attach(fresh).load(out / "adapter")
    seen["reloaded"] = losses(fresh)
    return seen


def asked(folder: Path, quantization: str, loader: str, out: Path, others: Sequence[str]) -> dict[str, Any]:
    """Learn with dropout, with a schedule that measures losses."""
    backbone = load(folder, quantization, loader)
    adapter = attach(backbone, dropout=0.3)
    schedule = Asking(others)
    steps = learn(backbone, adapter, 0, out, schedule)
    return {"losses": [step.loss for step in steps], "after": losses(backbone), "measured": schedule.measured}


# --- compared


@pytest.fixture(scope="module")
def folders(make_backbone: Callable[..., Backbone]) -> dict[str, Path]:
    return {family: Path(make_backbone(family).config.name) for family in FAMILIES}


@pytest.fixture(scope="module")
def unsloth(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the process that imports Unsloth saw, by case; `out` is its folder of adapters."""
    out = tmp_path_factory.mktemp("unsloth")
    command = [sys.executable, __file__, str(out), *map(str, folders.values())]
    environment = os.environ | {
        "XDG_CACHE_HOME": str(out / "cache"),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
    }
    done = subprocess.run(command, cwd=out, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return {**json.loads((out / "seen.json").read_text()), "out": out}


@pytest.fixture(scope="module")
def plain(
    folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, Any]]:
    """What the transformers loader sees."""
    assert "unsloth" not in sys.modules
    seen: dict[tuple[str, str], dict[str, Any]] = {}

    def get(family: str, quantization: str) -> dict[str, Any]:
        if (family, quantization) not in seen:
            out = tmp_path_factory.mktemp("plain")
            seen[family, quantization] = live(folders[family], quantization, "transformers", out)
        return seen[family, quantization]

    return get


@cases
def test_losses_equal_those_of_the_transformers_loader(
    unsloth: dict[str, Any], plain: Callable[..., dict[str, Any]], family: str, quantization: str
) -> None:
    ours, theirs = unsloth[f"{family} {quantization}"], plain(family, quantization)
    assert (ours["quantised"] > 0) == (quantization == "nf4")
    assert ours["quantised"] == theirs["quantised"]
    assert ours["bare"] == pytest.approx(theirs["bare"], rel=1e-5)
    assert ours["attached"] == ours["bare"]


@cases
def test_packed_losses_equal_those_of_rows_alone(
    unsloth: dict[str, Any], family: str, quantization: str
) -> None:
    seen = unsloth[f"{family} {quantization}"]
    assert seen["second"] == pytest.approx(seen["alone"], rel=1e-5)


@cases
def test_training_moves_every_layer_of_the_open_block_and_nothing_else(
    unsloth: dict[str, Any], family: str, quantization: str
) -> None:
    seen = unsloth[f"{family} {quantization}"]
    assert seen["moved"] == [True] * 8  # two tasks, two layers, q_proj and v_proj
    assert seen["past is bit-identical"]
    assert seen["future is zero"]
    assert seen["base is bit-identical"]
    assert seen["dtypes"] == ["torch.float32"]


@cases
def test_training_takes_the_steps_of_the_transformers_loader(
    unsloth: dict[str, Any], plain: Callable[..., dict[str, Any]], family: str, quantization: str
) -> None:
    ours, theirs = unsloth[f"{family} {quantization}"], plain(family, quantization)
    assert len(ours["steps"]) == 8
    for (number, *losses), (other_number, *other_losses) in zip(ours["steps"], theirs["steps"], strict=True):
        assert number == other_number
        assert losses == pytest.approx(other_losses, rel=1e-3)
    assert ours["second"] == pytest.approx(theirs["second"], rel=1e-3)
    assert ours["second"] != pytest.approx(ours["first"], rel=1e-2)
    assert ours["first"] != pytest.approx(ours["bare"], rel=1e-2)


@cases
def test_ewc_and_replay_find_what_they_find_with_the_transformers_loader(
    unsloth: dict[str, Any], plain: Callable[..., dict[str, Any]], family: str, quantization: str
) -> None:
    ours, theirs = unsloth[f"{family} {quantization}"], plain(family, quantization)
    assert ours["fisher"] == pytest.approx(theirs["fisher"], rel=1e-2)
    assert all(ours["fisher"])
    assert ours["distances"] == pytest.approx(theirs["distances"], rel=1e-3)
    assert min(ours["distances"]) > 0.01


@cases
def test_losses_are_equal_after_saving_and_loading(
    unsloth: dict[str, Any], family: str, quantization: str
) -> None:
    seen = unsloth[f"{family} {quantization}"]
    assert seen["reloaded"] == seen["second"]


@cases
def test_the_adapter_loads_in_plain_peft_with_the_same_losses_and_answers(
    unsloth: dict[str, Any], folders: dict[str, Path], family: str, quantization: str
) -> None:
    seen = unsloth[f"{family} {quantization}"]
    folder = unsloth["out"] / f"{family}-{quantization}" / "adapter"
    backbone = load(folders[family], quantization)
    backbone.model = PeftModel.from_pretrained(plain_model(backbone), folder)
    assert losses(backbone) == pytest.approx(seen["second"], rel=1e-5)
    assert answers(backbone) == seen["answers"]
    assert len(set(seen["answers"])) > 1


@pytest.mark.parametrize("case", MEASURED)
def test_losses_that_are_asked_for_in_training_change_nothing_in_it(
    unsloth: dict[str, Any], case: str
) -> None:
    silent, asked = (unsloth[f"{case} {kind}"] for kind in ("silent", "asked"))
    assert asked["losses"] == silent["losses"]
    assert asked["after"] == silent["after"]
    assert len(asked["measured"]) == 2 * len(asked["losses"])
    assert min(asked["measured"]) > 0


def test_nothing_is_written_where_the_process_runs(unsloth: dict[str, Any]) -> None:
    expected = {f"{family}-{quantization}" for family, quantization in CASES} | {"seen.json", "cache"}
    assert {path.name for path in unsloth["out"].iterdir()} <= expected


def main(out: Path, *folders: Path) -> None:
    seen = {}
    for family, folder in zip(FAMILIES, folders, strict=True):
        for quantization in ("none", "nf4"):
            case, own = f"{family} {quantization}", out / f"{family}-{quantization}"
            seen[case] = live(folder, quantization, "unsloth", own)
            if case not in MEASURED:
                continue
            for kind, others in (("silent", []), ("asked", ["Judge.", "判断情感"])):
                seen[f"{case} {kind}"] = asked(folder, quantization, "unsloth", own, others)
    assert "unsloth" in sys.modules
    (out / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
