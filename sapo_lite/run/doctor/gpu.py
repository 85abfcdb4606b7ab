"""Smoke runs on the GPU: two tasks of the lab, learned in 4 bits by each loader in a process of its own."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from sapo_lite.run.doctor.check import Check, ok

LOADERS = ("transformers", "unsloth")
# The whole way of a run: load, check, score, choose, train, save, answer. In 4 bits, as on small cards.
SETTINGS = (
    "model.quantization=nf4",
    "model.dtype=auto",
    "sequence.tasks=['stars','mood']",
    "sequence.train_examples=32",
    "sequence.test_examples=8",
    "scoring.score_examples=16",
    "paraphrase.count=3",
    "training.epochs=2",
    "training.batch_size=16",
    "training.micro_batch_size=8",
    "evaluation.max_new_tokens=8",
)
_LIMIT = 600  # seconds; the first run compiles kernels


def gpu() -> Iterator[Check]:
    """One check for each loader. Needs a CUDA GPU."""
    import torch

    if not torch.cuda.is_available():
        fix = "Leave --gpu out, or see the check of CUDA."
        yield Check("GPU run", "fail", "no CUDA GPU that torch can use", fix)
        return
    for loader in LOADERS:
        if loader != "unsloth" or find_spec("unsloth") is not None:
            yield smoke_run(loader)


def smoke_run(loader: str) -> Check:
    """A small run of the lab with this loader, on the GPU or, without one, on the CPU."""
    name = f"run with {loader}"
    settings = [word for setting in (*SETTINGS, f"model.loader={loader}") for word in ("--set", setting)]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="sapo-lite-doctor-") as folder:
        out = Path(folder, "run")
        command = [sys.executable, "-m", "sapo_lite", "run", "lab", "--plain", "--out", str(out), *settings]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
        except subprocess.TimeoutExpired:
            return Check(name, "fail", f"not finished after {_LIMIT} s", "Try again: kernels are kept.")
    seconds = time.perf_counter() - start
    lines = done.stderr.strip().splitlines()
    if done.returncode:
        fix = f"Run it to see more: sapo-lite run lab --set model.loader={loader}"
        return Check(name, "fail", lines[-1] if lines else f"exit status {done.returncode}", fix)
    if slower := [line for line in lines if "slower" in line]:
        fix = "Runs are right, and slower than they could be."
        return Check(name, "warn", slower[0], fix)
    return ok(name, f"two tasks were learned and tested in {seconds:.0f} s")
