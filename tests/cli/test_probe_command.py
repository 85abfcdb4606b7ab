"""`sapo-lite probe`: its plan, and what it refuses. tests/probe has whole probes."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from kept import put
from small import PROBE, UNCUT

Typed = Callable[..., CompletedProcess[str]]


def typed_probe(typed: Typed, out: Path, *more: str | Path) -> CompletedProcess[str]:
    flags = [flag for setting in PROBE for flag in ("--set", setting)]
    return typed("probe", "lab", "--out", out, "--dry-run", *flags, *more)


def test_a_dry_run_counts_the_trainings_and_writes_nothing(tmp_path: Path, typed: Typed) -> None:
    done = typed_probe(typed, tmp_path / "new", "--seeds", "1", "--after", "1,2", "--accuracy")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    # 3 candidates, 2 orders; 8 scoring examples, also answered; 2 steps each; 3 kinds of prompt, 18 examples
    assert ["after", "1", "task", "odd_one_out", "6", "24", "12", str(24 + 6 * 54)] in rows
    assert ["after", "2", "tasks", "mood", "6", "24", "12", str(24 + 6 * 54)] in rows
    assert not (tmp_path / "new").exists()


def test_the_recipe_of_a_state_without_candidates_has_them_made(tmp_path: Path, typed: Typed) -> None:
    bare = ("--set", "paraphrase.held_out=0", "--set", "evaluation.prompts=both")
    done = typed_probe(typed, tmp_path / "new", *bare)
    assert 'paraphrase.held_out = 1, since the strategy "fixed" alone has no candidates made' in done.stdout
    done = typed_probe(typed, tmp_path / "new", *bare, "--state", "sapo")
    assert "paraphrase.held_out" not in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--after", "0"],
            "--after 0: expected numbers of tasks from 1 to 2, so that one is left to learn, ",
        ),
        (["--after", "1,3"], "found 3"),
        (["--after", "all"], "--after: expected numbers such as 1,2,3 or 1-3, found 'all'"),
        (["--set", "sequence.tasks=['mood']"], "expected at least 2 tasks to learn, found 1"),
        (["--set", "adapter.method=joint"], "expected one that learns a task after another, found"),
        (["--set", "rewrite.enabled=true", "--set", UNCUT], "a probe trains with the answers as they are"),
        (["--set", "paraphrase.count=0"], "there is nothing to compare"),
        (["--set", "seed=1"], "--set seed=1: expected a setting that all seeds share; use --seeds"),
        (["--set", "prompt.strategy=sapo"], "use --state"),
        (["--state", "sapoo"], "prompt.strategy"),
        (["--seeds", "0"], "expected at least 1 seed"),
    ],
)
def test_what_cannot_be_probed_is_refused_in_a_sentence(
    tmp_path: Path, typed: Typed, options: list[str], said: str
) -> None:
    done = typed_probe(typed, tmp_path / "new", *options)
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_of_something_else_is_refused(tmp_path: Path, typed: Typed) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = typed_probe(typed, tmp_path)
    assert "exists and is not a folder of probes" in done.stderr
    other = tmp_path / "other"
    other.mkdir()
    put(other / "probes.json", {"training.epochs": 7})
    assert "training.epochs: 7 there, 1 now" in typed_probe(typed, other).stderr
