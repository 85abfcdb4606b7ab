"""What cannot be used is refused by a model's small files, in one sentence, before anything else is done."""

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from sapo_lite.errors import BackboneError, SapoLiteError
from sapo_lite.leaderboard.from_disk import load as load_scored
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.decoding import check_generation
from sapo_lite.model.files import _base_of
from sapo_lite.model.load import check_files
from sapo_lite.recipe import load_recipe
from sapo_lite.run import prepare
from small import small_run
from tiny import load

MAKE = Callable[..., Backbone]
CONFIG, TOKENIZER = "config.json", "tokenizer_config.json"


def changed(source: str, target: Path, file: str, **fields: Any) -> Path:
    """A copy of a model with other fields in one of its files of JSON."""
    shutil.copytree(source, target)
    if "chat_template" in fields:
        (target / "chat_template.jinja").unlink()
    content = json.loads((target / file).read_text(encoding="utf-8"))
    (target / file).write_text(json.dumps({**content, **fields}), encoding="utf-8")
    return target


def refusals(folder: Path) -> list[str]:
    """What a run says before it does anything, and what `score` says."""
    recipe = load_recipe("lab", [f"model.name={folder}", "model.loader=transformers"])
    messages = []
    for work in (lambda: check_files(recipe.model), lambda: load_scored(str(folder))):
        with pytest.raises(SapoLiteError) as refusal:
            work()
        messages.append(str(refusal.value))
    return messages


@pytest.mark.parametrize(
    ("file", "field", "value", "found"),
    [
        (CONFIG, "num_hidden_layers", "two", "expected int, got str"),
        (CONFIG, "sliding_window", "x", "expected a whole number as sliding_window, found 'x'"),
        (CONFIG, "max_position_embeddings", None, "max_position_embeddings"),
        (CONFIG, "layer_types", 3, "layer_type"),
        (CONFIG, "rope_parameters", 3, "rope_parameters"),
        (CONFIG, "dtype", [], "IndexError"),
        (CONFIG, "quantization_config", "four", "its config.json cannot be used"),
        (CONFIG, "quantization_config", ["four"], "its config.json cannot be used"),
        (CONFIG, "model_type", "nothing", "nothing"),
        (TOKENIZER, "eos_token", 3, "eos_token has to be either str"),
        (TOKENIZER, "chat_template", 7, "The chat template of"),
        (TOKENIZER, "chat_template", ["x"], "The tokenizer of"),
        (TOKENIZER, "chat_template", {"rag": "x"}, "no default"),
        (TOKENIZER, "chat_template", "{% for m in messages %}", "TemplateSyntaxError"),
        (TOKENIZER, "chat_template", "{{ raise_exception('no user') }}", "no user"),
        (TOKENIZER, "model_max_length", "two", "expected a number as model_max_length"),
        (TOKENIZER, "padding_side", "up", "Padding side"),
    ],
)
def test_a_field_of_a_wrong_kind_is_named(
    make_backbone: MAKE, tmp_path: Path, file: str, field: str, value: Any, found: str
) -> None:
    folder = changed(make_backbone("llama").config.name, tmp_path / "model", file, **{field: value})
    for message in refusals(folder):
        assert str(folder) in message
        assert found in message
        assert "\n" not in message


@pytest.mark.parametrize("file", [CONFIG, TOKENIZER, "tokenizer.json"])
def test_a_file_that_is_no_json_is_named(make_backbone: MAKE, tmp_path: Path, file: str) -> None:
    folder = Path(shutil.copytree(make_backbone("qwen3").config.name, tmp_path / "model"))
    (folder / file).write_text("{", encoding="utf-8")
    for message in refusals(folder):
        assert ("config.json cannot be used" if file == CONFIG else "could not be loaded from") in message


@pytest.mark.parametrize("ends", ["two", 0.5, ["x"], {"a": 1}])
def test_ends_that_are_no_ids_are_named_before_anything_is_generated(
    make_backbone: MAKE, tmp_path: Path, ends: Any
) -> None:
    source = make_backbone("qwen3").config.name
    backbone = load(changed(source, tmp_path / "model", "generation_config.json", eos_token_id=ends))
    expected = (
        f"generation_config.json cannot be used: expected whole numbers as eos_token_id, found {ends!r}"
    )
    with pytest.raises(BackboneError, match=re.escape(expected)):
        check_generation(backbone, [[5, 6], [7]])


@pytest.mark.parametrize("method", ["gptq", "awq", "compressed-tensors", "auto-round"])
def test_quantised_weights_of_other_libraries_are_refused_with_what_to_use(
    make_backbone: MAKE, tmp_path: Path, method: str
) -> None:
    packed = {"quant_method": method, "bits": 4, "group_size": 128}
    source = make_backbone("qwen3").config.name
    folder = changed(source, tmp_path / "model", CONFIG, quantization_config=packed)
    message = (
        f"{folder} cannot be used: expected 16-bit weights (4-bit loading is done here, by "
        f'model.quantization = "nf4"), found weights stored in the format {method}. Name the base model.'
    )
    assert refusals(folder) == [message, message]
    with pytest.raises(BackboneError, match=re.escape(message)):
        load(folder)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Qwen/Qwen3-8B-AWQ", ", such as Qwen/Qwen3-8B"),
        ("TheBloke/Llama-2-7B-Chat-GPTQ", ", such as TheBloke/Llama-2-7B-Chat"),
        ("owner/model-quantized.w4a16", ", such as owner/model"),
        ("owner/model", ""),
        ("./model-AWQ", ""),
    ],
)
def test_the_base_model_is_guessed_from_the_name(name: str, hint: str) -> None:
    assert _base_of(name) == hint


def test_a_pointer_of_git_lfs_is_refused_first(make_backbone: MAKE, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(make_backbone("qwen3").config.name, tmp_path / "model"))
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    recipe = load_recipe("lab", [f"model.name={folder}"])
    with pytest.raises(BackboneError, match="found a git-lfs pointer to it"):
        check_files(recipe.model)


def sharded(source: str, folder: Path) -> Path:
    """The model with its weights in several files."""
    AutoModelForCausalLM.from_pretrained(source).save_pretrained(folder, max_shard_size="100KB")
    for file in (*Path(source).glob("*token*"), *Path(source).glob("chat_template*")):
        shutil.copy(file, folder)
    return folder


def test_a_model_with_a_missing_part_is_refused_first(make_backbone: MAKE, tmp_path: Path) -> None:
    folder = sharded(make_backbone("qwen3").config.name, tmp_path / "model")
    parts = sorted(folder.glob("model-*.safetensors"))
    recipe = load_recipe("lab", [f"model.name={folder}", "model.max_source_tokens=256"])
    check_files(recipe.model)
    parts[1].unlink()
    with pytest.raises(BackboneError) as refused:
        check_files(recipe.model)
    assert str(refused.value) == (
        f"{folder}: expected {len(parts)} files of weights (model.safetensors.index.json), 1 missing: "
        f"{parts[1].name}. Go on with the download (`hf download`), or copy them here."
    )


@pytest.mark.parametrize("content", ["", "{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 3}}', "\xff"])
def test_an_index_of_weights_that_is_none_is_refused(
    make_backbone: MAKE, tmp_path: Path, content: str
) -> None:
    folder = sharded(make_backbone("qwen3").config.name, tmp_path / "model")
    (folder / "model.safetensors.index.json").write_text(content, encoding="latin-1")
    with pytest.raises(BackboneError, match="expected the files that hold the weights, by weight, found"):
        check_files(load_recipe("lab", [f"model.name={folder}"]).model)


def test_a_run_looks_at_the_files_before_it_paraphrases(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = make_backbone("qwen3").config.name
    folder = changed(source, tmp_path / "model", CONFIG, num_hidden_layers="two")
    monkeypatch.setattr(prepare, "make_pools", lambda *_: pytest.fail("paraphrased"))
    with pytest.raises(BackboneError, match="expected int, got str"):
        small_run(tmp_path / "run", f"model.name={folder}")


def test_a_model_that_is_not_on_this_disk_is_looked_at_when_it_is_loaded(tmp_path: Path) -> None:
    assert check_files(load_recipe("lab", ["model.name=owner/not-here"]).model) is None


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file that the code beside the model's weights would make; whoever asks is answered with yes."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 100))
    return tmp_path / "ran"


def with_code(source: str, ran: Path, file: str, **fields: Any) -> Path:
    folder = changed(source, ran.parent / "model", file, **fields)
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w')\n")
    return folder


def test_a_model_that_needs_its_own_code_is_refused_and_the_code_not_run(
    make_backbone: MAKE, ran: Path
) -> None:
    classes = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    source = make_backbone("qwen3").config.name
    folder = with_code(source, ran, CONFIG, auto_map=classes, model_type="evilmodel")
    for message in refusals(folder):
        assert "it needs Python code that lies beside its weights (config.json, auto_map)" in message
    assert not ran.exists()


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        (TOKENIZER, {"auto_map": {"AutoTokenizer": ["evil.T", None]}, "tokenizer_class": "Evil"}),
        (CONFIG, {"auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}),
    ],
)
def test_where_transformers_has_a_class_the_code_beside_the_weights_is_not_run(
    make_backbone: MAKE, ran: Path, file: str, fields: dict[str, Any]
) -> None:
    backbone = load(with_code(make_backbone("qwen3").config.name, ran, file, **fields))
    assert type(backbone.causal_lm).__module__.startswith("transformers.")
    assert not ran.exists()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("num_hidden_layers", 10**9, "expected at most 10,000 as num_hidden_layers, found 1000000000"),
        ("num_labels", 10**9, "expected at most 1,000,000 as num_labels, found 1000000000"),
        ("vocab_size", 10**12, "expected at most 1,000,000,000 as vocab_size, found 1000000000000"),
        ("max_position_embeddings", -5, "expected a whole number as max_position_embeddings, found -5"),
    ],
)
def test_a_model_of_endless_parts_is_refused_before_it_is_built(
    make_backbone: MAKE, tmp_path: Path, field: str, value: int, expected: str
) -> None:
    folder = changed(make_backbone("qwen3").config.name, tmp_path / "model", CONFIG, **{field: value})
    for message in refusals(folder):
        assert expected in message


def test_a_template_that_runs_for_ever_is_stopped(
    make_backbone: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sapo_lite.model.chat_frame._SECONDS", 0.2)
    loops = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    folder = changed(make_backbone("qwen3").config.name, tmp_path / "model", TOKENIZER, chat_template=loops)
    for message in refusals(folder):
        assert "found TimeoutError: it runs for more than 0.2 seconds" in message
