"""Small runs whose results are committed, so that a change of the code that should change nothing is seen to.

`python tests/golden_runs.py` runs them all and writes tests/golden/*.json anew. Do so only where a result is
meant to change, and say why in the commit.
"""

import hashlib
import json
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from forked import run_program
from kept import value_of
from small import LAB, SETTINGS, UNCUT, command, small_run

FOLDER = Path(__file__).parent / "golden"
RUNS = {
    "sapo": ["prompt.strategy=sapo", "evaluation.prompts=all", "paraphrase.held_out=1"],
    "fixed": ["prompt.strategy=fixed"],
    "paft-olora": ["prompt.strategy=paft", "adapter.method=olora"],
    "sapo-replay": ["prompt.strategy=sapo", "adapter.method=replay", "adapter.replay_share=0.5"],
    "rewrite": ["prompt.strategy=rewrite", "rewrite.policy=best_of", "rewrite.rollouts=2"],
}
WHOLE = (LAB, UNCUT)
COMPARISON = ["--strategies", "fixed,worst", "--adapters", "lorainc,ewc", "--seeds", "1"]


def machine() -> str:
    """Key of machines with equal bits: processor and version of torch."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else [platform.processor()]
    kept = ("model name", "model\t", "stepping", "flags")
    text = "\n".join(sorted({line for line in lines if line.startswith(kept)}) or lines)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:16]} torch {torch.__version__}"


def found(folder: Path) -> dict[str, Any]:
    """Results of a run: results.json, losses of the candidates, and its adapters. Nothing is watched."""
    results = value_of(folder / "results.json")
    return {
        "results": {key: value for key, value in results.items() if key not in ("watched", "guard")},
        "losses": {
            path.relative_to(folder).as_posix(): [sum(c["nll_sum"]) for c in value_of(path)]
            for path in sorted(folder.glob("*/losses*.json"))
        },
        "adapters": {
            path.relative_to(folder).as_posix(): _adapter(path)
            for path in sorted(folder.glob("*/adapter/*.safetensors"))
        },
    }


def _adapter(path: Path) -> dict[str, Any]:
    tensors = load_file(path)
    return {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "norms": {name: tensor.float().norm().item() for name, tensor in sorted(tensors.items())},
    }


def run_one(name: str, folder: Path) -> dict[str, Any]:
    small_run(folder, *WHOLE, *RUNS[name])
    return found(folder)


def run_comparison(folder: Path) -> dict[str, Any]:
    """A grid of four cells, as a user runs it: the groups and differences of comparison.json."""
    flags = [flag for setting in (*SETTINGS, *WHOLE) for flag in ("--set", setting)]
    done = run_program(command("compare", "lab", *COMPARISON, "--out", folder, "--plain", *flags))
    assert done.returncode == 0, done.stderr
    kinds = value_of(folder / "comparison.json")["kinds"]
    return {kind: content["findings"] for kind, content in kinds.items()}


def programmes() -> dict[str, Callable[[Path], dict[str, Any]]]:
    runs = {name: (lambda folder, name=name: run_one(name, folder)) for name in RUNS}
    return {**runs, "comparison": run_comparison}


def main() -> None:
    for name, make in programmes().items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            content = {"machine": machine(), **make(Path(folder) / name)}
        (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        print(name)


if __name__ == "__main__":
    main()
