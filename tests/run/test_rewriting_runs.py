"""Whole runs with rewritten answers: their files and reports; nothing else of a run changes."""

import filecmp
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from forked import Program, run_program
from kept import value_of
from sapo_lite.evaluation.metrics import METRICS, TASK_METRIC
from sapo_lite.learning.rewriting import Rewriting
from small import LAB, UNCUT, small_command, small_run

pytestmark = pytest.mark.slow

# The lab's backbone: rewrites of a random one are all refused.
SIZES = (LAB, UNCUT, "sequence.train_examples=16", "sequence.test_examples=6", "scoring.score_examples=8")
REWRITE = (
    *SIZES,
    "rewrite.enabled=true",
    "rewrite.rollouts=4",
    "rewrite.prompts=16",
    "rewrite.batch_size=4",
    "rewrite.learning_rate=1e-3",
)
FOLDERS = {"oldest": "01-oldest", "odd_one_out": "02-odd_one_out"}
# What may differ: the times, the machine's state, and what libraries say.
VARYING = {"usage.json", "history.jsonl", "report.html", "environment.json", "log.txt", ".lock"}


def read(path: Path) -> Any:
    return value_of(path)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The original instruction and the original answers."""
    out = tmp_path_factory.mktemp("runs") / "fixed"
    small_run(out, *SIZES, "prompt.strategy=fixed")
    return out


@pytest.mark.parametrize("policy", ["rl", "best_of"])
def test_a_run_that_rewrites_keeps_and_reports_what_became_of_the_answers(
    tmp_path: Path, policy: str
) -> None:
    results, shown = small_run(
        tmp_path / "run", *REWRITE, "prompt.strategy=rewrite", f"rewrite.policy={policy}"
    )
    assert results.rewriting is not None
    for task, folder in FOLDERS.items():
        kept = read(tmp_path / "run" / folder / "rewrites.json")
        assert (kept["task"], kept["kind"], kept["rollouts"]) == (task, "short", 4)
        assert len(kept["policy_rewards"]) == (4 if policy == "rl" else 0)
        assert len(kept["rows"]) == 16
        for row in kept["rows"]:
            assert (row["rewrite"] is None) == (row["passed"] == 0) == (row["reward"] == 0)
        found = results.rewriting[task]
        assert found.rewritten == sum(row["rewrite"] is not None for row in kept["rows"]) / 16
        assert found.rewritten + found.kept == 1
        assert (found.first_reward is None) == (policy == "best_of")
    assert ("training the rewriter: 4/4 steps · mean reward" in shown) == (policy == "rl")
    assert "rewriting: 16/16 answers" in shown
    assert read(tmp_path / "run/results.json")["rewriting"]["oldest"]["rewritten"] > 0
    names = [*METRICS, TASK_METRIC]
    metrics = [*names, *(f"{metric}_extracted" for metric in names)]
    assert all(list(by_metric) == metrics for by_metric in results.matrices.values())
    scores = read(tmp_path / "run/02-odd_one_out/predictions/oldest-original.json")["scores"]
    assert results.matrices["original"]["exact_match_extracted"][2][0] == scores["exact_match_extracted"]


def test_given_the_same_rows_a_run_is_as_if_there_had_been_no_policy(
    fixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rewriting, "applied", lambda _, rows: rows)
    out = tmp_path / "run"
    small_run(out, *REWRITE, "prompt.strategy=rewrite")
    for folder in FOLDERS.values():
        for file in (fixed / folder / "adapter").iterdir():
            assert file.read_bytes() == (out / folder / "adapter" / file.name).read_bytes(), file.name
        for file in (fixed / folder / "predictions").iterdir():
            assert read(file)["rows"] == read(out / folder / "predictions" / file.name)["rows"]


def test_a_run_that_rewrites_nothing_has_no_rewriting(fixed: Path) -> None:
    results = read(fixed / "results.json")
    assert results["rewriting"] == {}
    assert all(list(by_metric) == [*METRICS, TASK_METRIC] for by_metric in results["matrices"].values())


def test_rewrites_are_made_with_the_chosen_candidate(tmp_path: Path) -> None:
    results, shown = small_run(
        tmp_path / "run", *REWRITE, "sequence.tasks=['oldest']", "rewrite.policy=best_of"
    )
    assert (tmp_path / "run/01-oldest/losses.json").exists()
    assert (tmp_path / "run/01-oldest/rewrites.json").exists()
    assert results.strategy == "sapo"
    assert (
        shown.index("scoring 4 candidates") < shown.index("rewriting 16 answers") < shown.index("training on")
    )


def test_tasks_that_are_learned_together_are_rewritten_one_by_one(tmp_path: Path) -> None:
    settings = (*REWRITE, "prompt.strategy=rewrite", "rewrite.policy=best_of", "adapter.method=joint")
    results, _ = small_run(tmp_path / "run", *settings)
    names = {path.name for path in (tmp_path / "run/01-joint").glob("rewrites*.json")}
    assert names == {"rewrites-oldest.json", "rewrites-odd_one_out.json"}
    assert results.rewriting is not None
    assert list(results.rewriting) == ["oldest", "odd_one_out"]


# --- resume


def kill_at(out: Path, line: str, *settings: str) -> None:
    """Start the run, and kill it as soon as it shows a line that begins so."""
    process = Program(small_command(out, *settings))
    deadline = time.monotonic() + 300
    for shown in process.stderr:
        assert time.monotonic() < deadline, f"{line} was never shown"
        if shown.startswith(line):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, f"ended before {line}"


def files(out: Path) -> set[str]:
    return {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and p.name not in VARYING}


def test_a_run_killed_while_it_rewrites_ends_in_the_same_bytes(tmp_path: Path) -> None:
    settings = (*REWRITE, "prompt.strategy=rewrite", "training.epochs=1", "evaluation.prompts=original")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_program(small_command(whole, *settings)).returncode == 0
    for moment in (
        "training the rewriter: 2/4",
        "rewriting: 8/16",
        "== task 2 of 2: odd_one_out · rewriting",
    ):
        kill_at(broken, moment, *settings)
        assert not (broken / "results.json").exists()
    last = run_program(small_command(broken, *settings))
    assert last.returncode == 0, last.stderr
    assert "R: ROUGE-L of the final answers alone in percent" in last.stdout
    assert "training answers rewritten in the backbone's own words" in last.stdout
    left_by_kills = {name for name in files(broken) if Path(name).name.startswith(".")}
    assert files(whole) == files(broken) - left_by_kills
    _, different, unreadable = filecmp.cmpfiles(whole, broken, files(whole), shallow=False)
    assert (different, unreadable) == ([], [])
