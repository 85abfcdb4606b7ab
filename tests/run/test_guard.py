"""The guard: a run of the lab that forgets is warned of, stopped, or learned again. Real runs, real kills."""

import filecmp
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_resume import assert_same_bytes, files, kill_when

from kept import value_of
from sapo_lite.cli import main
from sapo_lite.errors import GuardError, RecipeError
from sapo_lite.recipe import load_recipe
from sapo_lite.run import guard
from sapo_lite.run.results import Results
from sapo_lite.run.stages import AS_ASKED
from small import LAB, SETTINGS, small_run

pytestmark = pytest.mark.slow

# The second task makes the model forget all of the first one (on the processors tried: 55 points of 55), with
# any candidate; replayed rows keep it.
FORGETS = (
    LAB,
    "sequence.tasks=['mood','odd_one_out']",
    "sequence.test_examples=20",
    "paraphrase.count=2",
    "adapter.method=sequential",
    "training.epochs=4",
    "training.learning_rate=2e-2",
    "training.checkpoint_every=1",
    "evaluation.prompts=original",
    "guard.max_drop=20.0",
)
RETRY = (*FORGETS, "guard.on=retry", "adapter.replay_share=0.5")


def read(path: Path) -> dict:
    return value_of(path)


@pytest.fixture(scope="module")
def retried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results, str]:
    out = tmp_path_factory.mktemp("guard") / "retried"
    return out, *small_run(out, *RETRY)


def test_a_retry_ends_with_the_least_drop_and_says_so(retried: tuple[Path, Results, str]) -> None:
    _, results, shown = retried
    ways = [event.way for event in results.guard]
    assert ways[:2] == ["the first training", "the next-best candidate"]
    assert len(ways) == 3
    assert {(event.stage, event.task) for event in results.guard} == {(2, "mood")}
    assert [event.too_far for event in results.guard] == [True, True, False]
    assert [event.action for event in results.guard] == ["set aside", "set aside", "kept"]
    kept = results.guard[-1]
    assert kept.drop == min(event.drop for event in results.guard)
    r = results.matrices["original"]["rougeL"]
    assert (kept.before, kept.after) == (pytest.approx(r[1][0]), pytest.approx(r[2][0]))
    (statement,) = [notice for notice in results.notices if "dropped" in notice]
    assert statement.endswith(f"{kept.way} is kept, which is within the line")
    assert f"note: {statement}" in shown
    assert f"learned again with {ways[1]}" in shown


def test_the_files_of_the_way_that_is_kept_are_those_of_the_stage(retried: tuple[Path, Results, str]) -> None:
    out, results, _ = retried
    decision = read(out / "02-odd_one_out/guard.json")
    kept = decision["kept"]
    assert [event["action"] == "kept" for event in decision["events"]].index(True) == kept
    names = files(out)
    assert ("02-odd_one_out/first-try/stage.json" in names) == (kept > 0)
    for number in range(1, len(decision["ways"])):
        assert (f"02-odd_one_out/retry-{number}/stage.json" in names) == (number != kept)
    chosen = read(out / "02-odd_one_out/stage.json")["choices"]["odd_one_out"]["chosen"]
    assert chosen["index"] == results.chosen["odd_one_out"].index
    losses = {loss["index"]: sum(loss["nll_sum"]) for loss in read(out / "02-odd_one_out/losses.json")}
    assert sorted(losses, key=losses.__getitem__)[decision["ways"][kept]["rank"]] == chosen["index"]


def test_a_run_killed_in_its_retries_ends_in_the_same_bytes(
    retried: tuple[Path, Results, str], tmp_path: Path
) -> None:
    whole, broken = retried[0], tmp_path / "broken"
    stage = "02-odd_one_out"
    kill_when(broken, f"{stage}/retry-1/checkpoints/checkpoint-2/trainer_state.json", RETRY)
    kill_when(broken, f"{stage}/retry-2/adapter", RETRY)
    small_run(broken, *RETRY)
    assert_same_bytes(whole, broken)


def test_a_process_killed_while_files_change_places_is_no_loss(
    retried: tuple[Path, Results, str], tmp_path: Path
) -> None:
    """Killed when the adapter and one of the two folders of answers had been moved."""
    whole, broken = retried[0], tmp_path / "broken"
    shutil.copytree(whole, broken)
    stage = broken / "02-odd_one_out"
    kept = read(stage / "guard.json")["kept"]
    retry = stage / f"retry-{kept}"
    retry.mkdir(exist_ok=True)
    for name in ("stage.json", "predictions"):
        (stage / name).rename(retry / name)
        (stage / "first-try" / name).rename(stage / name)
    (stage / "predictions").rename(stage / "first-try/predictions")
    (broken / "results.json").unlink()
    small_run(broken, *RETRY)
    assert_same_bytes(whole, broken)


def test_the_guard_warns_without_a_change_of_the_run(tmp_path: Path) -> None:
    results, shown = small_run(tmp_path / "run", *FORGETS)
    (event,) = results.guard
    assert (event.action, event.task, event.way) == ("warned", "mood", "the first training")
    assert event.bound is not None
    assert event.drop > 20.0
    assert event.bound > 0
    assert f"after stage 2, mood dropped by {event.drop:.1f} points" in shown


def test_the_guard_stops_a_run_with_exit_code_3_and_names_the_last_good_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    settings = (*FORGETS, "guard.on=stop")
    with pytest.raises(GuardError) as stopped:
        small_run(out, *settings)
    assert f"The last good adapter is {out / '01-mood/adapter'}" in str(stopped.value)
    assert not (out / "results.json").exists()
    before = files(out)
    flags = [flag for setting in [*SETTINGS, *settings] for flag in ("--set", setting)]
    monkeypatch.setattr("sys.argv", ["sapo-lite", "run", "lab", "--plain", "--out", str(out), *flags])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert "error: 02-odd_one_out: mood dropped by" in capsys.readouterr().err
    assert files(out) == before


@pytest.mark.parametrize(
    "setting",
    [
        "prompt.strategy=fixed",
        "prompt.strategy=worst",
        "prompt.top_k=2",
        "prompt.rescore=epoch",
        "adapter.method=joint",
        "paraphrase.count=0",
    ],
)
def test_a_retry_needs_a_next_best_candidate(setting: str) -> None:
    least = ["paraphrase.minimum=0"] if setting == "paraphrase.count=0" else []
    with pytest.raises(RecipeError, match=r"guard\.on: expected \"warn\" or \"stop\" \(\"retry\" takes"):
        load_recipe("lab", [*SETTINGS, *least, setting, "guard.max_drop=5.0", "guard.on=retry"])
    assert load_recipe("lab", [*SETTINGS, *least, setting, "guard.on=retry"]).guard.max_drop is None


def test_a_retry_begins_with_what_the_stage_before_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a retry does what was done before, it comes to the same bytes: weights, and what ewc remembers."""
    learn = guard._learn

    def all_too_far(*arguments: Any) -> guard.Learned:
        found = learn(*arguments)
        return replace(found, too_far=list(found.drops))

    monkeypatch.setattr(guard, "_learn", all_too_far)
    monkeypatch.setattr(guard, "Way", lambda **_: AS_ASKED)
    few = (
        "sequence.train_examples=16",
        "sequence.test_examples=4",
        "training.epochs=1",
        "paraphrase.count=1",
    )
    watched = ("sequence.watch=['mood']", "adapter.method=ewc", "guard.max_drop=20.0", "guard.on=retry")
    small_run(tmp_path / "run", *few, *watched)
    for stage, retries in (("01-oldest", 1), ("02-odd_one_out", 2)):
        kept = tmp_path / "run" / stage / "adapter"
        names = [path.name for path in kept.iterdir()]
        assert "memory.safetensors" in names
        for number in range(1, retries + 1):
            again = kept.parent / f"retry-{number}/adapter"
            assert filecmp.cmpfiles(kept, again, names, shallow=False) == (names, [], [])
