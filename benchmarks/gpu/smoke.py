"""GPU smoke test: all steps of a run, once, in a few minutes, offline, on random weights of a real shape.

    python -m benchmarks.gpu.smoke --json smoke.json

README.md beside this file lists the measurements and checks. The exit status is 1 if anything failed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import psutil
import torch
from rich.console import Console

from benchmarks.gpu.record import Record
from benchmarks.gpu.shapes import SHAPES, Shape
from benchmarks.gpu.steps import Smoke
from sapo_lite.support.library_logs import chatter_to


def main() -> int:
    options = _options()
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 140)
    console.print(f"{options.shape} in {options.dtype}", highlight=False)
    record = Record(console, options.json, **vars(options))
    shape = SHAPES[options.shape]
    with tempfile.TemporaryDirectory(prefix="sapo-lite-smoke-", dir=_roomy_folder(shape)) as temporary:
        work = Path(temporary)
        with chatter_to(options.log or work / "log.txt"):
            Smoke(options, (options.folder or work / "model").absolute(), work, record).run()
        record.show()
    if options.json:
        console.print(f"Written to {options.json}", highlight=False)
    return 0 if record.passed else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.smoke", description=__doc__)
    add = parser.add_argument
    gpu = torch.cuda.is_available()
    add("--shape", choices=list(SHAPES), default="qwen3-8b" if gpu else "tiny")
    add("--loader", choices=["unsloth", "transformers"], default="unsloth", help="(default unsloth)")
    add("--dtype", choices=["bfloat16", "float32"], default="bfloat16" if gpu else "float32")
    add("--micro-batch", type=int, default=8, metavar="ROWS", help="rows a training step (default 8)")
    add("--steps", type=int, default=20, help="training steps on the first task (default 20)")
    add("--folder", type=Path, help="keep the model here, or find it here from an earlier run")
    add("--json", type=Path, metavar="FILE", help="where to write everything that was seen")
    add("--log", type=Path, metavar="FILE", help="where to write what the libraries print")
    return parser.parse_args()


def _roomy_folder(shape: Shape) -> str | None:
    """Shared memory, if it has room for twice the model; else None, the default temporary folder."""
    memory = Path("/dev/shm")
    if memory.is_dir() and psutil.disk_usage(str(memory)).free > 2 * shape.size:
        return str(memory) if psutil.virtual_memory().available > 2 * shape.size else None
    return None


if __name__ == "__main__":
    sys.exit(main())
