"""bfloat16 against float32 on a CPU: how much faster it is, and how far its losses are off.

    python -m benchmarks.speed.precision MODEL [--data FOLDER] [--tasks 195] [--quantization nf4]

MODEL is loaded once in each number format. FOLDER must hold SUPERNI/ (tasks of the lab need none). The
formats take turns at every piece of work: scoring all rows with a wording, another one each round; optimiser
steps on packs; greedy answers. A speed-up is the median over rounds of float32's time / bfloat16's: CPU time
with one thread, else wall time.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.speed.racing import candidates
from benchmarks.speed.scoring.clock import Seconds, machine, main_clock, median_ratio, timed, total
from benchmarks.speed.scoring.steps import attach, compare_steps
from sapo_lite.data.tasks import load_sequence
from sapo_lite.lab.heldout import TASKS
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.generation import generate
from sapo_lite.model.load import load_backbone
from sapo_lite.model.loss import answer_nll
from sapo_lite.model.precision import NumberFormat
from sapo_lite.model.selfcheck import check_packs
from sapo_lite.recipe import ModelConfig, SequenceConfig
from sapo_lite.support.library_logs import chatter_to
from sapo_lite.types import Task, TrainingRow

FORMATS: tuple[NumberFormat, NumberFormat] = ("float32", "bfloat16")
STEPS, BATCH = 3, 4  # the first step is not timed
PROMPTS, NEW_TOKENS = 8, 16
Backbones = dict[NumberFormat, Backbone]
Times = dict[NumberFormat, list[Seconds]]
Losses = dict[NumberFormat, torch.Tensor]


def scoring(backbones: Backbones, task: Task, texts: Sequence[str]) -> tuple[Times, Losses]:
    """Times of scoring all rows with each text, and their losses in nats: float64 [texts, rows]."""
    times: Times = {name: [] for name in FORMATS}
    losses: dict[NumberFormat, list[tuple[float, ...]]] = {name: [] for name in FORMATS}
    for number, text in enumerate([texts[0], *texts]):  # the first pass chooses kernels and does not count
        for name, backbone in backbones.items():
            rows = encoded(backbone, task, text)
            (sums, _), seconds = timed(lambda b=backbone, r=rows: answer_nll(b, r))  # type: ignore[misc]
            if number:
                times[name].append(seconds)
                losses[name].append(sums)
    return times, {name: torch.tensor(found, dtype=torch.float64) for name, found in losses.items()}


def answering(backbones: Backbones, task: Task, rounds: int) -> tuple[Times, float]:
    """Times of greedy answers to a batch of prompts, and the share of answers that are the same."""
    rows = encoded(backbones["float32"], task, task.instruction)[:PROMPTS]
    prompts = [row.ids[: row.answer_start] for row in rows]
    answers: dict[NumberFormat, list[str]] = {}

    def answer(name: NumberFormat) -> Seconds:
        answers[name], seconds = timed(
            lambda: generate(backbones[name], prompts, max_new_tokens=NEW_TOKENS, batch_size=PROMPTS)
        )
        return seconds

    times = in_turn(answer, rounds)
    same = [one == other for one, other in zip(*answers.values(), strict=True)]
    return times, sum(same) / len(same)


def training(backbones: Backbones, task: Task, rounds: int, folder: Path) -> Times:
    """Times of optimiser steps of a LoRA on packs."""
    adapters = {name: attach(backbone) for name, backbone in backbones.items()}

    def learn(name: NumberFormat) -> Seconds:
        found = compare_steps(
            backbones[name],
            adapters[name],
            task,
            steps=STEPS,
            rounds=1,
            batch_size=BATCH,
            folder=folder,
            ways=("packed",),
        )
        return found.seconds["packed"][0]

    return in_turn(learn, rounds)


def in_turn(work: Callable[[NumberFormat], Seconds], rounds: int) -> Times:
    pairs = [[work(name) for name in FORMATS] for _ in range(rounds)]
    return {name: list(own) for name, own in zip(FORMATS, zip(*pairs, strict=True), strict=True)}


def encoded(backbone: Backbone, task: Task, text: str) -> list[EncodedRow]:
    return backbone.chat.encode(task, [TrainingRow(text, e.input, e.answer) for e in task.train])


def about_losses(losses: Losses) -> str:
    """Differences relative to float32's losses (absolute below 1 nat), and whether the choice is the same."""
    exact, rough = losses.values()
    off = ((rough - exact) / exact.clamp(min=1.0)).abs()
    sums = exact.sum(1), rough.sum(1)
    means = ((sums[1] - sums[0]) / sums[0]).abs()
    place = int((sums[0] < sums[0][sums[1].argmin()]).sum()) + 1
    return (
        f"{exact.numel()} losses of {exact.mean():.2f} nats on average: differences of rows {off.mean():.1%} "
        f"on average, {off.max():.1%} at most; of wordings {means.mean():.1%} and {means.max():.1%}; "
        f"bfloat16's choice among {len(exact)} wordings is number {place} in float32"
    )


def measure(name: str, options: argparse.Namespace, folder: Path, table: Table) -> list[str]:
    """Measure one task. Adds rows to the table, and returns sentences about what was computed."""
    clock = main_clock()
    backbones = {dtype: load(options, dtype) for dtype in FORMATS}
    suite = "lab" if name in TASKS else "SUPERNI"
    sequence = SequenceConfig(suite=suite, tasks=(name,), train_examples=options.rows)
    (task,) = load_sequence(sequence, options.data)
    texts = candidates(task, "")[: options.wordings]
    scored, losses = scoring(backbones, task, texts)
    answered, same = answering(backbones, task, options.rounds)
    works = {"scoring": scored, "answers": answered}
    works["steps"] = training(backbones, task, options.rounds, folder)
    for work, times in works.items():
        means = [f"{total(own).on(clock) / len(own):.2f}" for own in times.values()]
        table.add_row(name, work, *means, f"{median_ratio(times['float32'], times['bfloat16'], clock):.2f}")
    found = check_packs(backbones["bfloat16"], encoded(backbones["bfloat16"], task, texts[0]), gradients=True)
    return [about_losses(losses), f"{same:.0%} of {PROMPTS} answers are the same", found or "packs pass"]


def load(options: argparse.Namespace, dtype: NumberFormat) -> Backbone:
    config = ModelConfig(
        name=options.model,
        quantization=options.quantization,
        dtype=dtype,
        loader="transformers",
        max_source_tokens=480,
        max_answer_tokens=32,
    )
    return load_backbone(config)


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
    about = ", ".join(f"{key} {value}" for key, value in machine().items())
    console.print(f"{options.model}, quantization {options.quantization}; {about}")
    clock = main_clock()
    table = Table("task", "work", *(f"{name}, {clock} s" for name in FORMATS), "speed-up", box=None)
    with tempfile.TemporaryDirectory() as folder, chatter_to(Path(folder) / "log.txt"):
        for name in options.tasks:
            for sentence in measure(name, options, Path(folder) / "steps", table):
                console.print(f"{name}: {sentence}")
    console.print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.precision")
    add = parser.add_argument
    add("model", metavar="MODEL", help="a folder, a .gguf file, a hub name, smollm2 or lab")
    add("--data", type=Path, metavar="FOLDER", help="folder that holds SUPERNI/")
    add("--tasks", nargs="+", default=["195"], metavar="TASK")
    add("--quantization", choices=["none", "nf4"], default="none")
    add("--rows", type=int, default=16, help="rows that are scored and trained on, 12 at least (16)")
    add("--wordings", type=int, default=21, help="wordings, the original included (21)")
    add("--rounds", type=int, default=5, help="rounds of steps and of answers (5)")
    add("--threads", type=int, default=1, help="with one, CPU time is the measure; else wall time (1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
