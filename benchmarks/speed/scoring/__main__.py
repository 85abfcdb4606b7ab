"""Scoring and training beside the released code, and beside the machine's limit.

    python -m benchmarks.speed.scoring --data FOLDER

FOLDER holds SUPERNI/, whose tasks 195, 1310 and 224 have short, medium and long inputs; tasks of the lab need
no FOLDER. The methods run alternately in one process, and every ratio is the median over rounds. Their losses
are compared too. docs/performance.md explains the figures.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console, RenderableType

from benchmarks.speed.racing import candidates as wordings
from benchmarks.speed.scoring import profile, tables
from benchmarks.speed.scoring.clock import machine, main_clock
from benchmarks.speed.scoring.compare import compare
from benchmarks.speed.scoring.limit import matrix_rate
from benchmarks.speed.scoring.models import MODELS, make_backbone
from benchmarks.speed.scoring.released import ReleasedLoop
from benchmarks.speed.scoring.steps import attach, compare_steps
from sapo_lite.data.tasks import load_sequence
from sapo_lite.lab.heldout import TASKS
from sapo_lite.model.backbone import Backbone
from sapo_lite.recipe import SequenceConfig
from sapo_lite.support.library_logs import chatter_to
from sapo_lite.types import Candidate, Task

TRAINED_ROWS = 1000  # of a task, as published


def main() -> int:
    options = _options()
    torch.set_num_threads(options.threads)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's own announcements
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 180)
    temporary = tempfile.TemporaryDirectory(prefix="sapo-lite-scoring-")
    with temporary as folder, chatter_to(Path(folder) / "log.txt"):
        content = run(options, Path(folder), console)
    if options.json:
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0 if all(scored["agrees"] for scored in content["scoring"]) else 1


def run(options: argparse.Namespace, folder: Path, console: Console) -> dict[str, Any]:
    """Measure, print as it goes, and return everything as JSON values."""

    def show(what: RenderableType) -> None:
        console.print(what, highlight=False)

    clock = main_clock()
    show(f"{options.model} in {options.dtype}; {', '.join(f'{k} {v}' for k, v in machine().items())}")
    backbone = make_backbone(options.model, options.dtype)
    rates = {name: matrix_rate(backbone, getattr(torch, name), clock) for name in ("float32", "bfloat16")}
    show(_about_rates(rates))
    pairs = [_load(backbone, name, options) for name in options.tasks]
    content: dict[str, Any] = {"machine": machine(), "clock": clock, "rates": rates}
    content["settings"] = {key: value for key, value in vars(options).items() if key not in ("data", "json")}

    loop = ReleasedLoop(backbone, folder / "evaluation")
    sizes = {
        "examples": options.examples,
        "rounds": options.rounds,
        "races": options.races,
        "rate": rates[options.dtype],
    }
    scored = [compare(loop, task, candidates, **sizes) for task, candidates in pairs]
    content["scoring"] = [s.to_json(clock) for s in scored]
    show(tables.scoring_table(scored, clock))
    if options.races:
        show(tables.racing_table(scored, clock))
    if options.profile:
        content["profile"] = {
            task.key: profile.shares(backbone, task, candidates[:1], options.examples)
            for task, candidates in pairs
        }
        show(tables.profile_table(content["profile"]))
    if options.steps > 1:
        adapter = attach(backbone)
        sizes = {"steps": options.steps, "rounds": options.rounds, "batch_size": options.batch_size}
        trained = [
            compare_steps(backbone, adapter, task, folder=folder / "steps", **sizes) for task, _ in pairs
        ]
        content["training"] = [t.to_json() for t in trained]
        show(tables.training_table(trained, clock))
        content["share"] = {
            s.task: tables.share_of_training(s, t, clock) for s, t in zip(scored, trained, strict=True)
        }
        show(tables.share_table(content["share"]))
    return content


def _load(backbone: Backbone, name: str, options: argparse.Namespace) -> tuple[Task, list[Candidate]]:
    """A task whose inputs fit behind each of its candidates, and the candidates, the original first."""
    suite = "lab" if name in TASKS else "SUPERNI"
    sequence = SequenceConfig(suite=suite, tasks=(name,), train_examples=TRAINED_ROWS, test_examples=1)
    (task,) = load_sequence(sequence, options.data)
    texts = wordings(task, "")[: options.candidates]
    pool = [Candidate(n, text, "file" if n else "original") for n, text in enumerate(texts)]
    return backbone.chat.fit(task, texts), pool


def _about_rates(rates: dict[str, float]) -> str:
    shown = ", ".join(f"{rate / 1e9:.0f} GFLOP/s in {name}" for name, rate in rates.items())
    slower = rates["bfloat16"] < rates["float32"]
    verdict = "; bfloat16 is the slower one, so no goal in bfloat16 can be met here" if slower else ""
    return f"matrix products: {shown}{verdict}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.scoring",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="FOLDER", help="folder that holds SUPERNI/")
    add("--model", choices=MODELS, default="lab")
    add("--dtype", choices=["float32", "bfloat16"], default="float32")
    add("--tasks", nargs="+", default=["195", "1310", "224"], metavar="TASK")
    add("--examples", type=int, default=250, help="examples of a task that are scored (250)")
    add("--candidates", type=int, default=21, help="wordings, the original included (21)")
    add("--rounds", type=int, default=7, help="candidates are dealt out over them (7)")
    add("--races", type=int, default=2, help="of all candidates, after as many rounds; 0: none (2)")
    add("--steps", type=int, default=5, help="optimiser steps of a round, the first not timed; 0: none (5)")
    add("--batch-size", type=int, default=8, help="rows of an optimiser step, in micro-batches of 8 (8)")
    add("--profile", action="store_true", help="also say where the time of exact scoring goes")
    add("--threads", type=int, default=1, help="with one, CPU time is the measure; else wall time (1)")
    add("--json", type=Path, metavar="FILE", help="where to write everything that was measured")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
