"""The benchmarks of speed run, and find the same losses and answers by every way. No time is asserted."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.speed.models import make_backbone
from benchmarks.speed.scoring.limit import projections, training_operations, work
from forked import run_program
from sapo_lite.data.tasks import load_sequence
from sapo_lite.recipe import SequenceConfig
from sapo_lite.types import Candidate, TrainingRow

ROOT = Path(__file__).resolve().parents[2]
SMALL = "--examples 10 --candidates 3 --rounds 2 --steps 2 --batch-size 4".split()


def run(module: str, written: Path, *options: str) -> tuple[dict[str, Any], str]:
    """Its JSON and its printed text. It fails if losses differ by more than rounding."""
    command = [sys.executable, "-m", module, "--json", str(written), *options]
    done = run_program(command, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    content: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    return content, done.stdout


@pytest.mark.slow
def test_peers_and_sapo_lite_find_the_same_losses_and_answers(tmp_path: Path) -> None:
    content, shown = run("benchmarks.speed", tmp_path / "cpu.json", "--quick", "--tasks", "oldest")
    scored, answered, trained = content["scoring"]["lines"], content["evaluation"], content["training"]
    assert "Trainer.evaluate" in {line["peer"] for line in scored}
    assert "model.generate" in {line["peer"] for line in answered}
    assert {line["peer"] for line in trained} == {"SFTTrainer", "SFTTrainer, packing"}
    for line in (*scored, *answered, *trained):
        assert line["task"] == "oldest"
        assert line["difference"] <= line["tolerance"] <= 1e-5
        assert len(line["theirs"]) == len(line["ours"]) == 2
        assert line["ratio"] > 0
    assert all(len(line["limit"]) == 2 and line["limit_share"] > 0 for line in (*scored, *trained))
    assert [race["examples"] for race in content["scoring"]["races"]] == [40]
    assert [start["torch"] for start in content["start"]] == [False] * 4
    for title in ("Scoring: ", "Testing: ", "Training: ", "Races of", "Start of"):
        assert title in shown


@pytest.mark.slow
def test_the_comparison_for_gpus_runs_on_the_cpu_in_real_4_bit(tmp_path: Path) -> None:
    content, shown = run("benchmarks.gpu.scoring", tmp_path / "gpu.json", *SMALL, "--shape", "tiny")
    assert "tiny in 4 bits" in shown
    assert [scored["task"] for scored in content["scoring"]] == ["short", "medium", "long"]
    assert all(scored["difference"] < 1e-5 for scored in content["scoring"])
    assert all(trained["difference"] < 1e-4 for trained in content["training"])


def test_the_limit_counts_the_models_own_products() -> None:
    backbone = make_backbone("lab")
    (task,) = load_sequence(SequenceConfig(suite="lab", tasks=("stars",), train_examples=3))
    layer = backbone.decoder.layers[0]
    linear = [module for module in layer.modules() if isinstance(module, torch.nn.Linear)]
    assert sorted(projections(backbone.causal_lm.config).values()) == sorted(
        (module.in_features, module.out_features) for module in linear
    )
    needed = work(backbone, task, [Candidate(0, task.instruction, "original")], examples=1)
    assert needed.rows == needed.unique  # a lone row shares its prefix with nobody
    products = (
        2
        * needed.unique
        * sum(
            module.weight.numel()
            for module in backbone.decoder.layers.modules()
            if isinstance(module, torch.nn.Linear)
        )
    )
    head = 2 * 2 * backbone.causal_lm.get_output_embeddings().weight.numel()  # an answer and its end of turn
    config = backbone.causal_lm.config
    pairs = needed.unique * (needed.unique + 1) // 2
    attention = 4 * pairs * config.num_hidden_layers * config.num_attention_heads * config.head_dim
    assert needed.operations == products + head + attention
    row = TrainingRow(task.instruction, task.train[0].input, task.train[0].answer)
    trained = training_operations(backbone, backbone.chat.encode(task, [row]), steps=1)
    assert trained == 2 * products + 2 * head + 3 * attention
