"""The number format of a model: chosen by timings, and kept with a run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sapo_lite.data.tasks import load_sequence
from sapo_lite.learning.methods import METHODS
from sapo_lite.model.load import load_backbone
from sapo_lite.model.loss import answer_nll
from sapo_lite.model.precision import (
    FASTER,
    NARROWEST,
    choose_format,
    chosen,
    model_widths,
    slowness,
    speed_of_bfloat16,
    time_products,
)
from sapo_lite.model.selfcheck import check_batches, check_packs
from sapo_lite.recipe import AdapterConfig, ModelConfig, SequenceConfig
from sapo_lite.types import TrainingRow

on_a_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU computes")


def folder_of(path: Path, **config: Any) -> Path:
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_bfloat16_is_chosen_where_products_are_clearly_faster_in_it_and_the_user_is_told() -> None:
    assert chosen(2.13) == (
        "bfloat16",
        "computing in bfloat16: this CPU multiplies matrices 2.1 times as fast as in float32",
    )
    assert chosen(FASTER)[0] == "bfloat16"
    for speed in (FASTER - 0.01, 1.0, 0.11):
        assert chosen(speed) == ("float32", None)


def test_only_a_cpu_that_is_slow_in_bfloat16_is_remarked_upon() -> None:
    assert slowness(1.0) is None
    assert slowness(0.125) == (
        "this CPU is slow in bfloat16, 8.0 times as slow as in float32: stop and add "
        "--set model.dtype=auto, or use a smaller model"
    )


def test_one_trial_that_was_disturbed_does_not_count() -> None:
    assert speed_of_bfloat16([4.0, 4.0, 4.0, 90.0, 4.0], [2.0, 2.0, 40.0, 2.0, 2.0]) == 2.0


def test_products_are_timed_in_both_formats_and_threads_are_as_before() -> None:
    before = torch.get_num_threads()
    float32, bfloat16 = time_products(64, 96)
    assert len(float32) == len(bfloat16) > 1
    assert all(seconds > 0 for seconds in (*float32, *bfloat16))
    assert torch.get_num_threads() == before


def test_auto_is_one_of_the_two_formats(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, hidden_size=NARROWEST, intermediate_size=NARROWEST)
    dtype, notice = choose_format(ModelConfig(name="x"), folder)
    if not torch.cuda.is_available():
        assert (dtype, notice is None) in {("float32", True), ("bfloat16", False)}
    assert dtype in {"float32", "bfloat16"}


@on_a_cpu
def test_a_format_that_is_named_is_taken(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, hidden_size=64, intermediate_size=64)
    assert choose_format(ModelConfig(name="x", dtype="float32"), folder) == ("float32", None)
    dtype, notice = choose_format(ModelConfig(name="x", dtype="bfloat16"), folder)
    assert dtype == "bfloat16"
    assert notice is None or notice.startswith("this CPU is slow in bfloat16")


@on_a_cpu
def test_narrow_models_compute_in_float32() -> None:
    backbone = load_backbone(
        ModelConfig(name="lab", quantization="none", loader="transformers", max_source_tokens=256)
    )
    assert (backbone.config.dtype, backbone.dtype) == ("float32", torch.float32)
    assert backbone.model.dtype is torch.float32
    assert backbone.notice is None


@pytest.mark.parametrize(
    ("config", "widths"),
    [
        ({"hidden_size": 576, "intermediate_size": 1536}, (576, 1536)),
        ({"text_config": {"hidden_size": 640, "intermediate_size": 2048}}, (640, 2048)),
        ({"n_embd": 768, "n_inner": None}, (768, 3072)),
        ({"hidden_size": "wide"}, (1024, 4096)),
        ({}, (1024, 4096)),
    ],
)
def test_widths_are_read_from_the_models_configuration(
    config: dict[str, Any], widths: tuple[int, int], tmp_path: Path
) -> None:
    assert model_widths(folder_of(tmp_path, **config)) == widths


def test_a_configuration_that_cannot_be_read_is_left_to_the_loader(tmp_path: Path) -> None:
    assert model_widths(tmp_path) == (1024, 4096)
    for text in ("{", "[]", '{"text_config": []}'):
        (tmp_path / "config.json").write_text(text)
        assert model_widths(tmp_path) == (1024, 4096)


@on_a_cpu
@pytest.mark.slow
@pytest.mark.real_model
def test_smollm2_in_bfloat16_has_its_losses_up_to_rounding_and_takes_packs(smollm2: Path) -> None:
    sequence = SequenceConfig(suite="lab", tasks=("oldest",), train_examples=4, test_examples=1)
    (task,) = load_sequence(sequence)
    backbone = load_backbone(
        ModelConfig(name=str(smollm2), quantization="none", dtype="float32", loader="transformers")
    )
    METHODS["sequential"].build(backbone, AdapterConfig(dropout=0.0), tasks=1, checkpointing=False)
    rows = backbone.chat.encode(task, [TrainingRow(task.instruction, e.input, e.answer) for e in task.train])
    exact = torch.tensor(answer_nll(backbone, rows)[0])
    for parameter in backbone.model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()
    backbone.dtype = torch.bfloat16
    rough = torch.tensor(answer_nll(backbone, rows)[0])
    assert 0 < ((rough - exact).abs() / exact.clamp(min=1.0)).mean() < 0.05
    assert check_batches(backbone, rows) is None
    assert check_packs(backbone, rows, gradients=True) is None
