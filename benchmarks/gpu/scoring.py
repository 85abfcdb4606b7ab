"""GPU benchmark of scoring and training, offline, on random weights of a real shape in 4 bits.

It compares the released loop, exact scoring, races and packed training.

    python -m benchmarks.gpu.scoring --json scoring.json

It needs no data: rows are made of the lab's words, in three lengths. What was measured is written after every
length. Not yet measured on a GPU.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.gpu import rows
from benchmarks.gpu.shapes import SHAPES, Shape
from benchmarks.speed.scoring import tables
from benchmarks.speed.scoring.clock import machine, main_clock
from benchmarks.speed.scoring.compare import compare
from benchmarks.speed.scoring.limit import matrix_rate
from benchmarks.speed.scoring.released import ReleasedLoop
from benchmarks.speed.scoring.steps import attach, compare_steps
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.load import load_backbone
from sapo_lite.recipe import ModelConfig
from sapo_lite.support.library_logs import chatter_to
from sapo_lite.types import Candidate, Task

ROOT = Path(__file__).resolve().parents[2]
# Mean length of a task's rows, as a share of the longest that the shape allows; half to one and a half of it
# are drawn.
LENGTHS = {"short": 0.06, "medium": 0.2, "long": 0.6}


def main() -> int:
    options = _options()
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 180)
    temporary = tempfile.TemporaryDirectory(prefix="sapo-lite-scoring-")
    with temporary as folder, chatter_to(Path(folder) / "log.txt"):
        content = run(options, Path(folder), console)
    return 0 if all(scored["agrees"] for scored in content["scoring"]) else 1


def run(options: argparse.Namespace, folder: Path, console: Console) -> dict[str, Any]:
    """Measure, print, and return everything as JSON values, which are also written as they come."""
    shape = SHAPES[options.shape]
    backbone = _load(shape, options, (options.folder or folder / "model").absolute())
    clock = main_clock()
    rate = matrix_rate(backbone, backbone.dtype, clock)
    facts = ", ".join(f"{key} {value}" for key, value in machine().items())
    console.print(f"{options.shape} in 4 bits, {facts}; {rate / 1e9:.0f} GFLOP/s", highlight=False)
    # Before scoring: the released loop's Trainer refuses a 4-bit model without an adapter.
    adapter = attach(backbone, checkpointing=True)
    loop = ReleasedLoop(backbone, folder / "evaluation")
    settings = {key: value for key, value in vars(options).items() if key not in ("folder", "json")}
    content: dict[str, Any] = {"machine": machine(), "clock": clock, "rates": {options.dtype: rate}}
    content |= {"settings": settings, "scoring": [], "training": [], "share": {}}
    scored, trained = [], []
    for name in LENGTHS:
        task, pool = _task(backbone, shape, name, options)
        sizes = {"examples": options.examples, "rounds": options.rounds, "races": options.races, "rate": rate}
        scored.append(compare(loop, task, pool, **sizes))
        content["scoring"].append(scored[-1].to_json(clock))
        _write(content, options.json)
        sizes = {"steps": options.steps, "rounds": options.rounds, "batch_size": options.batch_size}
        # With checkpoints, as published: the activations of eight of the longest rows fill a card of 80 GB.
        places: dict[str, Any] = {
            "folder": folder / "steps",
            "ways": ("packed", "padded"),
            "checkpointing": True,
        }
        trained.append(compare_steps(backbone, adapter, task, **sizes, **places))
        content["training"].append(trained[-1].to_json())
        content["share"][name] = tables.share_of_training(scored[-1], trained[-1], clock)
        _write(content, options.json)
    console.print(tables.scoring_table(scored, clock), tables.racing_table(scored, clock))
    console.print(tables.training_table(trained, clock), tables.share_table(content["share"]))
    return content


def _write(content: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _load(shape: Shape, options: argparse.Namespace, folder: Path) -> Backbone:
    """Let another process write the model in the hub's layout, and load it like a run."""
    write = [sys.executable, "-m", "benchmarks.gpu.shapes", options.shape, str(folder)]
    subprocess.run(write, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    config = ModelConfig(
        name=str(folder),
        quantization="nf4",
        dtype=options.dtype,
        max_source_tokens=shape.source,
        max_answer_tokens=shape.answer,
    )
    return load_backbone(config)


def _task(
    backbone: Backbone, shape: Shape, name: str, options: argparse.Namespace
) -> tuple[Task, list[Candidate]]:
    """A task with rows of the lab's words, as many as are scored or trained on, and its candidates."""
    count = max(options.examples, options.steps * options.batch_size)
    draw = random.Random(name)
    shares = [LENGTHS[name] * draw.uniform(0.5, 1.5) for _ in range(count)]
    pool = rows.candidates(options.candidates)
    task = replace(rows.task(backbone.chat, shape, shares, seed=0), id=name)
    return backbone.chat.fit(task, [candidate.text for candidate in pool]), pool


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.scoring", description=__doc__)
    add = parser.add_argument
    gpu = torch.cuda.is_available()
    add("--shape", choices=list(SHAPES), default="qwen3-8b" if gpu else "tiny")
    add("--dtype", choices=["bfloat16", "float32"], default="bfloat16" if gpu else "float32")
    add("--examples", type=int, default=64, help="examples that are scored (64)")
    add("--candidates", type=int, default=21, help="wordings, the original included (21)")
    add("--rounds", type=int, default=3, help="candidates are dealt out over them (3)")
    add("--races", type=int, default=2, help="of all candidates, after as many rounds; 0: none (2)")
    add("--steps", type=int, default=5, help="optimiser steps of a round, the first not timed (5)")
    add("--batch-size", type=int, default=8, help="rows of an optimiser step, in micro-batches of 8 (8)")
    add("--folder", type=Path, help="keep the model here, or find it here from an earlier run")
    add("--json", type=Path, metavar="FILE", help="where to write everything that was measured")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
