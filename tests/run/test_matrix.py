"""The test matrix of real runs: every kind of prompt right after learning and at the end, and retention."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from test_resume import assert_same_bytes, kill_when

from kept import put, value_of
from made_runs import made_results, two_tasks
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import RecipeError, RunFolderError
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.recipe import load_recipe
from sapo_lite.report.run_summary import summary
from sapo_lite.run.folder import read_usage
from sapo_lite.run.inputs import OTHER_RUN
from sapo_lite.run.results import Results, Wording, read_results
from sapo_lite.run.start import finished_results
from sapo_lite.run.workplan import Work, plan_of
from small import LAB, SETTINGS, small_run

# "worst" chooses a candidate that is not the original. Three tasks: what is in the middle is lost once.
MATRIX = (
    LAB,
    "sequence.tasks=['oldest','odd_one_out','mood']",
    "sequence.test_examples=6",
    "training.epochs=1",
    "evaluation.matrix=true",
    "evaluation.prompts=original",
    "paraphrase.held_out=2",
)
TASKS = ["oldest", "odd_one_out", "mood"]


def shown(results: Results, folder: Path, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(summary(results, read_usage(folder), folder))
    return console.file.getvalue()  # type: ignore[attr-defined]


def answers(run: Path, stage: int, task: str, kind: str) -> Any:
    (file,) = run.glob(f"{stage:02d}-*/predictions/{task}-{kind}.json")
    return value_of(file)


@pytest.fixture(scope="module")
def worst(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("matrix") / "worst"
    small_run(out, *MATRIX, "prompt.strategy=worst")
    return out


@pytest.fixture(scope="module")
def fixed(worst: Path) -> Path:
    """Trained with the original wordings, and also tested with what "worst" has chosen."""
    out = worst.parent / "fixed"
    small_run(out, *MATRIX, "prompt.strategy=fixed", f"evaluation.other_run={worst}")
    return out


@pytest.mark.slow
def test_every_kind_is_tested_right_after_learning_and_at_the_end(worst: Path, fixed: Path) -> None:
    found = {run: read_results(run) for run in (worst, fixed)}
    assert list(found[worst].wordings) == ["original", "chosen", "unseen"]
    assert list(found[fixed].wordings) == ["original", "chosen", "unseen", "other"]
    for run, results in found.items():
        for kind, by_task in results.wordings.items():
            assert list(by_task) == TASKS
            for number, task in enumerate(TASKS, start=1):
                # With `fixed`, the chosen prompt is the original, whose answers are not asked for twice.
                file = "original" if (run, kind) == (fixed, "chosen") else kind
                cells = [answers(run, stage, task, file)["scores"][TASK_METRIC] for stage in (number, 3)]
                assert by_task[task] == Wording(*cells), (kind, task)
    assert not list(fixed.glob("*/predictions/*-chosen.json"))


@pytest.mark.slow
def test_cells_are_those_of_the_matrix_of_kinds_that_are_tested_at_every_stage(fixed: Path) -> None:
    results = read_results(fixed)
    assert list(results.matrices) == ["original"]
    r = results.matrices["original"][TASK_METRIC]
    cells = {task: Wording(r[j + 1][j], r[3][j]) for j, task in enumerate(TASKS)}
    assert results.wordings["original"] == results.wordings["chosen"] == cells


@pytest.mark.slow
def test_in_task_retention_and_ap_are_those_of_the_cells(worst: Path) -> None:
    results = read_results(worst)
    assert set(results.retention) == set(results.metrics) == set(results.wordings)
    for kind, by_task in results.wordings.items():
        cells, kept = list(by_task.values()), results.retention[kind][TASK_METRIC]
        shares = [cell.end / cell.learned for cell in cells[:-1] if cell.learned]
        assert kept.in_task == pytest.approx(sum(cell.learned for cell in cells) / 3)
        assert kept.retention == (pytest.approx(sum(shares) / len(shares)) if shares else None)
        assert kept.left_out == 2 - len(shares)
        metrics = results.metrics[kind][TASK_METRIC]
        assert metrics.ap == pytest.approx(sum(cell.end for cell in cells) / 3)
        assert (metrics.bwt is None) == (kind != "original")


@pytest.mark.slow
def test_tasks_that_are_not_just_learned_are_tested_with_the_kinds_of_every_stage(worst: Path) -> None:
    asked = {stage: {p.stem for p in worst.glob(f"{stage:02d}-*/predictions/*")} for stage in range(4)}
    original = {f"{task}-original" for task in TASKS}
    assert asked[0] == original
    assert asked[1] == {*original, "oldest-chosen", "oldest-unseen"}
    assert asked[2] == {*original, "odd_one_out-chosen", "odd_one_out-unseen"}
    assert asked[3] == {f"{task}-{kind}" for task in TASKS for kind in ("original", "chosen", "unseen")}


@pytest.mark.slow
def test_the_other_run_s_prompts_are_asked(worst: Path, fixed: Path) -> None:
    """A run that ends in the same weights but has chosen these prompts itself gives the same answers."""
    chosen = {task: candidate.text for task, candidate in read_results(worst).chosen.items()}
    recipe = load_recipe("lab", [*SETTINGS, *MATRIX])
    assert all(chosen[task.key] != task.instruction for task in load_sequence(recipe.sequence))
    again = fixed.parent / "with-its-own"
    small_run(again, *MATRIX, "prompt.strategy=fixed", f"evaluation.other_run={fixed}")
    theirs = read_results(again)
    assert theirs.wordings["other"] == theirs.wordings["original"]  # what `fixed` chose
    assert theirs.wordings["original"] == read_results(fixed).wordings["original"]
    assert read_results(fixed).wordings["other"] != theirs.wordings["other"]


@pytest.mark.slow
def test_a_run_killed_in_the_matrix_ends_in_the_same_bytes(fixed: Path, worst: Path) -> None:
    broken = fixed.parent / "broken"
    settings = (*MATRIX, "prompt.strategy=fixed", f"evaluation.other_run={worst}")
    for stage, task in (("01-oldest", "oldest"), ("03-mood", "odd_one_out")):
        kill_when(broken, f"{stage}/predictions/{task}-other.json", settings)
        assert not (broken / stage / "stage.json").exists()
    small_run(broken, *settings)
    assert_same_bytes(fixed, broken)


@pytest.mark.slow
def test_another_choice_of_the_other_run_is_noticed(fixed: Path, worst: Path) -> None:
    settings = [*SETTINGS, *MATRIX, "prompt.strategy=fixed", f"evaluation.other_run={worst}"]
    recipe = load_recipe("lab", settings)
    assert finished_results(recipe, fixed) == read_results(fixed)
    file = worst / "results.json"
    before = file.read_text(encoding="utf-8")
    content = value_of(file)
    content["chosen"]["mood"]["text"] += " Please."
    try:
        put(file, content)
        with pytest.raises(RunFolderError, match=rf"{OTHER_RUN} has changed \(prompts\)"):
            finished_results(recipe, fixed)
    finally:
        file.write_text(before, encoding="utf-8")


@pytest.mark.slow
def test_the_summary_has_all_of_it_at_any_width(fixed: Path) -> None:
    results = read_results(fixed)
    for width in (40, 80, 200):
        text = shown(results, fixed, width)
        assert all(len(line.rstrip()) <= width for line in text.splitlines())
        for cell in (own for by_task in results.wordings.values() for own in by_task.values()):
            assert f"{cell.learned:.1f} -> {cell.end:.1f}" in text
        assert "retention" in text
    assert "mean over j<N of R[N,j] / R[j,j]" in text


def test_a_summary_counts_the_tasks_that_are_not_in_the_retention(tmp_path: Path) -> None:
    unlearned = [[0.0, 0.0], [0.0, 0.0], [10.0, 50.0]]
    results = made_results({"chosen": unlearned, "original": two_tasks(50.0)}, "fixed", "lorainc", 0)
    said = "retention leaves out tasks with R[j,j] = 0: 1 with chosen prompts"
    text = shown(results, tmp_path, 120)
    assert said in text
    assert next(line.split()[1] for line in text.splitlines() if line.startswith("retention ")) == "-"


# --- other methods


@pytest.mark.slow
def test_tasks_that_are_learned_together_are_tested_once(tmp_path: Path) -> None:
    results, _ = small_run(tmp_path / "run", *MATRIX, "prompt.strategy=worst", "adapter.method=joint")
    for by_task in results.wordings.values():
        assert all(cell.learned == cell.end for cell in by_task.values())
    assert all(kept[TASK_METRIC].retention is None for kept in results.retention.values())
    assert results.metrics["unseen"][TASK_METRIC].ap == pytest.approx(
        sum(cell.end for cell in results.wordings["unseen"].values()) / 3
    )


@pytest.mark.slow
def test_where_nothing_is_learned_there_is_no_matrix(tmp_path: Path) -> None:
    results, _ = small_run(tmp_path / "run", *MATRIX, "adapter.method=zero")
    assert (results.wordings, list(results.retention)) == ({}, ["original"])
    assert results.retention["original"][TASK_METRIC].in_task is None


# --- the other run


def test_an_other_run_needs_the_matrix() -> None:
    with pytest.raises(
        RecipeError, match=r'evaluation\.matrix: expected true \(evaluation\.other_run is "x"'
    ):
        load_recipe("lab", ["evaluation.other_run=x"])


def changed(key: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def apply(run: Path) -> None:
        content = value_of(run / "results.json")
        content[key] = change(content[key])
        put(run / "results.json", content)

    return apply


FAST = ("training.epochs=1", "prompt.strategy=fixed", "evaluation.matrix=true")


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("matrix") / "fast"
    small_run(out, *FAST)
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: (run / "results.json").unlink(), "expected a finished run, found an unfinished one"),
        (lambda run: (run / "recipe.json").unlink(), "found a folder of something else"),
        (
            changed("chosen", lambda chosen: {"oldest": chosen["oldest"]}),
            "expected a run that learned oldest, odd_one_out, found one that learned oldest in",
        ),
        (changed("chosen", lambda _: {}), "found one that learned nothing in"),
    ],
)
def test_an_other_run_that_does_not_fit_is_refused_before_a_model_loads(
    fast: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    shutil.copytree(fast, tmp_path / "other")
    spoil(tmp_path / "other")
    with pytest.raises(RunFolderError, match=rf"^evaluation\.other_run: .*{said}"):
        small_run(tmp_path / "run", *FAST, f"evaluation.other_run={tmp_path / 'other'}")
    assert not (tmp_path / "run/environment.json").exists()


def test_a_plan_counts_the_other_prompts_as_possibly_new() -> None:
    """Three tasks at four stages with the original; then two kinds more right after and at the end."""

    def planned(*settings: str) -> Work:
        recipe = load_recipe("lab", [*SETTINGS, *MATRIX, *settings])
        return plan_of(recipe, load_sequence(recipe.sequence)).total

    test, cells = 6, 5  # three right after learning, three at the end, one of them the same
    without = planned("prompt.strategy=fixed")
    assert (without.answers.most, without.answers.exact) == (test * (3 * 4 + cells), True)
    other = planned("prompt.strategy=fixed", "evaluation.other_run=x")
    assert (other.answers.most, other.answers.exact) == (test * (3 * 4 + 2 * cells), False)
