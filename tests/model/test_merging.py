"""Merged weights: names, shapes and values are those of PEFT's own merge, saved by transformers."""

import json
from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from architectures import save
from sapo_lite.errors import BackboneError
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.load import load_backbone
from sapo_lite.model.merging import merge_plan, write_merged
from sapo_lite.recipe import AdapterConfig, ModelConfig

pytestmark = pytest.mark.slow

# Tied and own heads, fused layers, GPT-2's transposed ones, experts that files hold apart, buffers, states.
NAMES = (
    "qwen3",
    "llama",
    "gemma2",
    "phi3",
    "gpt2",
    "gpt-neox",
    "bloom",
    "mixtral",
    "qwen3-moe",
    "gpt-oss",
    "mamba",
)


def adapted(folder: Path, quantization: str = "none", dtype: str = "float32") -> Backbone:
    """The model of a folder with a LoRA of random weights."""
    backbone = load_backbone(
        ModelConfig(
            name=str(folder),
            quantization=quantization,  # type: ignore[arg-type]
            dtype=dtype,  # type: ignore[arg-type]
            loader="transformers",
            max_source_tokens=64,
            max_answer_tokens=8,
        )
    )
    backbone.attach_lora(AdapterConfig(), rank=4, alpha=16, checkpointing=False)
    torch.manual_seed(1)
    for name, parameter in backbone.model.named_parameters():
        if ".lora_" in name:
            parameter.data = 0.1 * torch.randn_like(parameter)
    return backbone


def merged(backbone: Backbone, folder: Path) -> dict[str, Tensor]:
    folder.mkdir()
    write_merged(backbone, folder)
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("name", NAMES)
def test_merged_weights_are_those_of_peft_and_transformers(name: str, tmp_path: Path) -> None:
    backbone = adapted(save(name, tmp_path / "base"))
    found = merged(backbone, tmp_path / "merged")
    backbone.model.merge_and_unload().half().save_pretrained(tmp_path / "expected")
    expected = load_file(tmp_path / "expected/model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    held = load_file(tmp_path / "base/model.safetensors")
    changed = [key for key in held if not torch.equal(held[key].half(), found[key])]
    assert 0 < len(changed) < len(held)


def test_a_model_in_4_bits_is_merged_from_what_it_computes_with(tmp_path: Path) -> None:
    folder = save("qwen3", tmp_path / "base")
    backbone = adapted(folder, "nf4")
    found = merged(backbone, tmp_path / "merged")
    held = load_file(folder / "model.safetensors")
    place = "model.layers.0.self_attn.q_proj"
    packed, state = quantize_4bit(held[f"{place}.weight"].float(), quant_type="nf4", compress_statistics=True)
    layer = backbone.causal_lm.get_submodule(place)
    delta = layer.lora_B["default"].weight @ layer.lora_A["default"].weight * 4
    expected = dequantize_4bit(packed, state) + delta
    assert torch.equal(found[f"{place}.weight"], expected.half())
    assert found.keys() == held.keys()
    assert torch.equal(found["model.embed_tokens.weight"], held["model.embed_tokens.weight"].half())


def test_a_merged_model_loads_with_all_its_weights_and_without_quantization(tmp_path: Path) -> None:
    backbone = adapted(save("qwen3", tmp_path / "base"), "nf4")
    merged(backbone, tmp_path / "merged")
    model, info = AutoModelForCausalLM.from_pretrained(
        tmp_path / "merged", output_loading_info=True, dtype=torch.float32
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        found, expected = model.eval()(ids).logits, backbone.model.eval()(ids).logits
    assert (found - expected).abs().max() < 0.01 * expected.std()
    config = json.loads((tmp_path / "merged/config.json").read_text())
    assert (config["dtype"], config.get("quantization_config")) == ("float16", None)


def test_a_model_that_is_stored_in_4_bits_is_merged_too(tmp_path: Path) -> None:
    backbone = adapted(save("qwen3", tmp_path / "base"), "nf4")
    expected = merged(backbone, tmp_path / "expected")
    plain = load_backbone(backbone.config)
    plain.model.save_pretrained(tmp_path / "packed")
    plain.tokenizer.save_pretrained(tmp_path / "packed")
    assert json.loads((tmp_path / "packed/config.json").read_text())["quantization_config"]["load_in_4bit"]
    found = merged(adapted(tmp_path / "packed", "nf4"), tmp_path / "merged")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_model_in_bfloat16_stays_in_it(tmp_path: Path) -> None:
    found = merged(adapted(save("llama", tmp_path / "base"), dtype="bfloat16"), tmp_path / "merged")
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}


def test_a_weight_that_does_not_fit_16_bits_is_refused(tmp_path: Path) -> None:
    backbone = adapted(save("llama", tmp_path / "base"))
    backbone.causal_lm.model.norm.weight.data.fill_(1e6)
    with pytest.raises(BackboneError, match=r"model.norm.weight: expected weights that fit float16"):
        merged(backbone, tmp_path / "merged")


def test_the_size_is_known_before_anything_is_written(tmp_path: Path) -> None:
    backbone = adapted(save("qwen3", tmp_path / "base"), "nf4")
    plan = merge_plan(backbone)
    found = merged(backbone, tmp_path / "merged")
    assert plan.size == plan.largest == sum(2 * tensor.numel() for tensor in found.values())
