"""Pretrain a backbone of the lab: `python -m sapo_lite.lab.pretrain --family qwen3 OUT`.

A step draws a hundred lessons, of weak families more often, and takes the loss on answers alone. Muon
moves the weight matrices, AdamW the embedding and the norms; the rate warms up, stays, and falls to
nearly nothing. It takes three quarters of an hour on one core, and needs neither network nor data.

Everything is a function of the seed and of the step: a program that is stopped, even killed, goes on
from `OUT/checkpoint.pt` when it is started again with the same options, and ends in the same weights.
OUT then holds a complete Hugging Face model in bfloat16, with its model card and checksums.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sapo_lite.lab.accuracy import accuracy_by_family
from sapo_lite.lab.model import ARCHITECTURES
from sapo_lite.lab.families import FAMILIES
from sapo_lite.lab.pretrainer import Plan, Pretraining

CHECKPOINT_EVERY = 50


def main(argv: Sequence[str] | None = None) -> None:
    options = _options(argv)
    torch.set_num_threads(options.threads)
    console = Console()
    pretraining = Pretraining(Plan(options.family, options.steps, options.seed))
    checkpoint = options.out / "checkpoint.pt"
    options.out.mkdir(parents=True, exist_ok=True)
    if checkpoint.exists():
        pretraining.load(checkpoint)
        console.print(f"goes on from step {pretraining.step}")
    _train(pretraining, checkpoint, console)
    model = pretraining.model
    model.eval()
    found = accuracy_by_family(model, pretraining.chat, FAMILIES, 100, seed=1)
    for name, share in sorted(found.items(), key=lambda pair: pair[1]):
        console.print(f"{name:24} {100 * share:5.1f} %")
    console.print(f"mean {100 * sum(found.values()) / len(found):.2f} %")
    model.to(torch.bfloat16).save_pretrained(options.out)
    pretraining.tokenizer.save_pretrained(options.out)


def _train(pretraining: Pretraining, checkpoint: Path, console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("pretraining", total=pretraining.plan.steps, completed=pretraining.step)
        while pretraining.step < pretraining.plan.steps:
            loss = pretraining.advance()
            progress.update(bar, completed=pretraining.step, description=f"loss {loss:.3f}")
            if pretraining.step % CHECKPOINT_EVERY == 0 or pretraining.step == pretraining.plan.steps:
                pretraining.save(checkpoint)
                mean = sum(pretraining.curriculum.losses.values()) / len(pretraining.curriculum.losses)
                console.print(
                    f"step {pretraining.step}: {pretraining.tokens / 1e6:.1f}M tokens, {pretraining.seconds / 60:.0f} min, "
                    f"mean loss {mean:.3f}, weakest " + ", ".join(f"{n} {pretraining.curriculum.losses[n]:.2f}" for n in pretraining.curriculum.weakest(8))
                )


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sapo_lite.lab.pretrain", description="Pretrain a backbone of the lab.")
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("--family", choices=ARCHITECTURES, default="qwen3")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
