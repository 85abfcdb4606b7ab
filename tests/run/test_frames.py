"""A run as tables of pandas: the numbers of results.json, and every row of the run."""

from pathlib import Path

import pytest

from made_runs import made_run, two_tasks, unfinished_run
from report_pages import R, full_run
from sapo_lite import read_frames, read_results
from sapo_lite.errors import RunFolderError
from small import small_run


def test_r_is_a_table_by_stage_and_task(tmp_path: Path) -> None:
    r = read_results(full_run(tmp_path / "run")).matrix()
    assert r.columns.tolist() == ["stars", "mood"]
    assert r.index.tolist() == ["nothing", "stars", "mood"]
    assert r.to_numpy().tolist() == R


def test_scores_are_rows_of_a_table(tmp_path: Path) -> None:
    scores = read_results(full_run(tmp_path / "run")).to_pandas()
    own = scores[(scores.kind == "original") & (scores.metric == "task_metric")]
    assert (
        own.pivot(index="stage", columns="task", values="score")[["stars", "mood"]].to_numpy().tolist() == R
    )
    assert scores.columns.tolist() == ["stage", "after", "task", "kind", "metric", "score"]


@pytest.mark.slow
def test_a_whole_run_is_read_as_tables(tmp_path: Path) -> None:
    results, _ = small_run(tmp_path / "run", "evaluation.prompts=all", "paraphrase.held_out=1")
    frames = read_frames(tmp_path / "run")
    # What was answered gives the scores again.
    rows = frames.rows[frames.rows.kind == "chosen"]
    again = rows.groupby(["stage", "task"]).score.mean().unstack()[results.tasks]
    assert again.to_numpy() == pytest.approx(results.matrix("chosen").to_numpy())
    assert set(frames.rows.kind) == {"chosen", "original", "unseen"}
    # The best candidate of each task is the chosen one.
    best = frames.candidates[frames.candidates["rank"] == 1]
    assert best.chosen.all()
    assert best.set_index("task").text.to_dict() == {t: c.text for t, c in results.chosen.items()}
    # The original and three paraphrases, and one that was held out.
    assert (frames.candidates.groupby("task").loss.agg(["size", "count"]) == [5, 4]).all(axis=None)
    # 32 rows in batches of 16, two epochs, two tasks.
    assert len(frames.steps) == 8
    assert frames.steps.loss.gt(0).all()
    ap = frames.metrics.query("kind == 'chosen' and metric == 'task_metric' and name == 'AP'").value.item()
    assert ap == results.metrics["chosen"]["task_metric"].ap


def test_tables_without_rows_have_their_columns(tmp_path: Path) -> None:
    frames = read_frames(made_run(tmp_path / "run", two_tasks(50.0)))
    assert len(frames.rows) == len(frames.candidates) == len(frames.steps) == 0
    assert {"reference", "score"} <= set(frames.rows)
    assert {"text", "loss"} <= set(frames.candidates)
    assert {"loss", "penalty"} <= set(frames.steps)


def test_a_run_without_candidates_has_the_chosen_wording_alone(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    (run / "candidates" / "stars.json").unlink()
    found = read_frames(run).candidates
    assert found.set_index("task").text.to_dict()["mood"] == "Name the stars."
    assert found.chosen.all()


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    run = unfinished_run(tmp_path / "run", {"stars": ["1"], "mood": ["0"]})
    with pytest.raises(RunFolderError, match="found an unfinished one"):
        read_frames(run)


def test_bounds_without_a_sequence_have_one_row_of_r(tmp_path: Path) -> None:
    results = read_results(made_run(tmp_path / "run", two_tasks(50.0)))
    assert len(results.matrix()) == 3
    assert results.matrix("original").equals(results.matrix())
