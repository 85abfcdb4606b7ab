"""Loading of a backbone: as asked for, or with one clear error."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sapo_lite.errors import BackboneError
from sapo_lite.model import load as loading
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.hub import is_hub_name, locate_model
from sapo_lite.model.load import load_backbone
from sapo_lite.model.weights import loading_info, require_all_weights
from sapo_lite.recipe import AdapterConfig, ModelConfig
from sapo_lite.support.shipped import shipped
from small import ROOT
from tiny import load

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


# --- weights that are the files'


Weights = dict[str, torch.Tensor]


def altered(source: str, target: Path, change: Callable[[Weights], Weights]) -> Path:
    """A copy of a model's folder with other tensors in its file."""
    shutil.copytree(source, target)
    file = target / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return target


def without(name: str) -> Callable[[Weights], Weights]:
    return lambda weights: {key: value for key, value in weights.items() if name not in key}


def with_more(weights: Weights) -> Weights:
    return weights | {"value_head.weight": torch.ones(2)}


def under(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {prefix + key: value for key, value in weights.items()}


LACKING: dict[str, tuple[Callable[[Weights], Weights], str]] = {
    "the head": (without("lm_head"), "found none for lm_head.weight. transformers would"),
    "a layer": (
        without("layers.1"),
        "found none for model.layers.1.input_layernorm.weight, model.layers.1.mlp.down_proj.weight, "
        "model.layers.1.mlp.gate_proj.weight and 6 more. transformers would",
    ),
    "names as torch.compile writes them": (under("_orig_mod."), "(they hold _orig_mod.lm_head.weight, "),
    "names as PEFT writes them": (under("base_model.model."), "(they hold base_model.model.lm_head.weight, "),
    "a shape": (
        lambda weights: weights | {"model.norm.weight": torch.ones(3)},
        "found model.norm.weight of (3,), not (64,). Take config.json and weights from the same model.",
    ),
}


@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("lacking", list(LACKING))
def test_weights_that_would_be_random_are_an_error(
    make_backbone: Callable[..., Backbone], tmp_path: Path, lacking: str, quantization: str
) -> None:
    change, message = LACKING[lacking]
    folder = altered(make_backbone("llama").config.name, tmp_path / "altered", change)
    with pytest.raises(BackboneError) as refusal:
        load(folder, quantization)
    assert str(refusal.value).startswith(f"{folder}: expected ")
    assert message in str(refusal.value)
    # The headers of the files alone say the same.
    with pytest.raises(BackboneError) as predicted:
        require_all_weights(str(folder), loading_info(folder))
    assert str(predicted.value) == str(refusal.value)


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_weights_that_the_model_does_not_use_are_a_notice(
    make_backbone: Callable[..., Backbone], tmp_path: Path, family: str
) -> None:
    source = make_backbone(family)
    assert source.unused_weights is None
    assert require_all_weights("whole", loading_info(Path(source.config.name))) is None
    folder = altered(source.config.name, tmp_path / "more", with_more)
    notice = f"{folder}: its files hold weights that this model does not use: value_head.weight"
    assert load(folder).unused_weights == notice
    assert require_all_weights(str(folder), loading_info(folder)) == notice


def test_a_model_stored_in_four_bits_lacks_nothing(
    make_backbone: Callable[..., Backbone], tmp_path: Path
) -> None:
    stored = make_backbone("llama", "nf4")
    stored.model.save_pretrained(tmp_path / "stored")
    stored.tokenizer.save_pretrained(tmp_path / "stored")
    assert load(tmp_path / "stored", "nf4").unused_weights is None
    assert require_all_weights("stored", loading_info(tmp_path / "stored")) is None
    folder = altered(str(tmp_path / "stored"), tmp_path / "altered", without("model.norm"))
    for info in (lambda: load(folder, "nf4"), lambda: require_all_weights(str(folder), loading_info(folder))):
        with pytest.raises(BackboneError, match=r"found none for model\.norm\.weight"):
            info()


@pytest.mark.slow
def test_no_loader_fills_up_what_is_missing(make_backbone: Callable[..., Backbone], tmp_path: Path) -> None:
    folder = altered(make_backbone("llama").config.name, tmp_path / "altered", without("lm_head"))
    with pytest.raises(BackboneError, match=r"found none for lm_head\.weight"):
        load(folder)
    program = f"import tiny, pathlib; tiny.load(pathlib.Path({str(folder)!r}), loader='unsloth')"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    surroundings = {**os.environ, "PYTHONPATH": paths, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", program], env=surroundings, capture_output=True, text=True)
    assert "BackboneError" in done.stderr
    assert "found none for lm_head.weight" in done.stderr


def damaged(source: str, target: Path, content: Callable[[bytes], bytes]) -> Path:
    shutil.copytree(source, target)
    file = target / "model.safetensors"
    file.write_bytes(content(file.read_bytes()))
    return target


def test_a_pointer_of_git_lfs_is_told_of(make_backbone: Callable[..., Backbone], tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    folder = damaged(make_backbone("qwen3").config.name, tmp_path / "pointer", lambda _: pointer)
    with pytest.raises(BackboneError) as refusal:
        load(folder)
    assert str(refusal.value) == (
        f"{folder / 'model.safetensors'}: expected the file itself, found a git-lfs pointer to it. Run "
        "`git lfs pull` in that folder, or download the model with `hf download`."
    )


@pytest.mark.parametrize("content", [lambda whole: whole[:-1000], lambda _: b"", lambda _: b"no weights" * 9])
def test_a_file_that_is_cut_short_is_told_of(
    make_backbone: Callable[..., Backbone], tmp_path: Path, content: Callable[[bytes], bytes]
) -> None:
    folder = damaged(make_backbone("qwen3").config.name, tmp_path / "short", content)
    with pytest.raises(BackboneError) as refusal:
        load(folder)
    assert "could not be loaded from" in str(refusal.value)
    assert "Its files are damaged or incomplete: download it again." in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("method", ["hqq", "aqlm"])
def test_weights_that_need_another_package_are_told_of(
    make_backbone: Callable[..., Backbone], tmp_path: Path, method: str
) -> None:
    folder = tmp_path / "quantised"
    shutil.copytree(make_backbone("qwen3").config.name, folder)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": method, "bits": 4, "group_size": 128}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BackboneError, match=r"could not be loaded from .*install"):
        load(folder)


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
