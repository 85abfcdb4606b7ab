"""Pretrain a backbone of the lab: `python -m pretraining [--family qwen3|llama] [--out DIR]`.

The Qwen3 starts from random weights; the Llama from a trained Qwen3's (pretraining.twin), for fewer steps.

A step draws some sixty examples, of weak families more often, and takes the loss on answers alone. Muon
moves the weight matrices, AdamW the embedding and the norms. The rate warms up and stays level; then it
falls to nearly 0, while steps are twice as large, and then falls a second time from 40 % of its maximum. The
program needs no network and no data.

Everything depends only on the seed: a program that was stopped or killed continues from DIR/checkpoint.pt
when it is started again with the same options, and gives the same weights. For the
first sixth of its steps the rate is level; until then, --steps may be changed.

The model is then in DIR/model: a complete Hugging Face folder in bfloat16, with a model card that gives the
accuracy by family, and checksums. Copied over data/backbones/lab (or lab-llama), it is the embedded one.
"""

import argparse
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pretraining.accuracy import accuracy_by_family
from pretraining.card import card
from pretraining.families import FAMILIES
from pretraining.model import ARCHITECTURES
from pretraining.pretrainer import Plan, Pretraining
from pretraining.twin import load_qwen
from sapo_lite.model.hub import locate_model
from sapo_lite.support.checksums import write_checksums
from sapo_lite.support.files import sha256

_FRESH_SEED = 1_000_003  # of the examples that accuracy is measured on
_CHECKED = {".safetensors", ".json", ".jinja"}  # files whose checksums are verified at load


# Steps, and the highest learning rate, by family.
_LENGTHS = {"qwen3": (8500, 2.5e-3), "llama": (1500, 2e-3)}


def pretrain(
    plan: Plan, out: Path, console: Console, *, qwen: Any = None, save_every: int = 50, **shape: Any
) -> Pretraining:
    """Train to the end of the plan, from `out`/checkpoint.pt if there is one.

    `qwen` is the Qwen3 from which a Llama is made.

    Raises:
        ValueError: the checkpoint belongs to another plan.
    """
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    pretraining = Pretraining(plan, qwen, **shape)
    if checkpoint.exists():
        pretraining.load(checkpoint)
        console.print(f"goes on from step {pretraining.step}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("pretraining", total=plan.steps, completed=pretraining.step)
        while pretraining.step < plan.steps:
            loss = pretraining.advance()
            progress.update(bar, completed=pretraining.step, description=f"loss {loss:.3f}")
            if pretraining.step % save_every == 0 or pretraining.step == plan.steps:
                pretraining.save(checkpoint)
                console.print(_status(pretraining), soft_wrap=True)
    return pretraining


def _status(pretraining: Pretraining) -> str:
    losses = pretraining.curriculum.losses
    weakest = ", ".join(f"{name} {losses[name]:.2f}" for name in pretraining.curriculum.weakest(6))
    return (
        f"step {pretraining.step}: {pretraining.tokens / 1e6:.1f} million tokens, "
        f"{pretraining.seconds / 60:.0f} min, mean loss {sum(losses.values()) / len(losses):.3f}; {weakest}"
    )


def export(pretraining: Pretraining, folder: Path, count: int) -> dict[str, float]:
    """Write the model in bfloat16, its tokenizer, card and checksums. Returns the accuracy by family.

    It is measured on `count` new examples of each family, with the rounded weights of the file.
    """
    model = pretraining.model.to(torch.bfloat16)
    model.save_pretrained(folder)
    pretraining.tokenizer.save_pretrained(folder)
    model.to(torch.float32)
    accuracy = accuracy_by_family(pretraining.backbone, FAMILIES, count, _FRESH_SEED)
    facts = {
        "tokens": pretraining.tokens / 1e6,
        "minutes": pretraining.seconds / 60,
        "threads": torch.get_num_threads(),
        "machine": _processor(),
        "parameters": sum(p.numel() for p in model.parameters()) / 1e6,
        "count": count,
    }
    text = card(pretraining.plan, facts, model.config, accuracy)
    (folder / "README.md").write_text(text, encoding="utf-8", newline="\n")
    write_checksums(folder, [path.name for path in folder.iterdir() if path.suffix in _CHECKED])
    return accuracy


def _processor() -> str:
    """The name of the machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if "model name" in line), platform.machine()
    )


def report(accuracy: Mapping[str, float]) -> Table:
    """Accuracy by family in percent, the weakest first."""
    mean = sum(accuracy.values()) / len(accuracy)
    table = Table("family", "accuracy", box=None, title=f"accuracy by family: {mean:.2%} on average")
    for name in sorted(accuracy, key=accuracy.__getitem__):
        table.add_row(name, f"{accuracy[name]:.1%}")
    return table


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, train, write the model and print its accuracy."""
    parser = argparse.ArgumentParser(
        prog="python -m pretraining", description="Pretrain a backbone of the lab."
    )
    parser.add_argument("--family", choices=ARCHITECTURES, default="qwen3", help="default: qwen3")
    parser.add_argument("--out", metavar="DIR", type=Path, help="default: runs/pretrain-FAMILY")
    parser.add_argument("--start", default="lab", help="Qwen3 to make the Llama of; default: lab")
    parser.add_argument("--steps", type=int, help="default: 8500; llama: 1500")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads; default: 2")
    options = parser.parse_args(argv)
    out = options.out or Path("runs") / f"pretrain-{options.family}"
    torch.set_num_threads(options.threads)
    console = Console()
    steps, rate = _LENGTHS[options.family]
    plan = Plan(options.family, options.steps or steps, options.seed, learning_rate=rate)
    if options.family == "llama":
        folder = locate_model(options.start)
        plan = replace(plan, start=sha256(folder / "model.safetensors"))
        pretraining = pretrain(plan, out, console, qwen=load_qwen(folder))
    else:
        pretraining = pretrain(plan, out, console)
    console.print("measuring the accuracy by family")
    console.print(report(export(pretraining, out / "model", count=200)))
    console.print(f"Wrote {out / 'model'}")
