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
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

import tiny
from forked import run_program
from sapo_lite.run.folder import read_usage
from small import call, command

# One task of long rows, and a model of many narrow layers: activations are most of the peak, and yet soon
# computed; two optimiser steps.
SHAPE = {
    "vocab_size": 4000,
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 2048,
}
RECIPE = """
    [model]
    name = "./model"
    max_source_tokens = 1000
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


def write_model(folder: Path) -> None:
    tokenizer = tiny.qwen3_tokenizer()
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(**SHAPE, **ends, bos_token_id=None)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.slow
def test_the_peak_of_a_run_is_within_ten_percent_of_the_plan(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    vocabulary = "the river was high and boats lay still under old trees while it rained on".split()
    draw = random.Random(0)
    rows = [
        {"input": " ".join([*draw.choices(vocabulary, k=95), colour]), "output": colour}
        for colour in ("red", "green", "blue", "white", "red") * 2
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    recipe = tmp_path / "own.toml"
    recipe.write_text(textwrap.dedent(RECIPE), encoding="utf-8")
    planned = run_program(command("plan", recipe, "--json", "--offline"), cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    predicted = json.loads(planned.stdout)
    assert predicted["memory"]["100"]["phases"]["training"]["activations"] > 0.4 * predicted["peak"]
    words = command("run", recipe, "--offline", "--plain", "--out", tmp_path / "run")
    done = call(words, cwd=tmp_path, env=os.environ | AT_ONCE)
    assert done.returncode == 0, done.stderr

    peak = read_usage(tmp_path / "run")["peak_memory_gb"]["cpu"]
    assert peak == pytest.approx(predicted["peak"] / 1e9, rel=0.1)
