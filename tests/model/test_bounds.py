"""Reference methods: `joint`, all tasks learned at once, and `zero`, no training."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from safetensors.torch import load_file

from kept import value_of
from sapo_lite.evaluation.continual import ContinualMetrics
from sapo_lite.recipe import load_recipe
from sapo_lite.report.plan_view import plan
from sapo_lite.report.run_summary import summary
from sapo_lite.run.results import Results
from sapo_lite.types import Task
from small import LAB, small_run
from tiny import make_task

USAGE = {"seconds": {"train": 1.0}, "peak_memory_gb": {"cpu": 0.5}}


def read(path: Path) -> dict:
    return value_of(path)


def lines_of(renderable: object) -> list[str]:
    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(renderable)
    return [" ".join(line.split()) for line in capture.get().splitlines()]


# --- plans


def tasks() -> list[Task]:
    one, other = make_task(100), make_task(50)
    return [replace(one, id="mood"), replace(other, id="stars", test=other.test[:10])]


def plan_lines(method: str, *settings: str) -> list[str]:
    """Rows of the plan: train, test, candidates, forwards, steps, answers. One epoch in batches of 8."""
    found = load_recipe(
        "lab", [f"adapter.method={method}", "training.epochs=1", "scoring.score_examples=20", *settings]
    )
    lines = lines_of(plan(found, tasks()))
    start = lines.index("task train test candidates forwards steps answers")
    return lines[start + 1 : lines.index("", start)]


@pytest.mark.parametrize("method", ["lorainc", "olora", "sequential", "ewc"])
def test_a_sequence_is_planned_task_by_task(method: str) -> None:
    assert plan_lines(method) == [
        "mood 100 100 21 420 13 up to 500",
        "stars 50 10 21 420 7 up to 40",
        "in all 150 110 840 20 up to 540",
    ]


def test_replayed_rows_are_planned() -> None:
    assert plan_lines("replay", "adapter.replay_share=0.3") == [
        "mood 100 100 21 420 13 up to 500",
        "stars 50+15 10 21 420 9 up to 40",
        "in all 150+15 110 840 22 up to 540",
    ]


def test_replayed_rows_of_each_task_are_planned() -> None:
    assert plan_lines("replay", "adapter.replay_rows=30")[1] == "stars 50+30 10 21 420 10 up to 40"
    assert plan_lines("replay", "adapter.replay_rows=300")[1] == "stars 50+100 10 21 420 19 up to 40"


def test_joint_is_planned_as_one_training_and_two_stages_of_tests() -> None:
    assert plan_lines("joint") == [
        "mood 100 100 21 420 up to 300",
        "stars 50 10 21 420 up to 30",
        "in all 150 110 840 19 up to 330",
    ]
    assert plan_lines("joint", "prompt.strategy=fixed")[0] == "mood 100 100 1 0 200"


def test_for_zero_nothing_is_planned_but_one_stage_of_tests() -> None:
    assert plan_lines("zero") == ["mood 0 100 1 0 0 100", "stars 0 10 1 0 0 10", "in all 0 110 0 0 110"]


# --- joint


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results, str]:
    out = tmp_path_factory.mktemp("runs") / "joint"
    return out, *small_run(out, LAB, "adapter.method=joint")


@pytest.mark.slow
def test_joint_trains_one_block_once_on_all_tasks(joint: tuple[Path, Results, str]) -> None:
    out, _, shown = joint
    assert [p.name for p in sorted(out.glob("0*"))] == ["00-zero-shot", "01-joint"]
    assert "== all 2 tasks · training on 64 examples" in shown
    assert "training: 8/8 steps" in shown  # 64 rows in batches of 16, twice
    shapes = load_file(out / "01-joint/adapter/adapter_model.safetensors").values()
    assert {min(weight.shape) for weight in shapes} == {8}


@pytest.mark.slow
def test_joint_chooses_a_wording_for_each_task_beforehand(joint: tuple[Path, Results, str]) -> None:
    out, results, shown = joint
    for number, task in enumerate(("oldest", "odd_one_out"), start=1):
        assert f"== task {number} of 2: {task} · scoring 4 candidates" in shown
        losses = read(out / f"01-joint/losses-{task}.json")
        assert len(losses) == 4
        best = min(losses, key=lambda loss: sum(loss["nll_sum"]) / sum(loss["tokens"]))
        assert results.chosen[task].index == best["index"]
        assert read(out / "01-joint/stage.json")["choices"][task]["chosen"]["index"] == best["index"]
        assert results.certainty[task] is not None


@pytest.mark.slow
def test_joint_has_an_average_and_nothing_to_forget(joint: tuple[Path, Results, str]) -> None:
    out, results, _ = joint
    r = results.matrices["chosen"]["rougeL"]
    assert len(r) == 2
    assert results.metrics["chosen"]["rougeL"] == ContinualMetrics(sum(r[1]) / 2, bwt=None, fwt=None)
    lines = lines_of(summary(results, USAGE, out))
    assert f"1 joint {r[1][0]:.1f} {r[1][1]:.1f}" in lines
    assert any(line.startswith("BWT - -") for line in lines)
    chosen = lines[lines.index("prompts trained with") :]
    assert all(any(line.startswith(f"{task} ") for line in chosen) for task in ("oldest", "odd_one_out"))


@pytest.mark.slow
def test_joint_goes_on_where_it_stopped(joint: tuple[Path, Results, str], tmp_path: Path) -> None:
    out, results, _ = joint
    (out / "results.json").unlink()
    again, shown = small_run(out, LAB, "adapter.method=joint")
    assert "training" not in shown
    assert again == results


# --- zero


@pytest.fixture(scope="module")
def zero(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results, str]:
    out = tmp_path_factory.mktemp("runs") / "zero"
    return out, *small_run(out, LAB, "adapter.method=zero")


@pytest.mark.slow
def test_zero_paraphrases_scores_and_trains_nothing(zero: tuple[Path, Results, str]) -> None:
    out, results, shown = zero
    assert {p.name for p in out.iterdir() if p.is_dir()} == {"00-zero-shot"}
    assert not any(word in shown for word in ("paraphrasing", "scoring", "training"))
    assert (results.lessons, results.chosen, results.certainty) == ([], {}, {})


@pytest.mark.slow
def test_zero_is_the_first_row_of_every_other_method(
    zero: tuple[Path, Results, str], joint: tuple[Path, Results, str]
) -> None:
    found = {kind: r["rougeL"] for kind, r in zero[1].matrices.items()}
    assert found == {kind: r["rougeL"][:1] for kind, r in joint[1].matrices.items()}
    assert zero[1].metrics["chosen"]["rougeL"].ap == sum(found["chosen"][0]) / 2


@pytest.mark.slow
def test_the_summary_of_zero_lists_no_prompts_trained_with(zero: tuple[Path, Results, str]) -> None:
    out, results, _ = zero
    lines = lines_of(summary(results, USAGE, out))
    assert any(line.startswith("nothing ") for line in lines)
    assert any(line.startswith("FWT - -") for line in lines)
    assert not any("prompts trained with" in line or "lead of the chosen" in line for line in lines)
