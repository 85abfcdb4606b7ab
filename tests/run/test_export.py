"""Exports of a run of the lab in 4 bits: each answers as the run did, in libraries that know no sapo-lite."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from sapo_lite.errors import RunFolderError, SapoLiteError
from sapo_lite.model import merging
from sapo_lite.model.four_bit import stop_repacking
from sapo_lite.run.export.export import Export, export
from sapo_lite.run.export.push import require_push
from sapo_lite.run.export.verify import compared, stored_answers
from sapo_lite.run.progress import Silent
from sapo_lite.run.snapshot import Snapshot, read_snapshot
from small import LAB, small_run

pytestmark = pytest.mark.slow

Write = Callable[..., Export]
FOUR_BIT = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.float32,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two tasks, in which answers are right more often at the end."""
    out = tmp_path_factory.mktemp("run") / "lab"
    small_run(out, LAB, "model.quantization=nf4", "sequence.test_examples=30", "evaluation.prompts=chosen")
    return out


@pytest.fixture
def write(run: Path, tmp_path: Path) -> Write:
    """`write("merged", stage=1)` exports the run to a new folder. Notices are errors."""

    def written(form: Any, stage: int | None = None, **options: Any) -> Export:
        return export(read_snapshot(run, stage), form, tmp_path / form, Silent(pytest.fail), **options)

    return written


def answers(model: Any, folder: Path, snapshot: Snapshot) -> list[bool]:
    """For each stored answer, whether plain generation from prompts.json gives it again."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompts = json.loads((folder / "prompts.json").read_text())
    found = []
    for row in stored_answers(snapshot, 50):
        around = prompts["tasks"][row.task]["prompt"]
        text = around["before"] + row.text + around["after"]
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            whole = model.generate(**ids, max_new_tokens=prompts["max_new_tokens"], do_sample=False)
        answer = tokenizer.decode(whole[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        found.append(answer.strip() == row.answer)
    return found


def test_an_adapter_answers_in_plain_peft_as_in_the_run(write: Write, run: Path) -> None:
    done = write("adapter")
    assert str(done.agreement) == "50 of 50 stored answers are given again, by transformers"
    base = json.loads((done.folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert Path(base).is_absolute()
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, quantization_config=FOUR_BIT)
    stop_repacking(model)  # some CPUs would round the weights to bfloat16
    model = PeftModel.from_pretrained(model, done.folder).eval()
    assert answers(model, done.folder, read_snapshot(run)) == [True] * 50
    stage = run / "02-odd_one_out/adapter"
    name = "adapter_model.safetensors"
    assert (done.folder / name).read_bytes() == (stage / name).read_bytes()


def test_a_merged_model_answers_in_plain_transformers_as_in_the_run_in_4_bits(
    write: Write, run: Path
) -> None:
    done = write("merged")
    assert str(done.agreement) == "50 of 50 stored answers are given again, by transformers"
    model = AutoModelForCausalLM.from_pretrained(done.folder, dtype=torch.float32).eval()
    assert not hasattr(model.config, "quantization_config")
    assert answers(model, done.folder, read_snapshot(run)) == [True] * 50
    held = load_file(done.folder / "model.safetensors")
    assert {tensor.dtype for tensor in held.values()} == {torch.float16}
    assert not [name for name in held if "lora" in name or "base_layer" in name or name == "lm_head.weight"]


def test_an_earlier_stage_has_its_own_adapter_and_its_own_answers(write: Write, run: Path) -> None:
    done = write("adapter", stage=1)
    assert done.agreement is not None
    assert done.agreement.equal == done.agreement.asked == 30  # those of the one task that it has learned
    prompts = json.loads((done.folder / "prompts.json").read_text())["tasks"]
    assert {key: task["learned"] for key, task in prompts.items()} == {"oldest": True, "odd_one_out": False}
    assert prompts["odd_one_out"]["instruction"] == prompts["odd_one_out"]["original_instruction"]


def test_shards_hold_whole_layers_and_the_same_model(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = load_file(write("merged", check=0).folder / "model.safetensors")
    shutil.rmtree(tmp_path / "merged")
    monkeypatch.setattr(merging, "SHARD", 2 * 10**6)
    folder = write("merged").folder
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    files = sorted(folder.glob("model-*.safetensors"))
    assert len(files) == len(set(index.values())) > 2
    assert all(file.stat().st_size < 2.1 * 10**6 for file in files)
    layers = {name.split(".")[2]: file for name, file in index.items() if ".layers." in name}
    assert all(file == layers[name.split(".")[2]] for name, file in index.items() if ".layers." in name)
    shards = {name: tensor for file in files for name, tensor in load_file(file).items()}
    assert index.keys() == shards.keys() == whole.keys()
    assert all(torch.equal(shards[name], whole[name]) for name in whole)


def test_prompts_say_how_each_task_is_asked(write: Write, run: Path) -> None:
    content = json.loads((write("adapter", check=0).folder / "prompts.json").read_text())
    chosen = read_snapshot(run).prompts
    for key, task in content["tasks"].items():
        assert task["instruction"] == chosen[key]
        assert task["prompt"]["before"].endswith(task["user_message"]["before"])
        assert task["prompt"]["after"].startswith(f"\n\n{task['suffix']}<|im_end|>")
        assert task["metric"] == "rougeL"
    assert content["stop"] == ["<|im_end|>"]


def test_the_card_has_a_block_for_the_hub_and_what_was_measured(write: Write, run: Path) -> None:
    text = (write("adapter").folder / "README.md").read_text(encoding="utf-8")
    _, front, card = text.split("---\n", maxsplit=2)
    about = yaml.safe_load(front)
    assert about["license"] == "apache-2.0"
    assert about["library_name"] == "peft"
    assert "base_model" not in about  # a folder of this machine says nothing to the hub
    assert {"sapo-lite", "continual-learning", "lorainc", "prompt-sapo"} <= set(about["tags"])
    record = read_snapshot(run).record
    scores = [row["task_metric"] for row in record.scores["chosen"]]
    assert f"| 2 odd_one_out | {scores[0]:.1f} | {scores[1]:.1f} |" in card
    assert "50 of 50 stored answers are given again" in card
    assert all(f"```\n{prompt}\n```" in card for prompt in read_snapshot(run).prompts.values())
    assert '"seed": 0' in card


def test_the_lines_of_the_card_can_be_run(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for form in ("adapter", "merged"):
        folder = write(form, check=0).folder
        code = (folder / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("\n```")[0]
        monkeypatch.chdir(folder)
        names: dict[str, Any] = {}
        exec(compile(code.replace("an input", "fox wolf bear rose"), form, "exec"), names)
        assert names["answer"].ndim == 1


def test_what_answers_otherwise_is_counted_and_shown(run: Path) -> None:
    rows = stored_answers(read_snapshot(run), 4)
    given = [row.answer for row in rows]
    found = compared(rows, ["other", *given[1:]], "a test")
    assert str(found) == "3 of 4 stored answers are given again, by a test"
    assert found.other == ((rows[0], "other"),)
    assert [row.task for row in rows] == ["oldest", "odd_one_out"] * 2


@pytest.mark.parametrize(
    ("form", "stage", "options", "said"),
    [
        ("adapter", 0, {}, r"stage 0 \(before any training\) has no adapter to export"),
        ("hub", None, {}, "expected a model of the Hugging Face hub under the adapter, found lab"),
        ("adapter", None, {"create": True}, "--create: expected --to ollama, found --to adapter"),
        ("merged", None, {"quant": "q8_0"}, "--quant: expected --to gguf or --to ollama, found --to merged"),
        ("gguf", None, {}, "expected llama.cpp's converter, convert_hf_to_gguf.py, found none"),
        ("ollama", None, {"create": True}, "expected the program ollama on the PATH, found none"),
    ],
)
def test_what_cannot_be_exported_is_said_before_any_work(
    form: str, stage: int | None, options: dict[str, Any], said: str, write: Write,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("SAPO_LITE_LLAMA_CPP", raising=False)
    with pytest.raises(SapoLiteError, match=said):
        write(form, stage, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_not_written_to(write: Write, tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/mine.txt").write_text("x")
    with pytest.raises(RunFolderError, match=r"exists. Delete it, or choose a new or an empty folder"):
        write("adapter")
    assert [path.name for path in (tmp_path / "adapter").iterdir()] == ["mine.txt"]


def test_a_converter_that_fails_is_said_in_its_words_and_leaves_nothing(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "convert_hf_to_gguf.py").write_text("raise NotImplementedError('this tokenizer')")
    monkeypatch.setenv("SAPO_LITE_LLAMA_CPP", str(tmp_path))
    with pytest.raises(SapoLiteError, match=r"convert_hf_to_gguf.py failed: NotImplementedError: this token"):
        write("gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["convert_hf_to_gguf.py"]


def test_k_quants_are_made_from_f16_by_llama_quantize(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both programs are played here: they write their arguments."""
    programs = tmp_path / "llama.cpp"
    (programs / "build/bin").mkdir(parents=True)
    (programs / "convert_hf_to_gguf.py").write_text(
        "import sys\nfrom pathlib import Path\n"
        "model, _, out, _, kind = sys.argv[1:]\n"
        "assert Path(model, 'model.safetensors').is_file()\n"
        "Path(out).write_text(f'converted to {kind}')\n"
    )
    quantise = programs / "build/bin/llama-quantize"
    quantise.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n"
        "source, out, kind = sys.argv[1:]\n"
        "Path(out).write_text(f'{Path(source).read_text()}, then to {kind}')\n"
    )
    quantise.chmod(0o755)
    monkeypatch.setenv("SAPO_LITE_LLAMA_CPP", str(programs))
    monkeypatch.setenv("PATH", "")
    notices: list[str] = []
    out = tmp_path / "out"
    done = export(read_snapshot(run), "gguf", out, Silent(notices.append), quant="Q4_K_M")
    assert (out / "lab-2-q4_k_m.gguf").read_text() == "converted to f16, then to Q4_K_M"
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "lab-2-q4_k_m.gguf", "prompts.json"]
    assert done.agreement is None
    assert [notice for notice in notices if "not verified" in notice] == [
        "not verified: what was exported could not be asked here (expected llama.cpp's program llama-server "
        "on the PATH or in a folder of SAPO_LITE_LLAMA_CPP, found none)"
    ]


def test_an_upload_needs_a_name_a_network_and_a_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SapoLiteError, match="--push mine: expected OWNER/NAME"):
        require_push("mine")
    with pytest.raises(SapoLiteError, match="expected a token of the Hugging Face hub, found none"):
        require_push("me/mine")
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    require_push("me/mine")
    monkeypatch.setenv("SAPO_LITE_OFFLINE", "1")
    with pytest.raises(SapoLiteError, match="uploads, and --offline"):
        require_push("me/mine")
