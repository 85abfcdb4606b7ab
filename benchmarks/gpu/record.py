"""Record of a smoke run: steps with time and memory, checks with their numbers, as tables and JSON."""

import json
import platform
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import psutil
import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PACKAGES = """
    sapo-lite torch triton transformers tokenizers safetensors trl peft datasets accelerate bitsandbytes
    xformers flash-attn unsloth unsloth_zoo
""".split()


@dataclass
class Step:
    """One step. Memory in bytes: on a GPU the peaks of this step alone, and resident memory after it."""

    name: str
    state: Literal["done", "failed", "skipped"] = "done"
    seconds: float = 0.0
    memory: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Check:
    """A condition, with the found and the expected value."""

    step: str
    name: str
    passed: bool
    found: Any
    expected: str


class Record:
    """Runs steps one after another. A failed step is recorded, and the steps that need it are skipped."""

    def __init__(self, console: Console, path: Path | None = None, **settings: Any) -> None:
        """After every step everything is written to `path` as JSON, with the settings and the machine."""
        self.steps: list[Step] = []
        self.checks: list[Check] = []
        self._console = console
        self._path = path
        self._settings = settings

    def run(self, name: str, work: Callable[[], None], needs: Sequence[str] = ()) -> None:
        """Do the work as the step `name`, if all steps it needs are done."""
        missing = set(needs) - {step.name for step in self.steps if step.state == "done"}
        step = Step(name)
        self.steps.append(step)
        if missing:
            step.state, step.error = "skipped", f"needs: {', '.join(sorted(missing))}"
        else:
            start = time.perf_counter()
            try:
                _forget_peaks()
                work()
                step.memory = {**memory(), **step.memory}
            except Exception:
                step.state, step.error = "failed", traceback.format_exc()
            step.seconds = time.perf_counter() - start
        self._console.print(f"{name}: {step.state}, {step.seconds:.1f} s", highlight=False)
        self._write()

    def note(self, name: str, value: Any) -> None:
        """Record a measurement of the running step."""
        self.steps[-1].numbers[name] = value

    def note_memory(self, sizes: dict[str, int]) -> None:
        """Record the memory in bytes, by kind, of another process of this step."""
        self.steps[-1].memory.update(sizes)

    def check(self, name: str, passed: bool, found: Any, expected: str) -> None:
        """Record a check of the running step. A failed check does not stop the run."""
        self.checks.append(Check(self.steps[-1].name, name, bool(passed), found, expected))

    @property
    def passed(self) -> bool:
        return all(step.state == "done" for step in self.steps) and all(check.passed for check in self.checks)

    def _write(self) -> None:
        if self._path is None:
            return
        content = {
            "machine": machine(),
            "settings": self._settings,
            "passed": self.passed,
            "steps": [asdict(step) for step in self.steps],
            "checks": [asdict(check) for check in self.checks],
        }
        self._path.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")

    def show(self) -> None:
        """Print the machine, both tables, and all failures in full."""
        facts = {**machine(), **machine()["packages"]}
        self._console.print(
            ", ".join(f"{k} {v}" for k, v in facts.items() if k != "packages"), highlight=False
        )
        self._console.print(self._steps_table(), self._checks_table())
        for step in self.steps:
            if step.state == "failed":
                self._console.print(Text(f"{step.name} failed:\n{step.error}"))
        held = sum(check.passed for check in self.checks)
        total = sum(step.seconds for step in self.steps)
        self._console.print(f"{held} of {len(self.checks)} checks passed in {total:.0f} s", highlight=False)

    def _steps_table(self) -> Table:
        kinds = list(dict.fromkeys(kind for step in self.steps for kind in step.memory))
        table = Table("step", "", "seconds", *(f"{kind}, GB" for kind in kinds), "measured", title="Steps")
        for step in self.steps:
            memory = [f"{step.memory[k] / 1e9:.2f}" if k in step.memory else "" for k in kinds]
            numbers = "\n".join(f"{key} {_short(value)}" for key, value in step.numbers.items())
            table.add_row(step.name, step.state, f"{step.seconds:.1f}", *memory, Text(numbers))
        return table

    def _checks_table(self) -> Table:
        table = Table("step", "check", "", "found", "expected", title="Checks")
        for check in self.checks:
            verdict = Text("pass", "green") if check.passed else Text("FAIL", "bold red")
            table.add_row(check.step, check.name, verdict, Text(_short(check.found)), Text(check.expected))
        return table


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_short(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _forget_peaks() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()


def memory() -> dict[str, int]:
    """Memory of this process in bytes, by kind: peaks on a GPU, and what is resident now."""
    resident = {"resident": psutil.Process().memory_info().rss}
    if not torch.cuda.is_initialized():
        return resident
    torch.cuda.synchronize()
    allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    return {"peak allocated": allocated, "peak reserved": reserved, **resident}


def machine() -> dict[str, Any]:
    """The machine and the versions of a result.

    The GPU is asked only after the model is loaded: Unsloth sets up CUDA's allocator when it is
    imported, which must be before the first use of CUDA.
    """
    versions = {}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    facts: dict[str, Any] = {"device": platform.machine()}
    if torch.cuda.is_initialized():
        gpu = torch.cuda.get_device_properties(0)
        capability, memory = f"{gpu.major}.{gpu.minor}", f"{gpu.total_memory / 1e9:.0f} GB"
        facts = {"device": gpu.name, "capability": capability, "memory": memory, "cuda": torch.version.cuda}
    return {**facts, "system": platform.platform(), "python": platform.python_version(), "packages": versions}
