"""Tasks of lm-evaluation-harness on our backbone. They need its package; a task's data are local files."""

import json
import sys
from pathlib import Path

import pytest

from sapo_lite.errors import DataError
from sapo_lite.evaluation.harness import load_harness_task, score_harness
from sapo_lite.evaluation.rows import Row
from sapo_lite.model.chat import EncodedRow
from tiny import load, plain_nll, save_model

CHOICES = """\
task: tiny_choices
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: ["joy", "money", "quoted"]
doc_to_target: answer
metric_list: [{{metric: acc}}]
"""
ANSWERS = """\
task: tiny_answers
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "x"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 4}}
metric_list: [{{metric: exact_match}}]
"""
QUESTIONS = ["Text: the film was", "I would not watch this for", "Read the", "Read the text"]


def test_a_harness_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(DataError, match=r"harness:arc_easy.*pip install 'sapo-lite\[harness\]'"):
        load_harness_task("arc_easy", None)


@pytest.fixture
def own_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    pytest.importorskip("lm_eval", reason="the extra `harness` is not installed")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = [{"question": question, "answer": n % 3} for n, question in enumerate(QUESTIONS)]
    (tmp_path / "rows.json").write_text("\n".join(map(json.dumps, rows)))

    def write(text: str) -> Path:
        file = tmp_path / "task.yaml"
        file.write_text(text.format(data=tmp_path / "rows.json"))
        return file

    return write


@pytest.mark.slow
def test_choices_of_a_task_have_the_likelihood_of_the_plain_model(own_task, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    backbone = load(save_model("llama", tmp_path / "model"))
    tasks = load_harness_task("task.yaml", own_task(CHOICES))
    found = score_harness(backbone, tasks, limit=3)

    def encode(text: str) -> list[int]:
        return backbone.tokenizer(text, add_special_tokens=False)["input_ids"]

    best = []
    for question in QUESTIONS[:3]:
        losses = []
        for choice in ("joy", "money", "quoted"):
            row = EncodedRow(tuple(encode(f"{question} {choice}")), len(encode(question)))
            losses.append(plain_nll(backbone.causal_lm, row))
        best.append(losses.index(min(losses)))
    assert found.metric == "acc"
    choices = ("joy", "money", "quoted")
    assert found.rows == [
        Row(QUESTIONS[n], choices[n], choices[choice], 100.0 * (choice == n)) for n, choice in enumerate(best)
    ]
    assert found.parts == {}


@pytest.mark.slow
def test_answers_end_at_the_tasks_stop_words(own_task, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    backbone = load(save_model("qwen3", tmp_path / "model"))
    found = score_harness(backbone, load_harness_task("task.yaml", own_task(ANSWERS)), limit=4)
    assert [(row.input, row.reference, row.score) for row in found.rows] == [(q, "x", 0.0) for q in QUESTIONS]
    assert all("\n" not in row.answer for row in found.rows)


def test_a_task_that_the_harness_does_not_know_is_refused(own_task) -> None:  # type: ignore[no-untyped-def]
    file = own_task("task: [")
    with pytest.raises(DataError, match=r"harness:task.yaml: lm-eval cannot load it"):
        load_harness_task("task.yaml", file)
