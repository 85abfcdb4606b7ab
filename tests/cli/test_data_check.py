"""`sapo-lite data check`: what it prints and how it ends, for recipes, suites and tasks."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

Typed = Callable[..., CompletedProcess[str]]

ENTRY = {"instruction": "Is it spam?", "suffix": "Answer yes or no.", "labels": ["yes", "no"]}


def rows(name: str, count: int) -> list[dict[str, str]]:
    return [{"sentence": f"{name} {n}", "label": ("yes", "no")[n % 2]} for n in range(count)]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of one task without faults: 20 rows to train, 400 to test."""
    folder = tmp_path / "shop"
    (folder / "spam").mkdir(parents=True)
    put(folder / "instructions.json", {"spam": ENTRY})
    put(folder / "spam/train.json", rows("train", 20))
    put(folder / "spam/test.json", rows("test", 400))
    return folder


def put(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def found(typed: Typed, *words: str | Path) -> tuple[int, dict[str, Any]]:
    """Exit status, and the findings by task and kind."""
    done = typed("data", "check", *words, "--plain", "--json", "-")
    content = json.loads(done.stdout)
    return done.returncode, {
        task["task"]: {(f["kind"], f["split"]): f for f in task["findings"]} for task in content["tasks"]
    }


@pytest.mark.parametrize("what", ["", "spam"])
def test_a_suite_or_task_without_faults_ends_with_0(what: str, suite: Path, typed: Typed) -> None:
    done = typed("data", "check", suite / what, "--plain")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["spam", "train", "20", "20", "yes", "10,", "no", "10"] in lines
    assert ["0", "findings", "in", "1", "task"] in lines


def test_findings_are_printed_written_and_end_with_1(suite: Path, tmp_path: Path, typed: Typed) -> None:
    put(suite / "spam/train.json", [*rows("train", 20), {"sentence": "test 7", "label": "No"}])
    done = typed("data", "check", suite, "--plain", "--json", tmp_path / "found.json")
    assert done.returncode == 1
    shown = " ".join(done.stdout.split())
    assert 'fault 1 of 21 train answers are none of the labels: "No" (1 row, like "no")' in shown
    assert 'fault 1 of 400 test inputs are train inputs, such as "test 7"' in shown
    (task,) = json.loads((tmp_path / "found.json").read_text())["tasks"]
    assert task["splits"][0] == {
        "split": "train",
        "rows": 21,
        "distinct": 21,
        "classes": {"yes": 10, "no": 10},
        "tokens": None,
    }
    assert [finding["kind"] for finding in task["findings"]] == ["outside labels", "leaked input"]
    assert task["findings"][1]["numbers"] == {"rows": 1, "of": 400}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"sentence": "", "label": "yes"}] * 9, "unusable"),
        ([{"sentence": "a"}], 'expected a column such as "answer"'),
        ("no rows", "expected a list of rows"),
    ],
)
def test_data_that_cannot_be_used_ends_with_2(
    content: object, message: str, suite: Path, typed: Typed
) -> None:
    put(suite / "spam/test.json", content)
    done = typed("data", "check", suite, "--plain")
    assert done.returncode == 2
    assert message in done.stdout + done.stderr


def test_what_is_neither_a_recipe_nor_a_suite_ends_with_2(tmp_path: Path, typed: Typed) -> None:
    assert "expected a recipe, the folder of a suite" in (done := typed("data", "check", tmp_path)).stderr
    assert done.returncode == 2
    assert "no such recipe" in (done := typed("data", "check", "nowhere")).stderr
    assert done.returncode == 2


def test_of_a_suite_with_more_tasks_than_folders_those_that_are_there_are_checked(
    suite: Path, typed: Typed
) -> None:
    put(suite / "instructions.json", {"spam": ENTRY, "stars": ENTRY})
    done = typed("data", "check", suite, "--plain")
    assert "note: 1 task of instructions.json has no folder here: stars" in done.stdout
    assert done.returncode == 0


def test_of_a_recipe_all_rows_are_checked_but_only_those_it_uses_are_missed_or_cut(
    suite: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As of a published suite, whose first rows are used.
    monkeypatch.setattr("sapo_lite.data.tasks.IN_ORDER", ("shop",))
    ordered = sorted(rows("train", 60), key=lambda row: row["label"])
    long = {"sentence": "the boat " * 200, "label": "no"}
    put(suite / "spam/train.json", [*ordered[:25], long, *ordered[25:]])
    own = {"sequence.suite": "shop", "sequence.tasks": "['spam']", "sequence.test_examples": "40"}
    settings = [word for key, value in own.items() for word in ("--set", f"{key}={value}")]
    few = (*settings, "--set", "sequence.train_examples=20")
    status, findings = found(typed, "lab", "--data", suite.parent, *few)
    assert status == 1
    texts = {kind: finding["text"] for kind, finding in findings["spam"].items()}
    assert texts["sorted", "train"].startswith("61 train rows are sorted by answer: 2 runs")
    assert texts["label without rows", "train"] == (
        'none of 20 train examples has the answer "yes", which 20 of 40 test examples have'
    )
    assert texts["small test", "test"].startswith("40 test examples")
    assert ("cut input", "train") not in texts  # the long one is not drawn
    assert "1 of 61 train inputs are cut at their end" in str(
        found(typed, "lab", "--data", suite.parent, *settings)
    )


@pytest.mark.parametrize(("draw", "said"), [((), True), (("--set", "sequence.draw=0"), False)])
def test_the_first_rows_are_noted_only_where_they_are_used(
    draw: Sequence[str], said: bool, suite: Path, tmp_path: Path, typed: Typed
) -> None:
    suite.rename(tmp_path / "TRACE")
    own = ("--set", "sequence.suite=TRACE", "--set", "sequence.tasks=['spam']")
    shown = " ".join(typed("data", "check", "lab", "--data", tmp_path, "--plain", *own, *draw).stdout.split())
    assert ("note: TRACE: the first rows of every file are used" in shown) == said


def test_a_models_tokens_are_counted_where_it_is_named(suite: Path, typed: Typed) -> None:
    done = typed("data", "check", suite, "--plain", "--json", "-", "--model", "lab")
    (task,) = json.loads(done.stdout)["tasks"]
    assert 10 < task["splits"][0]["tokens"]["50"] <= task["splits"][0]["tokens"]["100"] < 60


def test_without_the_tokenizer_of_a_recipes_model_lengths_are_left_out_and_that_is_said(
    suite: Path, typed: Typed
) -> None:
    settings = ("sequence.suite=shop", "sequence.tasks=['spam']", "model.name=./nowhere")
    words = [word for setting in settings for word in ("--set", setting)]
    done = typed("data", "check", "lab", "--data", suite.parent, "--plain", *words)
    assert "lengths and cut inputs are not checked: No model at" in " ".join(done.stdout.split())
    assert done.returncode == 1, done.stderr  # it has few tests
    done = typed("data", "check", suite, "--plain", "--model", "./nowhere")
    assert done.returncode == 2


# --- the published suites


@pytest.mark.slow
@pytest.mark.benchmarks_data
@pytest.mark.parametrize(
    ("task", "kind", "split", "level", "numbers"),
    [
        ("FOMC", "leaked input", "dev", "caution", {"rows": 496, "of": 496}),
        ("FOMC", "leaked input", "train", "fault", {"rows": 16, "of": 496}),
        ("NumGLUE-cm", "repeated input", "train", "fault", {"rows": 5000 - 282, "of": 5000}),
    ],
)
def test_what_is_known_of_trace_is_found(
    task: str, kind: str, split: str, level: str, numbers: object, benchmarks: Path, typed: Typed
) -> None:
    _, findings = found(typed, benchmarks / "TRACE" / task)
    finding = findings[task][kind, split]
    assert (finding["level"], finding["numbers"]) == (level, numbers)


def cuts(typed: Typed, benchmarks: Path, *settings: str) -> Sequence[str]:
    words = [word for setting in settings for word in ("--set", setting)]
    _, findings = found(typed, "ni_seq_c1_cpu", "--data", benchmarks, *words)
    return [f["text"] for task in findings.values() for (kind, _), f in task.items() if kind == "cut input"]


@pytest.mark.slow
@pytest.mark.benchmarks_data
def test_the_recipe_for_laptops_cuts_no_input_and_a_budget_too_small_for_its_options_is_found(
    benchmarks: Path, typed: Typed
) -> None:
    assert cuts(typed, benchmarks) == []
    small = ("sequence.tasks=['611']", "model.max_source_tokens=256", "sequence.train_examples=64")
    train, test = cuts(typed, benchmarks, *small)
    assert train.startswith('64 of 64 train inputs are cut at their end; "D" is left in ')
    assert test.startswith('40 of 40 test inputs are cut at their end; "D" is left in ')
