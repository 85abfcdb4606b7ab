"""Runs record how large the update of every stage is, and with a switch the gradient before it."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kept import put, value_of
from sapo_lite.run.results import Results, read_results
from small import small_run

STAGES = {"oldest": "01-oldest", "odd_one_out": "02-odd_one_out"}
FIXED = ("prompt.strategy=fixed", "evaluation.prompts=original")
GRADIENT = "training.gradient_norm=true"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    out = tmp_path_factory.mktemp("runs") / "measured"
    return out, small_run(out, *FIXED, GRADIENT)[0]


def products(run: Path, stage: str, rank: int, block: int) -> dict[str, float]:
    """Norm of scale * B A of one block of a saved adapter, by layer; the scale is 4."""
    tensors = load_file(run / stage / "adapter/adapter_model.safetensors")
    own, found = slice(block * rank, (block + 1) * rank), {}
    for name, a in tensors.items():
        if name.endswith("lora_A.weight"):
            b = tensors[name.replace("lora_A", "lora_B")]
            layer = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            found[layer] = torch.linalg.matrix_norm(4 * b[:, own] @ a[own]).item()
    return found


@pytest.mark.slow
def test_the_update_of_a_lesson_is_the_norm_of_its_block_in_the_saved_adapter(
    measured: tuple[Path, Results],
) -> None:
    run, results = measured
    assert list(results.updates) == list(STAGES)
    for block, (lesson, stage) in enumerate(STAGES.items()):
        found = results.updates[lesson]
        assert found.layers == pytest.approx(products(run, stage, 8, block), rel=1e-4)
        assert found.update == pytest.approx(math.hypot(*found.layers.values()))
        assert found.update > 0
        assert found.gradient_norm is not None
        assert found.gradient_norm > 0
        assert value_of(run / stage / "gradient.json") == found.gradient_norm


@pytest.mark.slow
def test_measuring_the_gradient_changes_nothing_else(measured: tuple[Path, Results], tmp_path: Path) -> None:
    run, with_it = measured
    without, _ = small_run(tmp_path, *FIXED)
    for stage in STAGES.values():
        name = f"{stage}/adapter/adapter_model.safetensors"
        assert (run / name).read_bytes() == (tmp_path / name).read_bytes()
    assert without.matrices == with_it.matrices
    for lesson, found in without.updates.items():
        assert found.gradient_norm is None
        assert found.update == with_it.updates[lesson].update


@pytest.mark.slow
def test_tasks_that_are_learned_together_have_one_update(tmp_path: Path) -> None:
    results, _ = small_run(tmp_path, *FIXED, GRADIENT, "adapter.method=joint")
    (found,) = results.updates.values()
    assert list(results.updates) == results.lessons == ["joint"]
    assert found.layers == pytest.approx(products(tmp_path, "01-joint", 8, 0), rel=1e-4)
    assert found.gradient_norm is not None


@pytest.mark.slow
def test_a_stage_that_an_earlier_version_finished_has_no_update(tmp_path: Path) -> None:
    small_run(tmp_path, *FIXED)
    record = tmp_path / "01-oldest/stage.json"
    content = value_of(record)
    del content["update"]
    put(record, content)
    (tmp_path / "results.json").unlink()
    results, _ = small_run(tmp_path, *FIXED)
    assert list(results.updates) == ["odd_one_out"]
    assert read_results(tmp_path) == results


@pytest.mark.slow
def test_a_run_that_trains_nothing_has_no_update(tmp_path: Path) -> None:
    results, _ = small_run(tmp_path, *FIXED, "adapter.method=zero")
    assert results.updates == {}
