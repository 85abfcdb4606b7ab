"""Strategies with prompt schedules, in whole runs."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kept import put, value_of
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import RunFolderError
from sapo_lite.learning.methods import METHODS
from sapo_lite.model.chat import ChatFormat
from sapo_lite.prompts.schedules import RandomSchedule
from sapo_lite.recipe import load_recipe
from sapo_lite.report.plan_view import plan
from sapo_lite.report.run_summary import summary
from sapo_lite.run.results import Results
from sapo_lite.types import TrainingSet
from small import SETTINGS, small_run

STAGES = ("01-oldest", "02-odd_one_out")
UNIFORM = ("prompt.strategy=paft", "prompt.hold=1")
IMPORTANCE = (*UNIFORM, "prompt.sampling=importance")
ADVERSARIAL = (*UNIFORM, "prompt.sampling=adversarial", "prompt.draws=2")
TOP_K = ("prompt.top_k=3", "prompt.hold=1", "scoring.race=true")
RESCORED = ("prompt.rescore=epoch",)


def read(path: Path) -> Any:
    return value_of(path)


def shown_summary(results: Results) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(summary(results, {"seconds": {}, "peak_memory_gb": {}}, Path("run")))
    return capture.get()


@pytest.fixture
def replay_count(monkeypatch: pytest.MonkeyPatch) -> list[TrainingSet]:
    """LoRAInc that trains a few rows of earlier tasks too; what it was given of these."""
    seen: list[TrainingSet] = []

    def replay_rows(
        _b: Any, _c: Any, past: Sequence[TrainingSet], _new: Sequence[TrainingSet], _seed: int
    ) -> list[TrainingSet]:
        seen.extend(past)
        return [replace(part, rows=part.rows[:4]) for part in past]

    monkeypatch.setitem(METHODS, "lorainc", replace(METHODS["lorainc"], replay_rows=replay_rows))
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("settings", [UNIFORM, IMPORTANCE, TOP_K], ids=["uniform", "importance", "top_k"])
def test_a_schedule_runs_through_two_tasks_and_goes_on_when_it_is_rehearsed(
    tmp_path: Path, replay_count: list[TrainingSet], settings: tuple[str, ...]
) -> None:
    results, _ = small_run(tmp_path, *settings)
    assert len(results.matrices["chosen"]["rougeL"]) == 3
    assert results.rescorings == {}
    # Three to train with and, of PAFT, one to test with.
    texts = [candidate["text"] for candidate in read(tmp_path / "candidates/oldest.json")["candidates"]]
    assert len(texts) == (4 if settings is TOP_K else 5)
    for stage in STAGES:
        assert (tmp_path / stage / "losses.json").exists() == (settings is not UNIFORM)
        assert not (tmp_path / stage / "wordings.json").exists()
    (part,) = replay_count
    assert isinstance(part.schedule, RandomSchedule)
    if settings is TOP_K:
        losses = read(tmp_path / "01-oldest/losses.json")
        assert not any(loss["partial"] for loss in losses)
        means = [sum(loss["nll_sum"]) / sum(loss["tokens"]) for loss in losses]
        assert results.chosen["oldest"].index == means.index(min(means))
        assert set(part.schedule.candidates) == set(texts) - {texts[means.index(max(means))]}
    else:
        assert results.chosen["oldest"].index == 0
        assert list(part.schedule.candidates) == texts[:4]
    assert part.schedule.weights is None or len(set(part.schedule.weights)) == 4


@pytest.mark.slow
def test_adversarial_schedules_run_through_two_tasks_and_are_rehearsed_with_the_last_one(
    tmp_path: Path, replay_count: list[TrainingSet]
) -> None:
    results, _ = small_run(tmp_path, *ADVERSARIAL)
    assert results.chosen["oldest"].index == 0
    for stage, steps in zip(STAGES, (4, 6), strict=True):  # the second has rehearsed rows too
        decisions = read(tmp_path / stage / "wordings.json")
        assert [decision["hold"] for decision in decisions] == list(range(steps))
        for decision in decisions:
            assert set(decision["drawn"]) < {0, 1, 2, 3}  # the fifth is held out
            highest = decision["losses"].index(max(decision["losses"]))
            assert decision["kept"] == decision["drawn"][highest]
        assert not (tmp_path / stage / "losses.json").exists()
    (part,) = replay_count
    texts = [candidate["text"] for candidate in read(tmp_path / "candidates/oldest.json")["candidates"]]
    assert part.schedule is None
    last = read(tmp_path / "01-oldest/wordings.json")[-1]["kept"]
    assert {row.instruction for row in part.rows} == {texts[last]}


@pytest.mark.slow
@pytest.mark.parametrize("settings", [ADVERSARIAL, RESCORED], ids=["adversarial", "rescored"])
def test_tasks_that_are_learned_together_keep_a_record_each_without_which_the_run_is_not_read_back(
    tmp_path: Path, settings: tuple[str, ...]
) -> None:
    settings = (*settings, "adapter.method=joint", "evaluation.prompts=original")
    small_run(tmp_path, *settings)
    for task in ("oldest", "odd_one_out"):
        decisions = read(tmp_path / f"01-joint/wordings-{task}.json")
        # 64 rows in batches of 16, two epochs.
        if settings[: len(ADVERSARIAL)] == ADVERSARIAL:
            assert [decision["step"] for decision in decisions] == list(range(8))
        else:
            assert [(decision["epoch"], decision["step"]) for decision in decisions] == [(2, 4)]
    record = tmp_path / "01-joint/wordings-odd_one_out.json"
    record.unlink()
    (tmp_path / "results.json").unlink()
    with pytest.raises(RunFolderError) as refused:
        small_run(tmp_path, *settings)
    assert str(refused.value) == (
        f"{record} is missing. Put the file back, or delete {record.parent} and the folders of later stages: "
        "the same command then makes them again."
    )


# --- rescoring


NEARLY_FROZEN = (*RESCORED, "training.learning_rate=1e-9", "scoring.race=false", "scoring.score_examples=32")
EIGHT = (*NEARLY_FROZEN, "sequence.tasks=['odd_one_out']", "paraphrase.count=8")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results, str]:
    """A run on two tasks in which the model hardly learns, so that the lowest loss stays the lowest."""
    out = tmp_path_factory.mktemp("runs") / "kept"
    return out, *small_run(out, *NEARLY_FROZEN)


@pytest.mark.slow
def test_where_the_lowest_loss_stays_the_lowest_no_prompt_is_changed(
    kept: tuple[Path, Results, str],
) -> None:
    out, results, shown = kept
    assert list(results.rescorings) == ["oldest", "odd_one_out"]
    for stage, (task, found) in zip(STAGES, results.rescorings.items(), strict=True):
        (rescoring,) = found
        losses = read(out / stage / "losses.json")
        before = [sum(loss["nll_sum"]) / sum(loss["tokens"]) for loss in losses]
        assert rescoring.losses == pytest.approx(before, rel=1e-4)
        chosen = read(out / stage / "stage.json")["choices"][task]["chosen"]["index"]
        assert (rescoring.epoch, rescoring.step, rescoring.lead) == (2, 2, 0.0)
        assert rescoring.before == rescoring.after == rescoring.lowest == chosen
        assert read(out / stage / "wordings.json") == [vars(rescoring)]
        assert read(out / "results.json")["rescorings"][task] == [vars(rescoring)]
        assert f"note: {task}, epoch 2: prompt #{chosen} still has the lowest loss" in shown
    assert "prompts changed while training: 0 in 2 rescorings" in shown_summary(results)


@pytest.mark.slow
def test_a_prompt_that_turns_out_worse_is_changed_and_the_task_tested_with_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of losses is falsified, so that training begins with the worst candidate of all."""
    small_run(tmp_path / "true", *EIGHT)
    shutil.copytree(
        tmp_path / "true", tmp_path / "false", ignore=shutil.ignore_patterns("01-*", "results.json")
    )
    losses = read(tmp_path / "true/01-odd_one_out/losses.json")
    means = [sum(loss["nll_sum"]) for loss in losses]
    for loss in losses:
        loss["nll_sum"] = [100 - nll for nll in loss["nll_sum"]]
    (tmp_path / "false/01-odd_one_out").mkdir()
    put(tmp_path / "false/01-odd_one_out/losses.json", losses)

    asked: list[str] = []
    encode = ChatFormat.encode_prompts
    monkeypatch.setattr(
        ChatFormat,
        "encode_prompts",
        lambda self, t, text, x: (asked.append(text), encode(self, t, text, x))[1],
    )
    results, shown = small_run(tmp_path / "false", *EIGHT)
    (found,) = results.rescorings["odd_one_out"]
    best, worst = means.index(min(means)), means.index(max(means))
    assert (found.before, found.lowest, found.after) == (worst, best, best)
    assert results.chosen["odd_one_out"].index == best
    texts = [c["text"] for c in read(tmp_path / "false/candidates/odd_one_out.json")["candidates"]]
    assert texts[best] in asked[-2:]
    assert texts[worst] not in asked[-2:]
    sentence = f"epoch 2: prompt #{best} from now on, whose loss is {found.lead:.4f} nats per answer token"
    assert f"note: odd_one_out, {sentence} below that of #{worst}" in shown
    rows = [line.split() for line in shown_summary(results).splitlines()]
    assert ["odd_one_out", "2", f"#{best}", f"#{worst}", f"{-found.lead:+.3f}"] in rows
    assert "lead of the chosen prompts before training" in shown_summary(results)
    # Another process finds all that in the folder.
    assert small_run(tmp_path / "false", *EIGHT)[0] == results


# --- the plan


@pytest.mark.parametrize(
    ("settings", "forwards"),
    [
        # 32 rows in batches of 16, two epochs: 4 steps; 4 candidates, 16 scoring examples.
        (UNIFORM, "0"),
        (IMPORTANCE, "64"),
        (TOP_K, "64"),
        (RESCORED, "up to 128"),
        (ADVERSARIAL, "up to 128"),  # 4 holds x 2 candidates x 16 rows
        ((*ADVERSARIAL, "prompt.hold=3", "prompt.draws=9"), "up to 128"),  # 2 holds x 4 candidates x 16 rows
    ],
)
def test_the_plan_counts_what_is_scored_before_and_while_a_task_is_trained(
    settings: tuple[str, ...], forwards: str
) -> None:
    recipe = load_recipe("lab", [*SETTINGS, *settings])
    console = Console(width=120)
    with console.capture() as capture:
        console.print(plan(recipe, load_sequence(recipe.sequence)))
    (row,) = [line.split() for line in capture.get().splitlines() if line.startswith("oldest ")]
    assert " ".join(row[3:]).startswith(f"4 {forwards} 4 ")
