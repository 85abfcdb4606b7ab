"""Check of 4-bit layers, in a process of its own.

Importing bitsandbytes takes seconds, in which other checks go on. And where its shared library does not fit
the machine, the process may end without an error.
"""

import contextlib
import gc
import json
import subprocess
import sys
from dataclasses import asdict

from sapo_lite.run.doctor.check import Check, failed, ok

NAME = "bitsandbytes"
_FIX = 'Run `python -m bitsandbytes` to see why; model.quantization = "none" does without it.'
# Largest relative error of a product with 4-bit weights; NF4 of normal weights has about 0.1.
_LARGEST_ERROR = 0.25
_LIMIT = 120  # seconds


def start() -> "subprocess.Popen[str]":
    """Start the check; `result` waits for it."""
    command = [sys.executable, "-m", "sapo_lite.run.doctor.four_bit"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process: "subprocess.Popen[str]") -> Check:
    try:
        stdout, stderr = process.communicate(timeout=_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Check(NAME, "fail", f"no result after {_LIMIT} s", _FIX)
    if process.returncode:
        reason = (stderr.strip().splitlines() or [f"its process ended with {process.returncode}"])[-1]
        return Check(NAME, "fail", reason[:200], _FIX)
    return Check(**json.loads(stdout.splitlines()[-1]))


def four_bit() -> Check:
    """A layer is quantised to 4 bits, and multiplied with."""
    try:
        import torch
        from bitsandbytes.nn import Linear4bit

        device = "cuda" if torch.cuda.is_available() else "cpu"
        generator = torch.Generator().manual_seed(0)
        weight, states = (torch.randn(rows, 256, generator=generator) for rows in (128, 8))
        layer = Linear4bit(256, 128, bias=False, compute_dtype=torch.float32, quant_type="nf4")
        layer.weight.data = weight.clone()
        layer = layer.to(device)
        with torch.no_grad():
            found = layer(states.to(device)).float().cpu()
        exact = states @ weight.T
        error = ((found - exact).norm() / exact.norm()).item()
    except Exception as error_found:  # of its kernels or its shared library
        return failed(NAME, error_found, _FIX)
    if not error < _LARGEST_ERROR:
        return Check(NAME, "fail", f"a product in 4 bits is off by {100 * error:.0f} %", _FIX)
    return ok(NAME, f"a layer of 4 bits on {device}: products are off by {100 * error:.0f} %")


def _without_compiler() -> None:
    """Keep bitsandbytes from compiling: as it is imported, it would load torch's compiler, for seconds."""
    import torch

    torch.compile = lambda *_, **__: lambda function: function  # type: ignore[assignment]


if __name__ == "__main__":
    gc.disable()  # among a million objects of imported modules
    with contextlib.suppress(Exception):  # the check says what is wrong with torch
        _without_compiler()
    print(json.dumps(asdict(four_bit())))
