"""Runs read from their folders, finished or not: stages, rows, rows that changed, and what a run is."""

import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from kept import put, value_of
from made_runs import history_line, made_rows, made_run, made_stages, two_tasks, unfinished_run
from sapo_lite.errors import RunFolderError
from sapo_lite.evaluation.rows import Evaluation
from sapo_lite.run.overview import find_runs, read_overview
from sapo_lite.run.read_run import changed_rows, read_stages
from sapo_lite.run.results import read_results
from sapo_lite.run.stage_folder import Stage
from small import small_run

RIGHT = {
    "stars": ["0000", "1110", "0101"],
    "mood": ["0000", "0000", "1111"],
    "general": ["11", "10", "01"],
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return unfinished_run(tmp_path / "run", RIGHT)


def test_stages_have_their_numbers_names_tasks_and_rows(run: Path) -> None:
    stages = read_stages(run)
    assert [(s.number, s.name, s.tasks) for s in stages] == [
        (0, "zero-shot", ()),
        (1, "stars", ("stars",)),
        (2, "mood", ("mood",)),
    ]
    assert stages[1].rows("stars") == stages[1].rows("stars", "original") == made_rows("stars", "1110")
    assert stages[2].rows("general") == made_rows("general", "01")


def test_a_stage_that_is_under_way_has_the_rows_that_are_answered_and_no_record(tmp_path: Path) -> None:
    *_, last = read_stages(unfinished_run(tmp_path / "run", RIGHT, under_way=True))
    assert (last.number, last.tasks, last.record) == (2, (), None)
    assert last.rows("mood") == made_rows("mood", "1111")


def test_kinds_with_equal_prompts_share_one_file_of_rows(run: Path) -> None:
    stage = Stage(run / "02-mood")
    chosen = Evaluation(made_rows("stars", "1000"), {"task_metric": 25.0})
    stage.write("predictions/stars-chosen", asdict(chosen))
    wordings = {"other": {"stars": {"task_metric": 25.0}, "mood": {"rougeL": 100.0, "task_metric": 100.0}}}
    stage.finish(replace(stage.record, wordings=wordings))
    *_, last = read_stages(run)
    assert last.rows("stars", "other") == last.rows("stars", "chosen") == chosen.rows
    assert last.rows("mood", "other") == last.rows("mood", "chosen") == made_rows("mood", "1111")


def test_rows_that_are_not_there_are_one_sentence(run: Path) -> None:
    expected = (
        "expected answers to title under original prompts, found general, mood-original, stars-original"
    )
    with pytest.raises(RunFolderError, match=expected):
        read_stages(run)[1].rows("title")


def test_rows_of_a_damaged_file_are_refused(run: Path) -> None:
    file = run / "01-stars/predictions/stars-original.json"
    file.write_text(file.read_text().replace("yes", "no"))
    with pytest.raises(RunFolderError, match="not as sapo-lite wrote it"):
        read_stages(run)[1].rows("stars")


def test_seconds_and_history_are_those_of_the_stage(run: Path) -> None:
    put(run / "01-stars/usage.json", {"seconds": {"train": 2.5}})
    lines = [history_line(step, 3, loss=0.5) for step in (1, 2)]
    (run / "01-stars/history.jsonl").write_text("".join([*lines, '{"step": 3, "lo']))
    zero_shot, first, _ = read_stages(run)
    assert first.seconds == {"train": 2.5}
    assert [line["step"] for line in first.history] == [1, 2]  # a killed process cuts its last line
    assert (zero_shot.seconds, zero_shot.history) == ({}, [])


def test_changed_rows_are_counted_from_the_stage_in_which_a_task_was_learned(run: Path) -> None:
    stages = read_stages(run)
    found = changed_rows(stages, "stars")
    assert [(flip.row, flip.stage, flip.lost) for flip in found] == [
        (1, 2, True),
        (3, 2, True),
        (4, 2, False),
    ]
    assert changed_rows(stages, "mood") == []
    assert [flip.row for flip in changed_rows(stages, "general")] == [1]
    whole = changed_rows(stages, "stars", 0, 2)
    assert [(flip.row, flip.stage) for flip in whole] == [(2, 1), (4, 2)]


@pytest.mark.parametrize(("first", "last"), [(2, 1), (0, 3), (7, 9)])
def test_stages_that_are_not_there_are_named(run: Path, first: int, last: int) -> None:
    with pytest.raises(RunFolderError, match=f"out of 0, 1, 2, found {first} and {last}"):
        changed_rows(read_stages(run), "stars", first, last)


def test_an_overview_says_how_far_a_run_is(run: Path, tmp_path: Path) -> None:
    found = read_overview(run)
    assert (found.name, found.model, found.strategy, found.adapter, found.seed) == (
        *("lab", "lab", "fixed", "lorainc"),
        0,
    )
    assert (found.stages, found.done, found.results, found.value("AP")) == (3, 3, None, None)
    assert found.task_metrics == {"stars": "rougeL", "mood": "rougeL"}
    finished = read_overview(made_run(tmp_path / "finished", two_tasks(60.0, bwt=-2.0)))
    assert (finished.value("AP"), finished.value("BWT")) == (60.0, -2.0)


def test_an_overview_of_a_method_that_trains_nothing_has_one_stage_and_no_strategy(tmp_path: Path) -> None:
    run = unfinished_run(tmp_path / "run", {"stars": ["1"], "mood": ["0"]})
    settings = value_of(run / "recipe.json")
    settings["recipe"]["adapter"]["method"] = "zero"
    put(run / "recipe.json", settings)
    found = read_overview(run)
    assert (found.stages, found.done, found.strategy) == (1, 1, "-")


def test_runs_are_found_one_level_below_too_and_what_cannot_be_read_is_named(
    run: Path, tmp_path: Path
) -> None:
    made_stages(made_run(tmp_path / "compare/sapo", two_tasks(1.0), strategy="sapo"), RIGHT)
    shutil.copytree(run, tmp_path / "damaged")
    (tmp_path / "damaged/recipe.json").write_text("{")
    found, faults = find_runs(tmp_path)
    assert [one.folder.relative_to(tmp_path).as_posix() for one in found] == ["run", "compare/sapo"]
    (fault,) = faults
    assert "damaged/recipe.json is not valid JSON" in fault


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RunFolderError, match="expected the folder of a run, found a folder of something else"
    ):
        read_stages(tmp_path)
    with pytest.raises(RunFolderError, match="expected the folder of a run, found no such folder"):
        read_overview(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match="expected a folder of runs, found no such folder"):
        find_runs(tmp_path / "nowhere")


@pytest.mark.slow
def test_rows_of_a_real_run_have_the_scores_of_its_matrix(tmp_path: Path) -> None:
    results, _ = small_run(tmp_path, "training.epochs=1")
    stages = read_stages(tmp_path)
    for kind, by_metric in results.matrices.items():
        for stage, row in zip(stages, by_metric["task_metric"], strict=True):
            for task, score in zip(results.tasks, row, strict=True):
                found = [one.score for one in stage.rows(task, kind)]
                assert sum(found) / len(found) == pytest.approx(score)
    assert stages[2].seconds["train"] > 0


def test_a_comparison_in_place_of_a_run_is_refused_with_a_run_to_name(tmp_path: Path) -> None:
    (tmp_path / "comparison.json").write_text("{}", encoding="utf-8")
    made_run(tmp_path / "fixed-lorainc-0", two_tasks(50.0))
    expected = f"found a comparison; name one of its runs, such as {tmp_path / 'fixed-lorainc-0'}"
    for read in (read_stages, read_results):
        with pytest.raises(RunFolderError, match=re.escape(expected)):
            read(tmp_path)
