"""How long does a command take that needs no model?

    python -m benchmarks.speed.start

CPU seconds of each command in a process of its own, the median of five, and whether it imports torch. Two
small runs of the lab are made first, for the commands that read finished runs (a minute).
"""

import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

REPEATS = 5
SMALL = (
    *("model.loader=transformers", "sequence.tasks=['oldest']", "sequence.train_examples=8"),
    *("sequence.test_examples=4", "paraphrase.count=2", "training.epochs=1"),
)
FLAGS = [flag for setting in SMALL for flag in ("--set", setting)]


def commands(runs: Path) -> list[list[str]]:
    """`runs` holds the finished ones."""
    return [
        ["--help"],
        ["recipes"],
        ["run", "nowhere"],
        ["run", "lab", "--dry-run", "--set", "nonsense=1"],
        ["run", "lab", "--dry-run"],
        ["compare", "lab", "--dry-run"],
        ["compare", str(runs / "fixed"), str(runs / "sapo")],
        run_command(runs, "sapo"),
    ]


def run_command(runs: Path, strategy: str) -> list[str]:
    return [
        "run",
        "lab",
        "--plain",
        "--out",
        str(runs / strategy),
        "--set",
        f"prompt.strategy={strategy}",
        *FLAGS,
    ]


def program(command: list[str]) -> list[str]:
    return [sys.executable, "-m", "sapo_lite", *command]


def cpu_seconds(command: list[str]) -> float:
    """Of one process, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(program(command), capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def brings_torch(command: list[str]) -> bool:
    traced = [sys.executable, "-X", "importtime", "-m", "sapo_lite", *command]
    done = subprocess.run(traced, capture_output=True, text=True, check=False)
    return any(line.rpartition("|")[2].strip() == "torch" for line in done.stderr.splitlines())


def shown(command: list[str], runs: Path) -> str:
    words = [word.replace(str(runs), "RUNS") for word in command]
    if "--plain" in words:
        words = [*words[: words.index("--plain")], "(finished)"]
    return " ".join(words)


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    table = Table("command", "CPU seconds", "imports torch", box=None)
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        for strategy in ("fixed", "sapo"):
            subprocess.run(program(run_command(runs, strategy)), capture_output=True, check=True)
        for command in commands(runs):
            seconds = median(cpu_seconds(command) for _ in range(REPEATS))
            table.add_row(shown(command, runs), f"{seconds:.2f}", "yes" if brings_torch(command) else "no")
    console = Console(soft_wrap=True)
    console.print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    console.print(f"{platform.system()}, Python {platform.python_version()}; median of {REPEATS}")
    console.print(table)


if __name__ == "__main__":
    main()
