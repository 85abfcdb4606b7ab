"""Runs that watch: tested at every stage, never trained, no column of R."""

import shutil
from pathlib import Path

import pytest
from rich.console import Console

from kept import put, value_of
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import RunFolderError
from sapo_lite.recipe import load_recipe
from sapo_lite.report.plan_view import plan
from sapo_lite.report.run_summary import summary
from sapo_lite.run.folder import read_usage
from sapo_lite.run.results import Results
from sapo_lite.run.workplan import plan_of
from sapo_lite.types import learned_tasks
from small import LAB, SETTINGS, small_run

WATCH = (
    LAB,
    "sequence.watch=['general', 'mood']",
    "sequence.train_examples=8",
    "sequence.test_examples=6",
    "scoring.score_examples=8",
    "paraphrase.count=1",
    "training.epochs=1",
    "training.batch_size=8",
    "evaluation.prompts=original",
)
RECIPE = load_recipe("lab", [*SETTINGS, *WATCH])


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results, str]:
    out = tmp_path_factory.mktemp("runs") / "watched"
    return out, *small_run(out, *WATCH)


def read(path: Path) -> dict:
    return value_of(path)


def test_a_watched_task_of_a_suite_has_no_training_rows() -> None:
    tasks = load_sequence(RECIPE.sequence)
    assert [(task.key, task.watched, len(task.train)) for task in tasks] == [
        ("oldest", False, 8),
        ("odd_one_out", False, 8),
        ("mood", True, 0),
    ]
    assert [task.key for task in learned_tasks(tasks)] == ["oldest", "odd_one_out"]


@pytest.mark.slow
def test_what_is_watched_is_tested_at_every_stage_and_never_learned(
    watched: tuple[Path, Results, str],
) -> None:
    out, results, shown = watched
    assert results.tasks == results.lessons == list(results.chosen) == ["oldest", "odd_one_out"]
    assert [len(row) for row in results.matrices["original"]["rougeL"]] == [2, 2, 2]
    assert list(results.watched) == ["mood", "general"]
    for found in results.watched.values():
        assert len(found.scores) == 3
        assert found.drops == [found.scores[0] - score for score in found.scores[1:]]
    assert len(results.watched["general"].parts) == 6
    assert {path.stem for path in (out / "candidates").glob("*.json")} == {"oldest", "odd_one_out"}
    assert f"watched  general {results.watched['general'].scores[-1]:.1f}" in shown


@pytest.mark.slow
def test_scores_of_what_is_watched_are_those_of_its_answers(watched: tuple[Path, Results, str]) -> None:
    out, results, _ = watched
    for number, stage in enumerate(("00-zero-shot", "01-oldest", "02-odd_one_out")):
        for name, rows in (("mood", 6), ("general", 204)):
            kept = read(out / stage / f"watched/{name}.json")
            assert len(kept["rows"]) == rows
            mean = sum(row["score"] for row in kept["rows"]) / rows
            assert results.watched[name].scores[number] == pytest.approx(mean)
            assert read(out / stage / "stage.json")["watched"][name]["score"] == pytest.approx(
                results.watched[name].scores[number]
            )


@pytest.mark.slow
def test_a_run_that_watches_does_what_its_plan_says(watched: tuple[Path, Results, str]) -> None:
    out, *_ = watched
    planned = plan_of(RECIPE, load_sequence(RECIPE.sequence))
    answers = [read(path)["rows"] for path in out.glob("*/predictions/*.json")]
    answers += [read(path)["rows"] for path in out.glob("*/watched/mood.json")]
    assert planned.total.answers.most == sum(map(len, answers))
    assert planned.total.choices == 4 * sum(
        len(read(path)["rows"]) for path in out.glob("*/watched/general.json")
    )


@pytest.mark.slow
def test_the_summary_has_a_table_of_general_ability(watched: tuple[Path, Results, str]) -> None:
    out, results, _ = watched
    console = Console(width=110)
    with console.capture() as shown:
        console.print(summary(results, read_usage(out), out))
    lines = shown.get().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("general ability"))
    assert lines[start + 1].split() == "watched nothing 1 oldest 2 odd_one_out change".split()
    assert lines[start + 2].split()[:2] == ["mood", "(rougeL)"]
    assert [line.split()[0] for line in lines[start + 4 : start + 6]] == ["reasoning", "arithmetic"]


@pytest.mark.slow
def test_scores_of_something_else_that_was_watched_are_refused(
    watched: tuple[Path, Results, str], tmp_path: Path
) -> None:
    out = shutil.copytree(watched[0], tmp_path / "run")
    (out / "results.json").unlink()
    path = out / "02-odd_one_out/stage.json"
    record = read(path)
    del record["watched"]["general"]
    put(path, record)
    with pytest.raises(RunFolderError, match=r"watched \(mood, general\), found mood"):
        small_run(out, *WATCH)


def test_a_dry_run_counts_choices_and_names_what_it_cannot_count() -> None:
    settings = [
        "sequence.watch=['general', 'mood', 'harness:arc_easy']",
        "guard.max_drop=5.0",
        "guard.on=retry",
    ]
    recipe = load_recipe("lab", [*SETTINGS, *settings])
    console = Console(width=110)
    with console.capture() as shown:
        console.print(plan(recipe, load_sequence(recipe.sequence)))
    assert "watch sets: 2,448 choices to score, over all stages" in shown.get()
    assert "mood (watched)" in shown.get()
    assert "not counted: harness:arc_easy, tested at every stage" in shown.get()
    assert "learned again, up to two times" in shown.get()
