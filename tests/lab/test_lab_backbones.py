"""The embedded backbones: whole, of like size, and refused when altered."""

import shutil
from pathlib import Path

import pytest

from sapo_lite.errors import BackboneError
from sapo_lite.model import hub as model_files
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.hub import EMBEDDED, locate_model
from sapo_lite.model.load import load_backbone
from sapo_lite.recipe import ModelConfig
from sapo_lite.support.checksums import NAME, verify_checksums, write_checksums
from sapo_lite.support.shipped import shipped

every_backbone = pytest.mark.parametrize("name", EMBEDDED)


def load(name: str) -> Backbone:
    config = ModelConfig(
        name=name,
        quantization="none",
        dtype="float32",
        loader="transformers",
        max_source_tokens=256,
        max_answer_tokens=16,
    )
    return load_backbone(config)


@every_backbone
def test_a_backbone_ships_whole_and_small(name: str) -> None:
    folder = locate_model(name)
    assert folder == shipped("data") / "backbones" / name
    assert (folder / "model.safetensors").stat().st_size <= 16e6
    listed = {line.split()[1] for line in (folder / NAME).read_text(encoding="utf-8").splitlines()}
    assert listed == {path.name for path in folder.iterdir()} - {NAME, "README.md"}


def test_the_backbones_are_a_qwen3_and_a_llama_of_one_size_and_tokenizer() -> None:
    qwen, llama = load("lab"), load("lab-llama")
    assert (qwen.causal_lm.config.model_type, llama.causal_lm.config.model_type) == ("qwen3", "llama")
    sizes = [sum(p.numel() for p in one.causal_lm.parameters()) for one in (qwen, llama)]
    assert abs(sizes[0] - sizes[1]) < 1000
    assert qwen.tokenizer.get_vocab() == llama.tokenizer.get_vocab()


# Checksums


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped data, in the place of the shipped data."""
    shutil.copytree(shipped("data") / "backbones", tmp_path / "backbones")
    monkeypatch.setattr(model_files, "shipped", lambda _: tmp_path)
    return tmp_path / "backbones"


def test_a_damaged_weight_is_refused_with_what_was_expected_and_found(copied: Path) -> None:
    weights = copied / "lab" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(
        BackboneError,
        match=r"model.safetensors is not the file that sapo-lite ships: expected SHA-256 [0-9a-f]{64}, found "
        r"[0-9a-f]{64}\. Restore it \(in a clone: git checkout -- model.safetensors, from its folder; else "
        r"install sapo-lite again\), or copy the folder elsewhere",
    ):
        load("lab")


def test_a_missing_file_is_named(copied: Path) -> None:
    (copied / "lab-llama" / "chat_template.jinja").unlink()
    with pytest.raises(
        BackboneError, match=r"chat_template.jinja is not .* expected SHA-256 .*, found no such file"
    ):
        locate_model("lab-llama")


def test_a_model_in_a_folder_of_ones_own_needs_no_checksums(copied: Path) -> None:
    (copied / "lab" / NAME).unlink()
    assert locate_model(str(copied / "lab")) == copied / "lab"


def test_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"abc")
    (tmp_path / "a").write_bytes(b"")
    write_checksums(tmp_path, ["b", "a"])
    assert (tmp_path / NAME).read_text(encoding="utf-8") == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n"
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  b\n"
    )
    verify_checksums(tmp_path)
