"""Inputs of a run besides its recipe and data: identified by content, and bound to the run folder."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from kept import put
from sapo_lite.errors import RunFolderError
from sapo_lite.model.identity import model_identity
from sapo_lite.prompts.sources.backbone import OwnModel
from sapo_lite.recipe import ModelConfig, ParaphraseConfig, Recipe, load_recipe
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind as bind_recipe
from sapo_lite.run.inputs import inputs_of, kept_format
from sapo_lite.support.files import sha256

LARGE = 3 << 20  # bytes, more than are hashed again every time


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/checksums"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a small and a large file."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(LARGE))
    return folder


def replace_one_byte(path: Path, *, at: int) -> None:
    """Other content of the same size, with the times of the file that was there."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def recipe(*settings: str) -> Recipe:
    return load_recipe("lab", settings)


# --- a model


@pytest.mark.parametrize("at", [0, LARGE // 2 + 17, LARGE - 1])
def test_weights_replaced_by_others_of_one_size_and_time_are_noticed(model: Path, at: int) -> None:
    before = model_identity(str(model))
    assert model_identity(str(model)) == before
    replace_one_byte(model / "model.safetensors", at=at)
    after = model_identity(str(model))
    assert after["config.json"] == before["config.json"]
    assert after["model.safetensors"] == sha256(model / "model.safetensors") != before["model.safetensors"]


def test_a_copied_touched_or_moved_folder_is_the_same_model(model: Path, tmp_path: Path) -> None:
    before = model_identity(str(model))
    shutil.copytree(model, tmp_path / "copy", copy_function=shutil.copyfile)
    assert model_identity(str(tmp_path / "copy")) == before
    os.utime(model / "model.safetensors", (1, 1))
    assert model_identity(str(model)) == before
    model.rename(tmp_path / "moved")
    assert model_identity(str(tmp_path / "moved")) == before


def test_notes_on_a_model_and_hidden_files_are_no_part_of_it(model: Path) -> None:
    before = model_identity(str(model))
    for name in ("README.md", ".gitattributes", "original/consolidated.bin"):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text("of no consequence")
    assert model_identity(str(model)) == before
    (model / "additional_chat_templates").mkdir()
    (model / "additional_chat_templates/tool.jinja").write_text("x")
    assert model_identity(str(model)).keys() - before.keys() == {"additional_chat_templates/tool.jinja"}


def test_a_large_file_is_hashed_once_and_a_damaged_memory_of_it_is_of_no_consequence(
    model: Path, cache: Path
) -> None:
    before = model_identity(str(model))
    (kept,) = cache.iterdir()
    kept.write_text('"what was kept"')
    assert model_identity(str(model))["model.safetensors"] == "what was kept"
    for damaged in (b"{", b"\xff"):
        kept.write_bytes(damaged)
        assert model_identity(str(model)) == before


def test_without_a_cache_folder_models_are_told_apart_all_the_same(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model_identity(str(model))
    cache.parent.joinpath("file").write_text("")
    monkeypatch.setenv("SAPO_LITE_CACHE", str(cache.parent / "file"))
    assert model_identity(str(model)) == before


def test_a_model_of_the_hub_is_told_by_its_commit_where_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert model_identity("owner/model") == {}
    for commit in ("a" * 40, "b" * 40):
        snapshot = tmp_path / "hub/models--owner--model/snapshots" / commit
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
        refs = tmp_path / "hub/models--owner--model/refs"
        refs.mkdir(exist_ok=True)
        (refs / "main").write_text(commit)
        assert model_identity("owner/model") == {"commit": commit}


def test_an_embedded_model_is_told_by_its_checksums() -> None:
    assert set(model_identity("lab")) == {"SHA256SUMS"}
    assert model_identity("lab") != model_identity("lab-llama")


def test_the_backbone_as_a_paraphraser_has_the_digest_of_its_content(model: Path) -> None:
    def unloadable() -> Any:
        raise AssertionError("loaded")

    def digest(name: str) -> str | None:
        return OwnModel(ParaphraseConfig(), ModelConfig(name=name), unloadable).digest()

    before = digest(str(model))
    os.utime(model / "config.json", (1, 1))
    assert digest(str(model)) == before
    replace_one_byte(model / "model.safetensors", at=5)
    assert digest(str(model)) not in (before, None)
    assert digest("./nowhere") is None


# --- what a folder is bound to


def bind(folder: RunFolder, inputs: dict[str, dict[str, str]]) -> None:
    folder.bind({"seed": 0}, {"yes": "data"}, inputs)


def test_a_file_of_candidates_is_bound_where_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text("{}")
    settings = ("paraphrase.backend=file", f"paraphrase.path={file}")
    what = f"the file of candidates {file}"
    assert inputs_of(recipe(*settings))[what] == {"content": sha256(file)}
    assert set(inputs_of(recipe(*settings, "prompt.strategy=fixed"))) == {"the model lab"}
    assert set(inputs_of(recipe("paraphrase.backend=builtin"))) == {"the model lab"}
    file.unlink()
    assert inputs_of(recipe(*settings))[what] == {}


def test_changed_inputs_are_refused_and_named(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as folder:
        bind(folder, {"the model m": {"a": "1", "b": "2", "c": "3"}})
        with pytest.raises(RunFolderError) as refused:
            bind(folder, {"the model m": {"a": "1", "b": "9", "d": "4"}})
    assert str(refused.value) == (
        f"{tmp_path / 'run'} holds results that are not of what the recipe names now:\n"
        "  the model m has changed (b, c, d)\n"
        "Use what it was made with, another --out, or --fresh to discard these results."
    )


def test_what_was_not_on_the_disk_at_first_is_bound_once_it_is(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as folder:
        for inputs in ({}, {"commit": "1"}, {}, {"commit": "1"}):
            bind(folder, {"the model m": inputs})
        with pytest.raises(RunFolderError, match=r"the model m has changed \(commit\)"):
            bind(folder, {"the model m": {"commit": "2"}})


def test_the_number_format_that_was_chosen_first_is_bound(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as folder:
        for dtype in (None, "bfloat16", None, "bfloat16"):
            bind_recipe(folder, recipe("model.dtype=auto"), [], dtype)
        assert kept_format(folder.path) == "bfloat16"
        with pytest.raises(
            RunFolderError, match=r'what model.dtype = "auto" chose has changed \(number format\)'
        ):
            bind_recipe(folder, recipe("model.dtype=auto"), [], "float32")


def test_a_number_format_that_the_recipe_names_is_no_choice(tmp_path: Path) -> None:
    assert kept_format(tmp_path / "run") is None
    with RunFolder(tmp_path / "run") as folder:
        bind_recipe(folder, recipe("model.dtype=float32"), [], "float32")
        assert kept_format(folder.path) is None


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    about = {"recipe": {"seed": 0}, "data": {"yes": "data"}, "inputs": {}}
    with RunFolder(tmp_path / "run") as folder:
        for version, found in (({}, "none"), ({"format": 2}, "2")):
            put(folder.path / "recipe.json", version | about)
            with pytest.raises(RunFolderError) as refused:
                bind(folder, {})
            assert str(refused.value) == (
                f"{folder.path / 'recipe.json'} was written by another version of sapo-lite: expected format "
                f"3, found {found}. Use the version that wrote it, or run the recipe again into another "
                "folder."
            )
