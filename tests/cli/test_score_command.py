"""`sapo-lite score`, as a user types it."""

import csv
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from forked import Program, run_program
from ollama_server import FakeOllama
from sapo_lite import score_prompts
from sapo_lite.errors import BackboneError, SapoLiteError
from sapo_lite.lab.wordings import original, wordings
from sapo_lite.leaderboard.from_disk import _of_another_model, load
from sapo_lite.leaderboard.score_files import Result, score_files
from sapo_lite.model.backbone import Backbone
from sapo_lite.report.plain import PlainDisplay
from small import ROOT, call, command
from tiny import make_task

TASK = make_task(24)
# As wide as a board in memory is printed.
WIDE = {**os.environ, "COLUMNS": "110"}
PROMPTS = [TASK.instruction, "Is the text happy? Say positive or negative.", "判断情感 {0}"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache: no answers of earlier tests or of the user's own runs."""
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def model(make_backbone: Callable[..., Backbone]) -> str:
    """Folder of a tiny model."""
    return make_backbone("qwen3").config.name


@pytest.fixture(scope="module")
def adapter(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a LoRA far from zero."""
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    )
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("adapter")
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(model), config).save_pretrained(folder)
    return folder


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A table of examples and a text file of prompts, as short names in the working directory."""
    monkeypatch.chdir(tmp_path)
    with Path("reviews.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerows([["id", "text", "label"], *([1, e.input, e.answer] for e in TASK.train)])
    Path("prompts.txt").write_text("\n".join(PROMPTS), encoding="utf-8")
    return Path("reviews.csv"), Path("prompts.txt")


def in_memory(model: str, adapter: Path | None = None, **options: Any) -> Any:
    """The leaderboard of `score_prompts` for the same arguments."""
    loaded = load(model, adapter=adapter)
    return score_prompts(loaded.model, loaded.tokenizer, TASK.train, PROMPTS, **options)


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


# --- what it prints


@pytest.mark.slow
def test_the_table_goes_to_stdout_and_everything_else_to_stderr(model: str, files: tuple[Path, Path]) -> None:
    done = run_program(command("score", model, *files), env=WIDE)
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout) == lines(repr(in_memory(model)))
    assert lines(done.stderr) == [
        "note: reviews.csv: 24 examples, inputs from column text, answers from column label; not read: id",
        f"== loading {model}",
        "== scoring 3 prompts",
        "scoring: 24/72 examples",
        "scoring: 48/72 examples",
        "scoring: 72/72 examples",
    ]
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stdout.startswith("3 prompts by answer loss, in nats per token\nrank  prompt    loss")


@pytest.mark.slow
def test_json_on_stdout_leaves_the_table_to_stderr(
    model: str, adapter: Path, files: tuple[Path, Path]
) -> None:
    options = ("--suffix", "Label:", "--examples", "16", "--all", "--adapter", adapter, "--json", "-")
    done = run_program(command("score", model, *files, *options), env=WIDE)
    assert done.returncode == 0, done.stderr
    expected = in_memory(model, adapter, suffix="Label:", limit=16, race=False)
    found = json.loads(done.stdout)
    board = expected.to_json()
    for row, other in zip(found["prompts"], board["prompts"], strict=True):
        assert row == pytest.approx(other)
    assert {key: value for key, value in found.items() if key not in board} == {
        "model": model,
        "adapter": str(adapter),
        "quantization": "none",
        "dtype": "float32" if not torch.cuda.is_available() else "bfloat16",
        "chat_template": "model",
        "file": "reviews.csv",
        "input": "text",
        "answer": "label",
        "suffix": "Label:",
        "max_tokens": None,
        "race": False,
        "seed": 0,
    }
    assert found["statement"] == expected.statement
    assert found["certainty"]["chosen"] == found["best"] == expected.best.index
    assert "3 prompts by answer loss" in done.stderr
    assert lines(repr(expected))[1] in lines(done.stderr)


@pytest.mark.slow
def test_prompts_are_generated_for_the_lab_and_a_race_marks_what_is_partial(tmp_path: Path) -> None:
    out = tmp_path / "board.json"
    text = original("translation")
    options = ("--instruction", text, "--suffix", "answer :", "--generate", "6", "--backend", "lab")
    examples = ROOT / "data/lab/translation/train.json"
    done = run_program(command("score", "lab", examples, *options, "--examples", "120", "--json", out))
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    prompts = {row["index"]: row for row in found["prompts"]}
    assert [prompts[i]["prompt"] for i in sorted(prompts)] == [text, *wordings("translation", 6, 0)]
    assert {row["examples"] for row in found["prompts"]} == {120}
    partial = [row for row in found["prompts"] if row["partial"]]
    assert partial
    for row in partial:
        assert row["examples_scored"] < 120
        assert f"{row['examples_scored']} of 120" in done.stdout
    assert "== paraphrasing with lab" in done.stderr


def test_a_fault_is_one_line_before_anything_is_loaded(files: tuple[Path, Path]) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[1:] = ['score', 'lab', 'prompts.txt']\n"
        "from sapo_lite.cli import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    done = call([sys.executable, "-c", program])
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert done.stderr == (
        "error: prompts.txt: expected examples in a .jsonl, .json, .csv, .tsv or .parquet file, "
        'found ".txt"\n'
    )


@pytest.mark.slow
def test_ctrl_c_ends_without_a_traceback(tmp_path: Path) -> None:
    options = ("--instruction", original("mood"), "--generate", "20", "--backend", "lab", "--all")
    arguments = command("score", "lab", ROOT / "data/lab/mood/train.json", *options, "--examples", "400")
    process = Program([*arguments, "--json", str(tmp_path / "out.json")])
    while "== scoring" not in (line := process.stderr.readline()):
        assert line, "ended before it scored"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, notices = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert lines(notices)[-1] == "interrupted: no result was written"
    assert "Traceback" not in notices
    assert not (tmp_path / "out.json").exists()


def test_help_names_every_option() -> None:
    done = run_program(command("score", "--help"), env=WIDE)
    for option in "--instruction --generate --backend --paraphraser --adapter --suffix --examples".split():
        assert option in done.stdout
    for option in "--race --all --input --answer --quantization --dtype --loader --seed --json".split():
        assert option in done.stdout
    assert "(what the model reads)" in done.stdout


def test_json_to_nowhere_is_told_before_anything_is_done(files: tuple[Path, Path]) -> None:
    done = run_program(command("score", "lab", *files, "--json", "nowhere/out.json"))
    assert done.returncode == 1
    assert done.stderr == (
        "error: --json nowhere/out.json: expected the name of a file in a folder that exists.\n"
    )


# --- the steps, in this process


class RecordingDisplay(PlainDisplay):
    """A display that keeps its notices."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.lines: list[str] = []

    def _print(self, text: str) -> None:
        self.lines.append(text)


def scored(model: str, progress: PlainDisplay | None = None, **options: Any) -> Result:
    """The result with these options, without a race."""
    options = {"race": False, "progress": progress or RecordingDisplay(), **options}
    return score_files(model, Path("reviews.csv"), **options)


def fault(model: str, **options: Any) -> str:
    with pytest.raises(SapoLiteError) as caught:
        scored(model, **options)
    return str(caught.value)


def texts(model: str, **options: Any) -> dict[int, str]:
    return {row.index: row.prompt for row in scored(model, **options).board.rows}


def test_an_instruction_goes_before_the_prompts_of_a_file(model: str, files: tuple[Path, Path]) -> None:
    assert texts(model, prompts=files[1]) == dict(enumerate(PROMPTS))
    found = texts(model, prompts=files[1], instruction="Label it.")
    assert found == dict(enumerate(["Label it.", *PROMPTS]))
    # Where the file holds it too, it comes once.
    found = texts(model, prompts=files[1], instruction=PROMPTS[1])
    assert found == dict(enumerate([PROMPTS[1], PROMPTS[0], PROMPTS[2]]))
    assert texts(model, instruction="Label it.") == {0: "Label it."}


def test_repeated_prompts_are_told_of(model: str, files: tuple[Path, Path]) -> None:
    files[1].write_text("\n".join([*PROMPTS, PROMPTS[0]]), encoding="utf-8")
    progress = RecordingDisplay()
    scored(model, progress, prompts=files[1], input_name="text", answer_name="label")
    notes = [line for line in progress.lines if line.startswith("note")]
    assert notes == ["note: prompts.txt: 1 of 4 prompts repeat others and are left out"]


def test_ollama_paraphrases_keep_the_labels_that_the_answers_show(
    model: str, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = "Is the text positive or negative?"
    with FakeOllama(replies=["Is the text good?", good]) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        found = texts(model, instruction=PROMPTS[0], generate=1, paraphraser="tiny")
    assert found == {0: PROMPTS[0], 1: "Is the text positive or negative?"}
    assert not server.loaded


def test_any_instruction_is_paraphrased_without_a_model(model: str, files: tuple[Path, Path]) -> None:
    found = texts(model, instruction=PROMPTS[0], generate=4, backend="builtin")
    assert found[0] == PROMPTS[0]
    assert len(set(found.values())) == 5
    assert all("positive" in text and "negative" in text for text in found.values())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {},
            "expected prompts, found none: name a file of them, one a line, or let them be generated with "
            "--instruction TEXT --generate N",
        ),
        (
            {"generate": 3},
            "--generate: expected the original prompt as --instruction TEXT, and no file of prompts",
        ),
        (
            {"generate": 3, "instruction": "x", "prompts": Path("prompts.txt")},
            "--generate: expected the original prompt as --instruction TEXT, and no file of prompts",
        ),
        (
            {"generate": 3, "instruction": "x"},
            "--generate: expected an Ollama model as --paraphraser NAME, such as qwen3:8b",
        ),
        (
            {"prompts": Path("prompts.txt"), "adapter": Path("nowhere")},
            "--adapter nowhere: expected a folder with adapter_config.json",
        ),
        (
            {"prompts": Path("prompts.txt"), "max_tokens": 20},
            "example 1: expected room for its input, found none: prompt #1, suffix and answer are 50 tokens, "
            "the limit is 20. Shorten the prompt or the answer.",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    model: str, files: tuple[Path, Path], given: dict[str, Any], message: str
) -> None:
    assert fault(model, **given) == message


# --- the model


def test_an_adapter_given_as_the_model_is_told_of(adapter: Path, files: tuple[Path, Path]) -> None:
    assert fault(str(adapter), prompts=files[1]) == (
        f"{adapter}: expected a model, found an adapter. Name its base model here, and this folder as "
        "--adapter."
    )


def test_an_adapter_of_another_model_is_refused(
    model: str, make_backbone: Callable[..., Backbone], tmp_path: Path, files: tuple[Path, Path]
) -> None:
    base = AutoModelForCausalLM.from_pretrained(model)
    wrong = base.config.__class__(**{**base.config.to_dict(), "hidden_size": 32})
    for name, other in {"narrower": AutoModelForCausalLM.from_config(wrong), "as wide": base}.items():
        config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])
        peft.get_peft_model(other, config).save_pretrained(tmp_path / name)
    message = fault(model, prompts=files[1], adapter=tmp_path / "narrower")
    assert message.startswith(f"--adapter {tmp_path / 'narrower'}: cannot be put on {model}: ")
    assert "size mismatch" in message
    # A file that lacks some of the weights would be used with others at random.
    weights = tmp_path / "as wide" / "adapter_model.safetensors"
    kept = {name: value for name, value in load_file(weights).items() if "layers.0" in name}
    save_file(kept, weights, metadata={"format": "pt"})
    message = fault(model, prompts=files[1], adapter=tmp_path / "as wide")
    assert "cannot be put on" in message
    assert "missing adapter keys" in message


def test_an_adapter_whose_base_model_has_another_name_is_a_notice(
    model: str, adapter: Path, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    assert load(model, adapter=adapter).notices == ()
    renamed, same_name = tmp_path / "renamed", tmp_path / "elsewhere" / Path(model).name
    for copy in (renamed, same_name):
        shutil.copytree(model, copy)
    assert load(str(same_name), adapter=adapter).notices == ()
    notice = (
        f"--adapter {adapter}: it was trained on {model}, and is put on {renamed}. If these differ, its "
        "losses mean nothing"
    )
    assert load(str(renamed), adapter=adapter).notices == (notice,)
    board = scored(str(renamed), adapter=adapter, prompts=files[1])
    assert notice in board.board.notices


@pytest.mark.parametrize(
    ("base", "revision", "noticed"),
    [
        (None, None, False),
        ("Qwen/Qwen3-8B", None, False),
        ("/models/qwen3-8b", None, False),
        ("/cache/models--Qwen--Qwen3-8B/snapshots/" + "a" * 40, None, False),
        ("Qwen/Qwen3-8B", "a" * 40, False),
        ("Qwen/Qwen3-8B", "main", False),
        ("Qwen/Qwen3-8B", "b" * 40, True),
        ("Qwen/Qwen3-4B", None, True),
        ("other/Qwen3-8B", None, True),
        ("/models/qwen3-8b-instruct", None, True),
    ],
)
def test_names_and_revisions_of_base_models_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str | None, revision: str | None, noticed: bool
) -> None:
    located = tmp_path / "models--Qwen--Qwen3-8B" / "snapshots" / ("a" * 40)
    monkeypatch.setattr("sapo_lite.leaderboard.from_disk.locate_model", lambda _: located)
    written = {"base_model_name_or_path": base, "revision": revision}
    (tmp_path / "adapter_config.json").write_text(json.dumps(written))
    notice = _of_another_model(tmp_path, "Qwen/Qwen3-8B")
    assert (notice is not None) == noticed
    if notice:
        assert f"it was trained on {base}" in notice
        assert ", and is put on Qwen/Qwen3-8B" in notice


def test_the_chat_template_saved_with_an_adapter_is_the_one_used(
    model: str, adapter: Path, tmp_path: Path
) -> None:
    loaded = load(model, adapter=adapter)
    tokenizer = loaded.tokenizer
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(model).chat_template
    peft.PeftModel.from_pretrained(loaded.model.get_base_model(), adapter).save_pretrained(tmp_path)
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_start|>user", "<|im_start|>human")
    tokenizer.chat_template += "{# trained #}"
    tokenizer.save_pretrained(tmp_path)
    assert load(model, adapter=tmp_path).tokenizer.chat_template.endswith("{# trained #}")


def test_precision_follows_the_machine_and_a_stored_quantisation_is_kept(
    model: str, make_backbone: Callable[..., Backbone], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    four_bits = make_backbone("qwen3", "nf4")
    four_bits.model.save_pretrained(tmp_path)
    four_bits.tokenizer.save_pretrained(tmp_path)
    loaded = load(str(tmp_path))
    assert (loaded.settings["quantization"], loaded.model.is_loaded_in_4bit) == ("nf4", True)
    loaded = load(model)
    assert loaded.settings["quantization"] == "none"
    assert loaded.settings["dtype"] == ("bfloat16" if torch.cuda.is_available() else "float32")
    assert loaded.model.dtype is getattr(torch, str(loaded.settings["dtype"]))
    assert load(model, quantization="nf4", dtype="float32").model.is_loaded_in_4bit
    assert load(model, dtype="bfloat16").model.dtype is torch.bfloat16


@pytest.mark.slow
def test_unsloth_as_the_loader_gives_the_same_board(
    model: str, adapter: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    elsewhere = {**WIDE, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    options = ("--loader", "unsloth", "--adapter", adapter, "--dtype", "float32")
    done = run_program(command("score", model, *files, *options), env=elsewhere)
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout) == lines(repr(in_memory(model, adapter)))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"megatron_config": {"a": 1}}, "expected an adapter of PEFT's own layers, found megatron_config"),
        ({"r": 10**9}, "expected a rank from 1 to 16,384 in adapter_config.json, found 1000000000"),
        (
            {"rank_pattern": {"q_proj": "x"}},
            'expected a rank from 1 to 16,384 in adapter_config.json, found "x"',
        ),
        ({"target_modules": "([a-z_.0-9]+)+X"}, "expected patterns of layers that match in 1 seconds"),
    ],
)
def test_settings_of_an_adapter_that_no_adapter_has_are_refused(
    model: str,
    adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    expected: str,
) -> None:
    monkeypatch.setattr("sapo_lite.leaderboard.adapter._SECONDS", 1)
    folder = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, **settings}))
    with pytest.raises(BackboneError) as refusal:
        load(model, adapter=folder)
    assert str(refusal.value).startswith(f"--adapter {folder}: cannot be put on {model}: {expected}")


def test_weights_that_do_not_fit_the_model_are_refused(model: str, adapter: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    file = folder / "adapter_model.safetensors"
    held = load_file(file)

    def refusal() -> str:
        with pytest.raises(BackboneError) as refused:
            load(model, adapter=folder)
        return str(refused.value)

    more = {name.replace("layers.1", "layers.7"): value.clone() for name, value in held.items()}
    save_file({**held, **more}, file)
    assert "expected an adapter of this model, found 4 tensors without a place in it" in refusal()
    first = next(iter(held))
    save_file({**held, first: held[first] * torch.nan}, file)
    assert f"expected finite weights, found NaN or infinity in {first}" in refusal()
    save_file({name: value.to(torch.int8) for name, value in held.items()}, file)
    assert "expected numbers of F64, F32, F16, BF16, found I8" in refusal()
    file.write_bytes(file.read_bytes()[:100])
    assert "expected an adapter's weights, found a damaged file" in refusal()
    file.unlink()
    assert "expected adapter_model.safetensors beside adapter_config.json, found none" in refusal()


@pytest.mark.parametrize("base", ["~nosuchuser/x", "a\0b", "x" * 5000, 3])
def test_a_base_model_that_is_no_path_is_no_error(
    model: str, adapter: Path, tmp_path: Path, base: object
) -> None:
    folder = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": base}))
    assert load(model, adapter=folder).settings["adapter"] == str(folder)
