"""The GPU smoke run: its logic on the CPU with tiny models, and the run itself where there is a GPU."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from benchmarks.gpu.compare import Compare
from benchmarks.gpu.record import Record
from benchmarks.gpu.shapes import SHAPES, write_model
from forked import run_program

ROOT = Path(__file__).resolve().parents[2]
STEPS = "write,load,score,attach,packs,train,train again,generate,policy,save,plain PEFT".split(",")


def run_smoke(folder: Path, *options: str) -> dict[str, Any]:
    """The JSON that the run wrote; it must have passed."""
    written, log = folder / "smoke.json", folder / "log.txt"
    command = [
        sys.executable,
        "-m",
        "benchmarks.gpu.smoke",
        "--json",
        str(written),
        "--log",
        str(log),
        *options,
    ]
    done = run_program(command, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr + log.read_text()[-2000:]
    content: dict[str, Any] = json.loads(written.read_text())
    return content


def assert_all_passed(content: dict[str, Any]) -> None:
    assert content["passed"]
    assert [step["name"] for step in content["steps"]] == STEPS
    assert {step["state"] for step in content["steps"]} == {"done"}
    assert [check for check in content["checks"] if not check["passed"]] == []
    assert {check["step"] for check in content["checks"]} == {*STEPS} - {"write"}
    assert content["machine"]["packages"]["torch"]


@pytest.mark.slow
def test_the_smoke_test_holds_on_the_cpu_in_real_4_bit(tmp_path: Path) -> None:
    options = ["--shape", "tiny", "--dtype", "float32", "--steps", "6", "--micro-batch", "2"]
    content = run_smoke(tmp_path, *options)
    assert_all_passed(content)
    assert content["settings"]["shape"] == "tiny"


@pytest.mark.gpu
@pytest.mark.timeout(900)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA machine")
def test_everything_a_gpu_run_does_holds_on_this_gpu(tmp_path: Path) -> None:
    shape = "qwen3-8b" if torch.cuda.get_device_properties(0).total_memory > 30e9 else "qwen3-4b"
    micro_batch = "8" if shape == "qwen3-8b" else "1"
    assert_all_passed(run_smoke(tmp_path, "--shape", shape, "--micro-batch", micro_batch))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_shapes_have_the_tensors_of_transformers_models(tmp_path: Path, shape: Any) -> None:
    (tmp_path / "config.json").write_text(json.dumps(shape.config()))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path))
    tensors = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if shape.tied:
        del tensors["lm_head.weight"]
    assert dict(shape.tensors()) == tensors
    assert round(shape.size / 2 / sum(p.numel() for p in model.parameters()), 6) == 1


@pytest.mark.slow
def test_a_model_folder_is_written_once_and_never_over_another(tmp_path: Path) -> None:
    assert write_model(tmp_path, SHAPES["tiny"])
    weights = tmp_path / "model-00001.safetensors"
    before = os.stat(weights).st_mtime_ns
    assert not write_model(tmp_path, SHAPES["tiny"])
    assert os.stat(weights).st_mtime_ns == before
    with pytest.raises(FileExistsError, match="holds something else than this shape"):
        write_model(tmp_path, SHAPES["tiny-llama"])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) < SHAPES["tiny"].vocab
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_a_step_that_raises_is_noted_and_leaves_out_those_that_need_it(tmp_path: Path) -> None:
    record = Record(Console(quiet=True), tmp_path / "x.json", shape="tiny")

    def fail() -> None:
        raise ValueError("no such kernel")

    record.run("load", fail)
    record.run("score", lambda: None, needs=["load"])
    record.run("other", lambda: record.check("sum", True, 2, "2"))
    assert [step.state for step in record.steps] == ["failed", "skipped", "done"]
    assert "no such kernel" in record.steps[0].error
    assert record.steps[1].error == "needs: load"
    content = json.loads((tmp_path / "x.json").read_text())
    assert not content["passed"]
    assert content["settings"] == {"shape": "tiny"}
    assert content["checks"] == [
        {"step": "other", "name": "sum", "passed": True, "found": 2, "expected": "2"}
    ]


def test_comparisons_pass_within_rounding_only_and_never_with_nan() -> None:
    record = Record(Console(quiet=True))

    def compare() -> None:
        bf16 = Compare(record, "bfloat16")
        nan = float("nan")
        bf16.same("near", [10.01, 20.0], [10.0, 20.0])
        bf16.same("far", [10.0, 21.0], [10.0, 20.0])
        bf16.same("nan", [10.0, nan], [10.0, 20.0])
        bf16.equal("equal", [1.0, 2.0], [1.0, 2.0])
        bf16.equal("unequal", [1.0, 2.0], [1.0, 2.0001])
        bf16.close("far logits", [torch.tensor([1.0, 0.0])], [torch.tensor([0.0, 1.0])])
        # Next to each other in bfloat16 at this size, and not.
        bf16.likeliest(torch.tensor([0, 1]), torch.tensor([[6.0, 5.97], [6.0, 5.97]]))
        bf16.likeliest(torch.tensor([0, 1]), torch.tensor([[6.0, 5.0], [6.0, 5.0]]))

    record.run("compare", compare)
    assert record.steps[0].error == ""
    assert [check.passed for check in record.checks] == [True, False, False, True, False, False, True, False]
