"""`show`, `runs` and `diff`: a run is looked at; its folder stays as it is."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from made_runs import history_line, made_rows, made_run, made_stages, two_tasks, unfinished_run
from sapo_lite.evaluation.rows import Evaluation
from sapo_lite.run.stage_folder import Stage

Typed = Callable[..., subprocess.CompletedProcess[str]]
RIGHT = {"stars": ["00", "11", "10"], "mood": ["00", "00", "01"]}


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    return made_stages(made_run(tmp_path / "finished", two_tasks(50.0)), RIGHT)


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    return unfinished_run(tmp_path / "unfinished", RIGHT, under_way=True)


def files(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_a_finished_run_is_shown_as_at_its_end_and_no_file_is_touched(typed: Typed, finished: Path) -> None:
    before = files(finished)
    shown = typed("show", finished)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "R: ROUGE-L in percent" in shown.stdout
    assert f"everything is in {finished}" in shown.stdout
    assert typed("diff", finished).returncode == typed("runs", finished.parent).returncode == 0
    assert files(finished) == before


def test_an_unfinished_run_is_shown_as_far_as_it_is(typed: Typed, unfinished: Path) -> None:
    (unfinished / "02-mood/history.jsonl").write_text(history_line(12, 40, loss=0.5))
    shown = typed("show", unfinished).stdout
    assert "lab: fixed on lorainc, seed 0; not finished: 2 of 3 stages are done" in shown
    assert "1 stars         100.0   0.0" in shown
    assert "under way: stage 2 (mood), step 12 of 40, loss 0.500" in shown


def test_a_run_that_has_only_begun_is_shown(typed: Typed, unfinished: Path) -> None:
    for stage in ("00-zero-shot", "01-stars"):
        (unfinished / stage / "stage.json").unlink()
    shown = typed("show", unfinished)
    assert shown.returncode == 0
    assert "0 of 3 stages are done" in shown.stdout


def test_runs_lists_a_line_for_every_run(typed: Typed, finished: Path, unfinished: Path) -> None:
    (finished.parent / "other").mkdir()
    (finished.parent / "other/recipe.json").write_text("{}")
    heading, columns, *lines = typed("runs", finished.parent).stdout.splitlines()
    assert heading == f"runs in {finished.parent}, the newest last"
    assert columns.split() == [
        *("run", "recipe", "model", "strategy", "adapter", "seed", "stages", "AP", "BWT", "changed")
    ]
    cells = {line.split()[0]: line.split()[1:-1] for line in lines[:2]}
    assert cells["finished"] == ["lab", "lab", "fixed", "lorainc", "0", "3/3", "50.00", "0.00"]
    assert cells["unfinished"] == ["lab", "lab", "fixed", "lorainc", "0", "2/3", "-", "-"]
    assert lines[2].startswith("note: ")
    assert "other/recipe.json" in lines[2]


def test_runs_says_that_there_is_none(typed: Typed, tmp_path: Path) -> None:
    assert typed("runs", tmp_path).stdout == f"no run in {tmp_path}\n"
    assert typed("runs", tmp_path / "nowhere").returncode == 1


def test_diff_lists_lost_rows_with_input_reference_and_both_answers(typed: Typed, finished: Path) -> None:
    shown = typed("diff", finished, "--stage", "2", "--stage", "1", "--task", "stars").stdout
    assert [line.split() for line in shown.splitlines() if line] == [
        "stars: 1 row lost, 0 gained from stage 1 to stage 2".split(),
        "row 2, lost in stage 2 (mood): 100.0 -> 0.0".split(),
        ["input", "stars", "2"],
        ["reference", "yes"],
        ["before", "yes"],
        ["after", "no"],
    ]


def test_diff_without_options_has_every_task_since_it_was_learned(typed: Typed, finished: Path) -> None:
    shown = typed("diff", finished).stdout
    assert "stars: 1 row lost, 0 gained since it was learned" in shown
    assert "mood: 0 rows lost, 0 gained since it was learned" in shown


def test_diff_reads_the_answers_under_the_kind_of_prompt_that_is_named(typed: Typed, finished: Path) -> None:
    for folder in ("00-zero-shot", "01-stars", "02-mood"):
        stage = Stage(finished / folder)
        stage.finish(replace(stage.record, scores={"chosen": [], **stage.record.scores}))
        for task in RIGHT:
            evaluation = Evaluation(made_rows(task, "11"), {"task_metric": 100.0})
            stage.write(f"predictions/{task}-chosen", asdict(evaluation))
    assert "stars: 0 rows lost, 0 gained since it was learned\n" in typed("diff", finished).stdout
    shown = typed("diff", finished, "--kind", "original").stdout
    assert "stars: 1 row lost, 0 gained since it was learned, original prompts\n" in shown


def test_diff_as_json_has_whole_rows(typed: Typed, finished: Path) -> None:
    (row,) = json.loads(typed("diff", finished, "--json", "-").stdout)
    assert row == {
        **{"task": "stars", "stage": 2, "row": 2, "input": "stars 2", "reference": "yes"},
        **{"before": "yes", "after": "no", "score_before": 100.0, "score_after": 0.0},
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stage", "1"], "--stage: expected it twice or not at all, found 1 of them"),
        (["--task", "star"], "--task: expected stars or mood, found star; did you mean stars?"),
        (["--kind", "choosen"], "--kind: expected original, found choosen"),
        (["--stage", "1", "--stage", "4"], "expected two finished stages of the run, out of 0, 1, 2"),
    ],
)
def test_diff_says_what_it_cannot_compare(
    typed: Typed, finished: Path, options: list[str], said: str
) -> None:
    done = typed("diff", finished, *options)
    assert done.returncode in (1, 2)
    assert said in done.stderr


def test_texts_of_rows_are_shown_as_they_are(typed: Typed, finished: Path) -> None:
    """Square brackets are no markup, and a long input is cut."""
    from dataclasses import asdict

    from sapo_lite.evaluation.rows import Evaluation, Row
    from sapo_lite.run.stage_folder import Stage

    for stage, score in (("01-stars", 100.0), ("02-mood", 0.0)):
        rows = [Row("[red]a[/red] " + 500 * "long ", ["1", "one"], f"[b]{score}[/b]", score)]
        evaluation = Evaluation(rows, {"task_metric": score})
        Stage(finished / stage).write("predictions/stars-original", asdict(evaluation))
    shown = typed("diff", finished, "--task", "stars").stdout
    assert "[red]a[/red] long" in shown
    assert "…" in shown
    assert "1 | one" in shown
    assert "[b]0.0[/b]" in shown
