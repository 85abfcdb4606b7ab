"""Start: commands that need no model, and a run of the lab, each in a process of its own."""

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.speed.scoring.clock import Seconds
from benchmarks.speed.sheet import Found, Sheet

GOAL = 0.5  # seconds
LAB_GOAL, LOADING_GOAL = 30.0, 4.0
SMALL = (
    *("model.loader=transformers", "sequence.tasks=['oldest']", "sequence.train_examples=8"),
    *("sequence.test_examples=4", "paraphrase.count=2", "training.epochs=1"),
)
_WITHOUT_RUNS = [
    ["--help"],
    ["run", "nowhere"],
    ["run", "lab", "--dry-run", "--set", "nonsense=1"],
    ["run", "lab", "--dry-run"],
]
FLAGS = [flag for setting in SMALL for flag in ("--set", setting)]


@dataclass(frozen=True)
class Start:
    """A command, the medians of its times, and whether it imported torch."""

    command: str
    cost: Seconds
    torch: bool
    goal: float


def measure(rounds: int, *, runs_too: bool) -> Found:
    """runs_too: also a whole run of the lab, and commands that read finished runs: two small ones are made"""
    with tempfile.TemporaryDirectory(prefix="sapo-lite-start-") as folder:
        runs = Path(folder)
        if runs_too:
            for strategy in ("fixed", "sapo"):
                _call(_run_command(runs, strategy), check=True)
        commands = [*_WITHOUT_RUNS, *(_of_runs(runs) if runs_too else [])]
        found = [_start(command, runs, rounds) for command in commands]
        whole = _lab_run(runs / "lab") if runs_too else []
    columns = ["command", "cpu s", "wall s", "goal, s", "imports torch"]
    rows = [_cells(one) for one in [*found, *whole]]
    faults = [f"{one.command} imports torch" for one in found if one.torch]
    content = [{**vars(one), "cost": vars(one.cost)} for one in [*found, *whole]]
    return Found([Sheet("Start of commands, each in a process of its own", columns, rows)], content, faults)


def _cells(one: Start) -> list[str]:
    times = ["" if math.isnan(s) else f"{s:.2f}" for s in (one.cost.cpu, one.cost.wall)]
    return [one.command, *times, f"{one.goal:g}", "yes" if one.torch else "no"]


def _of_runs(runs: Path) -> list[list[str]]:
    """`runs` holds the finished ones."""
    return [
        ["runs", str(runs)],
        ["show", str(runs / "sapo")],
        ["compare", str(runs / "fixed"), str(runs / "sapo")],
        _run_command(runs, "sapo"),
    ]


def _run_command(runs: Path, strategy: str) -> list[str]:
    name = str(runs / strategy)
    return ["run", "lab", "--plain", "--out", name, "--set", f"prompt.strategy={strategy}", *FLAGS]


def _start(command: Sequence[str], runs: Path, rounds: int) -> Start:
    costs = [_call(command) for _ in range(rounds)]
    cost = Seconds(median(each.cpu for each in costs), median(each.wall for each in costs))
    words = [word.replace(str(runs), "RUNS") for word in command]
    if "--plain" in words:
        words = [*words[: words.index("--plain")], "(finished)"]
    return Start(" ".join(words), cost, _imports_torch(command), GOAL)


def _call(command: Sequence[str], *, check: bool = False) -> Seconds:
    """Cost of one process: of its CPU, user and system."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(_program(command), capture_output=True, check=check, env=_environment())
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Seconds(cpu, end - begin)


def _program(command: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "sapo_lite", *command]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _imports_torch(command: Sequence[str]) -> bool:
    traced = [sys.executable, "-X", "importtime", *_program(command)[1:]]
    done = subprocess.run(traced, capture_output=True, text=True, check=False, env=_environment())
    return any(line.rpartition("|")[2].strip() == "torch" for line in done.stderr.splitlines())


def _lab_run(out: Path) -> list[Start]:
    """A whole run of the recipe; and of that, loading the model and checking it, libraries not included."""
    cost = _call(["run", "lab", "--plain", "--out", str(out)], check=True)
    usage = json.loads((out / "usage.json").read_text(encoding="utf-8"))
    loading = Seconds(math.nan, usage["seconds"]["load"])
    return [
        Start("run lab", cost, True, LAB_GOAL),
        Start("run lab: loading the model", loading, True, LOADING_GOAL),
    ]
