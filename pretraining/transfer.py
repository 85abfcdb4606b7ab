"""Transfer between instructions: train under one instruction, test under others.

    python -m pretraining.transfer [MODEL] [--tasks stars oldest] [--cores 0 3 6] [--seed 100]

For every held-out task and each of the numbered core phrases: a new LoRA is trained with an instruction of
that phrase and the settings of recipes/lab.toml, and tested on the task's test examples with the same
instruction and with one of every other core phrase.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import mean

from rich.console import Console
from rich.table import Table

from pretraining.accuracy import answered
from sapo_lite.data.tasks import load_sequence
from sapo_lite.lab.wordings import PHRASINGS, worded
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.load import load_backbone
from sapo_lite.recipe import Recipe, load_recipe
from sapo_lite.types import Task, TrainingRow, TrainingSet


@dataclass(frozen=True)
class Transfer:
    """Accuracy, as a share, of a task trained under the core phrase of number `core`.

    before, own: under the training instruction, before and after training
    others: after training, under an instruction of each other core phrase, by its number
    """

    task: str
    core: int
    before: float
    own: float
    others: dict[int, float]


class Bench:
    """A backbone with one LoRA, which is initialised again for every task and phrase."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.backbone: Backbone = load_backbone(recipe.model)
        method = METHODS[recipe.adapter.method]
        self.adapter: BlockAdapter = method.build(self.backbone, recipe.adapter, tasks=1, checkpointing=False)

    def transfer(self, task: Task, core: int, seed: int) -> Transfer:
        rng = Random(f"{task.id}/{core}/{seed}")
        wordings = [worded(task.id, number, rng) for number in range(len(PHRASINGS[task.id].cores))]
        own = wordings[core]
        self.adapter.open_block(0, seed)
        before = self._accuracy(task, own)
        rows = [TrainingRow(own, example.input, example.answer) for example in task.train]
        with tempfile.TemporaryDirectory() as folder:
            train(
                self.backbone,
                self.adapter,
                [TrainingSet(task, rows)],
                self.recipe.training,
                checkpoints=Path(folder),
                seed=seed,
            )
        after = [self._accuracy(task, wording) for wording in wordings]
        return Transfer(task.id, core, before, after[core], {n: a for n, a in enumerate(after) if n != core})

    def _accuracy(self, task: Task, wording: str) -> float:
        rows = [TrainingRow(wording, example.input, example.answer) for example in task.test]
        return mean(answered(self.backbone, self.backbone.chat.encode(task, rows)))


def table(found: Sequence[Transfer]) -> Table:
    """Accuracies in percent, one line a task, means over the phrases that it was trained with."""
    shown = Table("task", "before", "own wording", "other phrases", "worst of them", box=None)
    for task in [*dict.fromkeys(f.task for f in found), "mean"]:
        rows = [f for f in found if task in (f.task, "mean")]
        columns = [
            mean(f.before for f in rows),
            mean(f.own for f in rows),
            mean(a for f in rows for a in f.others.values()),
            mean(min(f.others.values()) for f in rows),
        ]
        shown.add_row(task, *(f"{100 * column:.1f}" for column in columns))
    return shown


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m pretraining.transfer", description="Learning under one wording, and another."
    )
    parser.add_argument("model", metavar="MODEL", nargs="?", default="lab", help="default: lab")
    parser.add_argument("--tasks", nargs="+", choices=PHRASINGS, default=list(PHRASINGS))
    parser.add_argument("--cores", nargs="+", type=int, default=[0, 3, 6])
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as of sapo-lite run")
    options = parser.parse_args(argv)
    tasks = ",".join(f"'{task}'" for task in options.tasks)
    settings = [f"model.name={options.model}", "model.loader=transformers", "sequence.test_examples=100"]
    recipe = load_recipe("lab", [*settings, f"sequence.tasks=[{tasks}]", *options.settings])
    bench, console, found = Bench(recipe), Console(), list[Transfer]()
    for task in load_sequence(recipe.sequence):
        for core in options.cores:
            found.append(bench.transfer(task, core, options.seed))
            console.print(f"{task.id}, phrase {core}: {found[-1].own:.0%} under its own wording")
    console.print(table(found))


if __name__ == "__main__":
    main()
