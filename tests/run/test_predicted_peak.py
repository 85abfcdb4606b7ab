"""The peak of a whole run on this CPU is the one that `plan` predicts.

Freed memory goes back to the system at once here. By default, the C library keeps some of it, and the peak
of a run is higher by what lies unused (docs/gpus.md).
"""

import json
import os
import random
import textwrap
from pathlib import Path

import pytest

from sapo_lite.run.folder import read_usage
from small import call, command

pytestmark = [pytest.mark.slow, pytest.mark.real_model]

# One task of long rows, so that activations are most of the peak; two optimiser steps.
RECIPE = """
    [model]
    name = "smollm2"
    quantization = "none"
    dtype = "float32"
    loader = "transformers"
    [[sequence.task]]
    name = "colours"
    file = "rows.jsonl"
    test = 0.1
    instruction = "Say which colour the text names first."
    [paraphrase]
    backend = "builtin"
    [prompt]
    strategy = "fixed"
    [adapter]
    dropout = 0.0
    [training]
    epochs = 1
    batch_size = 8
    gradient_checkpointing = false
    [evaluation]
    prompts = "original"
    max_new_tokens = 3
    batch_size = 2
"""


AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def test_the_peak_of_a_run_is_within_ten_percent_of_the_plan(smollm2: Path, tmp_path: Path) -> None:
    words = "the river was high and boats lay still under old trees while it rained on".split()
    draw = random.Random(0)
    rows = [
        {"input": " ".join([*draw.choices(words, k=150), colour]), "output": colour}
        for colour in ("red", "green", "blue", "white") * 3
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    recipe = tmp_path / "own.toml"
    recipe.write_text(textwrap.dedent(RECIPE), encoding="utf-8")
    planned = call(command("plan", recipe, "--json", "--offline"))
    assert planned.returncode == 0, planned.stderr
    predicted = json.loads(planned.stdout)
    assert predicted["memory"]["100"]["phases"]["training"]["activations"] > 0.4 * predicted["peak"]
    done = call(
        command("run", recipe, "--offline", "--plain", "--out", tmp_path / "run"), env=os.environ | AT_ONCE
    )
    assert done.returncode == 0, done.stderr
    peak = read_usage(tmp_path / "run")["peak_memory_gb"]["cpu"]
    assert peak == pytest.approx(predicted["peak"] / 1e9, rel=0.1)
