"""Results: read as they were written; any other file is refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from kept import put, value_of
from made_runs import made_run, two_tasks
from sapo_lite import read_results
from sapo_lite.data.check.finding import Finding
from sapo_lite.errors import RunFolderError
from sapo_lite.evaluation.robustness import averages, robustness
from sapo_lite.evaluation.rows import Evaluation, Row
from sapo_lite.prompts.choice import Choice
from sapo_lite.prompts.confidence import Difference, Margin
from sapo_lite.prompts.losses import CandidateLoss, scores_to_json
from sapo_lite.prompts.schedules import Rescoring
from sapo_lite.run.results import AnswersRewritten, Results, write_results
from sapo_lite.run.stage_folder import Stage, StageRecord
from sapo_lite.support.checked_json import write_checked
from sapo_lite.types import Candidate

CANDIDATE = Candidate(2, 'say {} "so"\n答案', "builtin")
MARGIN = Margin(2, Difference(1, -0.1, (-0.25, 1e-17), 16), Difference(0, -1.5, None, 1), within_noise=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_run(tmp_path / "run", two_tasks(100 / 3, bwt=-1.0))


def full(results: Results) -> Results:
    """With a value in every key."""
    found = {"stars": robustness([70.0, 10.0], 50.0), "mood": robustness([1 / 3], 50.0), "title": None}
    return replace(
        results,
        chosen={"stars": CANDIDATE},
        certainty={"stars": MARGIN, "mood": None},
        rescorings={"stars": [Rescoring(2, 4, [0.1, 0.2], 0, 0.1, 1, 0)]},
        robustness=found,
        robustness_averages=averages(found),
        rewriting={
            "stars": AnswersRewritten(0.75, 0.25, 0.5, 0.1, 0.9, ("five", "it is five")),
            "mood": AnswersRewritten(0.0, 1.0, 0.0, None, None, None),
        },
        notices=["mood trains on dev.json"],
        findings=[Finding("mood", "small test", "test", "12 test examples", {"rows": 12}, "caution")],
    )


def test_what_is_read_is_what_was_written_and_is_written_to_the_same_bytes(folder: Path) -> None:
    results = full(read_results(folder))
    write_results(folder, results)
    written = (folder / "results.json").read_bytes()
    assert read_results(str(folder)) == results
    write_results(folder, read_results(folder))
    assert (folder / "results.json").read_bytes() == written
    assert list(json.loads(written))[:2] == ["schema_version", "recipe"]
    assert json.loads(written)["metrics"]["chosen"]["rougeL"].keys() == {"ap", "bwt", "fwt"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("chosen"), "expected the key chosen, found none."),
        (
            lambda r: r["certainty"]["stars"].pop("original"),
            "expected the key certainty.stars.original, found",
        ),
        (lambda r: r.update(spare=1), "found the unknown key spare."),
        (lambda r: r.update(seed="1"), 'seed: expected a valid integer, found "1".'),
    ],
)
def test_a_file_that_does_not_fit_is_one_sentence_that_names_it_and_says_what_to_do(
    folder: Path, change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    write_results(folder, full(read_results(folder)))
    content = value_of(folder / "results.json")
    change(content)
    put(folder / "results.json", content)
    with pytest.raises(RunFolderError) as refused:
        read_results(folder)
    assert str(refused.value).startswith(f"{folder / 'results.json'}: {said}")
    assert f"Delete the file and repeat the run with --out {folder}" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"schema_version": 1'])
def test_half_a_file_is_refused(folder: Path, content: bytes) -> None:
    (folder / "results.json").write_bytes(content)
    with pytest.raises(RunFolderError, match=r"results\.json is not valid JSON .*Delete the file and repeat"):
        read_results(folder)


@pytest.mark.parametrize("found", [None, 2, "3"])
def test_another_version_is_refused(folder: Path, found: object) -> None:
    (folder / "results.json").write_text(json.dumps({} if found is None else {"schema_version": found}))
    with pytest.raises(
        RunFolderError, match="written by another version of sapo-lite: expected schema_version 3"
    ):
        read_results(folder)


def test_a_folder_without_results_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "results.json").unlink()
    with pytest.raises(RunFolderError, match="expected a finished run, found an unfinished one"):
        read_results(folder)
    with pytest.raises(RunFolderError, match="expected the folder of a finished run, found no such folder"):
        read_results(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match="found a folder of something else"):
        read_results(tmp_path)


def test_the_record_of_a_stage_is_read_as_it_was_written(tmp_path: Path) -> None:
    choice = Choice("sapo", CANDIDATE, 0.5, 0.75, MARGIN, 16, False, 8, True)
    record = StageRecord({"stars": choice}, {"chosen": [{"rougeL": 100 / 3}, {"rougeL": 0.0}]})
    stage = Stage(tmp_path, of="stage")
    assert not stage.done
    assert stage.finish(record) == stage.record == record
    assert stage.done
    content = value_of(tmp_path / "stage.json")
    del content["choices"]["stars"]["certainty"]["runner_up"]["mean"]
    write_checked(tmp_path / "stage.json", content, stage.place_of("stage.json"))
    with pytest.raises(RunFolderError) as refused:
        _ = stage.record
    key = "choices.stars.certainty.runner_up.mean"
    assert str(refused.value).startswith(
        f"{tmp_path / 'stage.json'}: expected the key {key}, found none. Delete"
    )


def test_values_of_a_stage_are_read_strictly(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    rows = [Row("2 + 3", "five", "five", 100.0), Row("?", ["答", "答案"], "答案", 200 / 3)]
    found = Evaluation(rows, {"rougeL": 100 / 3})
    assert stage.cached_as(Evaluation, "predictions/stars-chosen", lambda: asdict(found)) == found
    stage.write("predictions/stars-chosen", {"rows": []})
    with pytest.raises(
        RunFolderError, match=r"stars-chosen\.json: expected the key scores, found none\. Delete"
    ):
        stage.cached_as(Evaluation, "predictions/stars-chosen", lambda: asdict(found))
    losses = [CandidateLoss(0, (1 / 3, 1e-17), (2, 1), (0, 5), 4, "batch_mean")]
    assert stage.cached_as(list[CandidateLoss], "losses", lambda: scores_to_json(losses)) == losses
    stage.write("losses", [{"index": 0}])
    with pytest.raises(RunFolderError, match=r"losses\.json: expected the key 0\.nll_sum, found none"):
        stage.cached_as(list[CandidateLoss], "losses", lambda: None)


def test_reading_results_and_all_of_the_public_names_but_two_bring_no_torch() -> None:
    programme = """
import sys, sapo_lite
from sapo_lite import Frames, Leaderboard, Results, continual_metrics, load_recipe, load_sequence
from sapo_lite import read_frames, read_results, run_recipe, write_report
import sapo_lite.report.run_summary
heavy = ["torch", "transformers", "unsloth"]
assert not {*heavy, "scipy"} & {*sys.modules}
from sapo_lite import Comparison, compare_folders
assert set(sapo_lite.__all__) <= {"score_prompts", "PromptChoice", "__version__", *globals()}
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", programme], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_an_unknown_name_is_refused() -> None:
    import sapo_lite

    with pytest.raises(AttributeError, match="module 'sapo_lite' has no attribute 'scores'"):
        _ = sapo_lite.scores
