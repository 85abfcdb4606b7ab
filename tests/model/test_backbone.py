"""Loading: what is asked for is what is loaded, or one clear error."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sapo_lite.errors import BackboneError
from sapo_lite.model import load as loading
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.hub import is_hub_name, locate_model
from sapo_lite.model.load import load_backbone
from sapo_lite.recipe import AdapterConfig, ModelConfig
from sapo_lite.support.shipped import shipped

LAB = {"name": "lab", "quantization": "none", "dtype": "float32", "loader": "transformers"}


def lab(**settings: object) -> ModelConfig:
    return ModelConfig.model_validate({**LAB, "max_source_tokens": 256, "max_answer_tokens": 16, **settings})


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_nf4_is_real_everywhere_but_in_the_head(family: str, make_backbone: Callable[..., Backbone]) -> None:
    import bitsandbytes

    linear = {n: m for n, m in make_backbone(family, "nf4").model.named_modules() if isinstance(m, nn.Linear)}
    quantised = {n for n, m in linear.items() if isinstance(m, bitsandbytes.nn.Linear4bit)}
    assert set(linear) - quantised == {"lm_head"}
    assert all(linear[n].weight.dtype is torch.uint8 for n in quantised)


def test_a_loaded_backbone_is_frozen(make_backbone: Callable[..., Backbone]) -> None:
    assert not any(p.requires_grad for p in make_backbone("qwen3").model.parameters())


def test_lengths_beyond_the_models_own_are_refused() -> None:
    with pytest.raises(BackboneError) as refusal:
        load_backbone(lab(max_source_tokens=500, max_answer_tokens=64))
    assert str(refusal.value) == (
        "model.max_source_tokens + model.max_answer_tokens is 564, but lab reads 512 tokens at most. "
        "Lower them."
    )


def test_a_loader_that_silently_loads_16_bits_is_found_out() -> None:
    fake_model = SimpleNamespace(is_loaded_in_4bit=False)
    with pytest.raises(BackboneError, match="was loaded in 16 bits though 4 were asked for"):
        loading._require_what_was_asked(fake_model, lab(quantization="nf4"))


def test_a_folder_without_weights_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(BackboneError, match=r"could not be loaded from .*: "):
        load_backbone(lab(name=str(tmp_path)))


def test_lab_is_the_embedded_backbone() -> None:
    assert locate_model("lab") == shipped("data") / "backbones" / "lab"


def test_a_folder_that_is_here_is_no_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_hub_name("Qwen/Qwen3-8B")
    (tmp_path / "Qwen" / "Qwen3-8B").mkdir(parents=True)
    assert not is_hub_name("Qwen/Qwen3-8B")
    assert not is_hub_name("./Qwen3-8B")


def test_an_adapter_names_a_hub_model_by_its_name(make_backbone: Callable[..., Backbone]) -> None:
    backbone = make_backbone("qwen3")
    backbone.config = lab(name="Qwen/Qwen3-8B")
    backbone.attach_lora(AdapterConfig(), rank=8, alpha=32, checkpointing=False)
    assert backbone.model.peft_config["default"].base_model_name_or_path == "Qwen/Qwen3-8B"


def test_bfloat16_without_a_gpu_is_remarked_upon(make_backbone: Callable[..., Backbone]) -> None:
    backbone = make_backbone("qwen3")
    assert backbone.notice is None
    backbone.dtype = torch.bfloat16
    assert "--set model.dtype=float32" in (backbone.notice or "")
