"""GGUF files of a run of SmolLM2: llama.cpp gives its stored answers again, from plain text, on the CPU.

llama.cpp's converter and server are those of SAPO_LITE_LLAMA_CPP, or on the PATH.
"""

import json
from pathlib import Path

import gguf
import pytest
import torch

from modelfiles import read
from sapo_lite.errors import SapoLiteError
from sapo_lite.run.answering import Answers, load_answers
from sapo_lite.run.export import llama_cpp
from sapo_lite.run.export.export import export
from sapo_lite.run.export.verify import StoredAnswer
from sapo_lite.run.progress import Silent
from sapo_lite.run.snapshot import read_snapshot
from small import small_run

pytestmark = [pytest.mark.slow, pytest.mark.real_model]

SETTINGS = (
    "model.name=smollm2",
    "model.quantization=none",
    "model.dtype=float32",
    "sequence.train_examples=8",
    "sequence.test_examples=25",
    "scoring.score_examples=2",
    "paraphrase.count=1",
    "training.epochs=1",
    "training.batch_size=8",
    "training.micro_batch_size=4",
    "training.learning_rate=0.01",
    "evaluation.max_new_tokens=6",
    "evaluation.prompts=chosen",
)


@pytest.fixture(scope="module")
def run(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if llama_cpp.converter() is None or llama_cpp.find("llama-server") is None:
        pytest.skip("no llama.cpp: name the folders of its converter and server in SAPO_LITE_LLAMA_CPP")
    out = tmp_path_factory.mktemp("run") / "smollm2"
    small_run(out, *SETTINGS)
    return out


def is_tie(answers: Answers, row: StoredAnswer, found: str) -> bool:
    """Whether two answers part at tokens of almost equal logits: rounding decides there."""
    backbone = answers.backbone
    task = answers.snapshot.tasks[row.task]
    (prompt,) = backbone.chat.encode_prompts(task, row.instruction, [row.text])
    one, other = backbone.chat.encode_answers([row.answer, found])
    first = next(n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    with torch.no_grad():
        logits = backbone.model(torch.tensor([[*prompt, *one[:first]]])).logits[0, -1]
    return bool((logits[one[first]] - logits[other[first]]).abs() < 0.01)


def test_llama_cpp_gives_all_stored_answers_again_at_16_bits_but_for_ties(run: Path, tmp_path: Path) -> None:
    snapshot = read_snapshot(run)
    done = export(snapshot, "gguf", tmp_path / "out", Silent(pytest.fail))
    assert done.agreement is not None
    assert (done.agreement.asked, done.agreement.by) == (50, "llama.cpp with lab-2-f16.gguf")
    answers = load_answers(snapshot, Silent(pytest.fail))
    assert [row for row, found in done.agreement.other if not is_tie(answers, row, found)] == []
    assert done.agreement.equal >= 48
    assert sorted(path.name for path in done.folder.iterdir()) == [
        "README.md",
        "lab-2-f16.gguf",
        "prompts.json",
    ]
    given = {row.answer for key in ("oldest", "odd_one_out") for row in snapshot.stage.rows(key)}
    assert len(given) > 10  # answers differ from row to row


def test_modelfiles_name_the_gguf_file_in_the_format_that_was_asked_for(run: Path, tmp_path: Path) -> None:
    done = export(read_snapshot(run), "ollama", tmp_path / "out", Silent(pytest.fail), quant="q8_0", check=4)
    assert done.agreement is not None
    assert done.agreement.asked == 4
    commands = dict(read((done.folder / "Modelfile.oldest").read_text()))
    assert commands["FROM"] == "./lab-2-q8_0.gguf"
    reader = gguf.GGUFReader(done.folder / "lab-2-q8_0.gguf")
    kinds = {tensor.tensor_type.name for tensor in reader.tensors}
    assert "Q8_0" in kinds
    before = json.loads((done.folder / "prompts.json").read_text())["tasks"]["oldest"]["prompt"]["before"]
    assert commands["TEMPLATE"].startswith(before)


def test_a_format_of_llama_quantize_needs_the_program(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = llama_cpp.converter()
    assert script is not None
    monkeypatch.setenv("SAPO_LITE_LLAMA_CPP", str(Path(script[-1]).parent))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SapoLiteError, match=r"--quant q4_k_m: expected llama.cpp's program llama-quantize"):
        export(read_snapshot(run), "gguf", tmp_path / "out", Silent(pytest.fail), quant="q4_k_m")
