"""A run of two lab tasks that takes a second or two, in this process or another."""

import atexit
import functools
import gc
import importlib
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from random_backbone import random_backbone
from sapo_lite.recipe import load_recipe
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.pipeline import run
from sapo_lite.run.results import Results

ROOT = Path(__file__).resolve().parents[1]

# Plain transformers: Unsloth takes ten seconds to import, and has tests of its own. The backbone has random
# weights; where one is needed that can do the tasks, a test adds LAB.
SETTINGS = [
    f"model.name={random_backbone()}",
    "model.loader=transformers",
    "sequence.tasks=['oldest','odd_one_out']",
    "sequence.train_examples=32",
    "sequence.test_examples=12",
    "scoring.score_examples=16",
    "paraphrase.count=3",
    "adapter.dropout=0.1",
    "training.epochs=2",
    "training.batch_size=16",
    "training.micro_batch_size=8",
    "evaluation.max_new_tokens=4",  # random weights seldom end an answer
]

LAB = "model.name=lab"

# With rewritten answers, which a test must not cut.
UNCUT = "evaluation.max_new_tokens=16"

# For probes: of three tasks, with an even smaller training.
PROBE = [
    *SETTINGS,
    "sequence.tasks=['oldest','odd_one_out','mood']",
    "sequence.train_examples=16",
    "sequence.test_examples=6",
    "scoring.score_examples=8",
    "paraphrase.count=2",
    "paraphrase.held_out=1",
    "training.epochs=1",
    "training.batch_size=8",
    "evaluation.prompts=all",
]


# What a run imports, most of it late.
LIBRARIES = [
    "torch",
    "transformers.models.qwen3.modeling_qwen3",
    "trl.trainer.sft_trainer",
    "peft",
    "rouge_score.rouge_scorer",
    "sacrebleu",
    "sapo_lite.lab.heldout",
    "sapo_lite.run.pipeline",
]


@functools.cache
def quick_collections() -> None:
    """For tests that train often: the Trainer collects garbage several times a run, among a million objects
    of imported modules. These are excluded from collection."""
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # libraries look for what is left at the end


def small_run(out: Path, *settings: str) -> tuple[Results, str]:
    """Run `lab` with the small settings, then these, into `out`. Returns results and what was shown."""
    quick_collections()
    shown = io.StringIO()
    with RunFolder(out) as folder:
        progress = PlainDisplay(Console(file=shown, width=110))
        results = run(load_recipe("lab", [*SETTINGS, *settings]), folder, progress)
    return results, shown.getvalue()


def command(*arguments: str | Path) -> list[str]:
    """The command line as a user types it."""
    return [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]


def small_command(out: Path, *settings: str) -> list[str]:
    flags = [flag for setting in [*SETTINGS, *settings] for flag in ("--set", setting)]
    return command("run", "lab", "--plain", "--out", out, *flags)


def call(arguments: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run to the end; output as text."""
    # os.environ, not the environment of C: readline, which pytest imports, sets COLUMNS there.
    options = {"env": dict(os.environ), **options}
    return subprocess.run(arguments, capture_output=True, text=True, **options)  # type: ignore[call-overload]


def change_weights(folder: Path) -> None:
    """Add noise to a model's weights: a file of the same size and, for whom times are all, the same time."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    torch.manual_seed(0)
    noisy = {name: tensor + 0.05 * torch.randn_like(tensor) for name, tensor in load_file(path).items()}
    size = path.stat().st_size
    save_file(noisy, path, metadata={"format": "pt"})
    assert path.stat().st_size == size
    os.utime(path, ns=times)
