"""Speed on a CPU: sapo-lite beside its peers and beside the machine's limit.

    python -m benchmarks.speed --quick
    python -m benchmarks.speed --data FOLDER --model smollm2

Training, scoring, testing and start, in alternating rounds in one process with one thread; ratios are medians
over rounds, of CPU time. The losses and answers of peers and of sapo-lite are compared: where they differ by
more than rounding, the exit status is 1. FOLDER holds SUPERNI/, whose tasks 195, 1310 and 224 have short,
medium and long inputs; with --quick, or without FOLDER, tasks of the lab are taken. docs/performance.md has
figures and explains them.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.speed.bench import QUICK, Bench, Sizes, load_tasks
from benchmarks.speed.models import MODELS, make_backbone
from benchmarks.speed.parts import evaluation, scoring, start, training
from benchmarks.speed.parts.scoring import Race
from benchmarks.speed.scoring.clock import machine, main_clock
from benchmarks.speed.sheet import Found, Sheet
from sapo_lite.support.library_logs import chatter_to

PARTS = ("scoring", "evaluation", "training", "start")
PUBLISHED, LAB = ("195", "1310", "224"), ("oldest", "stars")


class Report:
    """Shows what parts have found as it comes, and keeps it."""

    def __init__(self, markdown: bool) -> None:
        # Made before the chatter of libraries is sent elsewhere.
        self._console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False)
        self._markdown = markdown
        self.content: dict[str, Any] = {}
        self.faults: list[str] = []

    def say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)

    def show(self, sheet: Sheet) -> None:
        if self._markdown:
            self.say(f"\n{sheet.markdown()}")
        else:
            self._console.print(sheet.for_terminal())

    def add(self, name: str, found: Found) -> None:
        self.content[name] = found.content
        self.faults += found.faults
        for sheet in found.sheets:
            self.show(sheet)
        for note in [*found.notes, *(f"DIFFERENT: {fault}" for fault in found.faults)]:
            self.say(note)


def main() -> int:
    options = _options()
    torch.set_num_threads(1)
    report = Report(options.markdown)
    temporary = tempfile.TemporaryDirectory(prefix="sapo-lite-speed-")
    with temporary as folder, chatter_to(Path(folder) / "log.txt"):
        run(options, Path(folder), report)
    if options.json:
        options.json.write_text(json.dumps(report.content, indent=2) + "\n", encoding="utf-8")
    return 1 if report.faults else 0


def run(options: argparse.Namespace, folder: Path, report: Report) -> None:
    """Measure the chosen parts."""
    chosen = options.only
    report.content["machine"] = machine()
    report.say(", ".join(f"{key} {value}" for key, value in machine().items()))
    if set(chosen) != {"start"}:
        _with_model(_bench(options, folder, report), chosen, report)
    if "start" in chosen:
        rounds = 1 if options.quick else options.rounds
        report.add("start", start.measure(rounds, runs_too=not options.quick))


def _with_model(bench: Bench, chosen: Sequence[str], report: Report) -> None:
    """Scoring and testing come first: training puts a LoRA on the model."""
    races: list[Race] = []
    trained: dict[str, float] = {}
    if "scoring" in chosen:
        found, races = scoring.measure(bench)
        report.add("scoring", found)
    if "evaluation" in chosen:
        report.add("evaluation", evaluation.measure(bench))
    if "training" in chosen:
        found, trained = training.measure(bench)
        report.add("training", found)
    if races:
        report.show(scoring.race_sheet(races, trained, bench.clock))


def _bench(options: argparse.Namespace, folder: Path, report: Report) -> Bench:
    backbone = make_backbone(options.model, options.dtype)
    clock = main_clock()
    report.say(f"{options.model} in {options.dtype}")
    sizes = QUICK if options.quick else Sizes(options.rounds)
    given = {name: getattr(options, name) for name in ("rows", "examples", "raced", "prompts")}
    sizes = replace(sizes, **{name: value for name, value in given.items() if value is not None})
    names = options.tasks or (PUBLISHED if options.data and not options.quick else LAB)
    report.content |= {"model": options.model, "dtype": options.dtype, "sizes": vars(sizes)}
    return Bench(backbone, load_tasks(backbone, names, sizes, options.data), sizes, clock, folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="tiny sizes on tasks of the lab: whether everything runs")
    add("--data", type=Path, metavar="FOLDER", help="folder that holds SUPERNI/")
    add("--model", choices=MODELS, default="lab")
    add("--dtype", choices=["float32", "bfloat16"], default="float32")
    add("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    add("--tasks", nargs="+", metavar="TASK", help="instead of 195, 1310 and 224")
    add("--rounds", type=int, default=5, help="of which ratios are the median (5)")
    add("--rows", type=int, help="that are trained on in a round (32)")
    add("--examples", type=int, help="that are scored in a round (48)")
    add("--raced", type=int, help="examples of a race; 0: no race (250)")
    add("--prompts", type=int, help="that are answered in a round (32)")
    add("--markdown", action="store_true", help="tables as Markdown")
    add("--json", type=Path, metavar="FILE", help="where to write everything that was measured")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
