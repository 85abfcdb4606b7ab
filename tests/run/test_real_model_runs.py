"""The recipes for SmolLM2 at a tiny size: its real weights on real rows, and what their headers promise."""

import re
from pathlib import Path

import pytest

from forked import run_program
from kept import value_of
from sapo_lite.recipe import load_recipe, recipe_text
from small import command

# The task of each sequence with the shortest inputs: two tasks of four rows take half a minute of CPU time.
TASKS = {"ni_seq_c1_smollm2": "195", "ni_seq_g1_smollm2": "141", "trace_smollm2": "NumGLUE-cm"}
TINY = (
    "model.dtype=float32",
    "sequence.train_examples=2",
    "sequence.test_examples=1",
    "paraphrase.count=1",
    "scoring.score_examples=2",
    "training.epochs=1",
    "training.batch_size=2",
    "training.micro_batch_size=2",
    "evaluation.prompts=chosen",
    "evaluation.max_new_tokens=4",
)


@pytest.mark.slow
@pytest.mark.real_model
@pytest.mark.benchmarks_data
@pytest.mark.parametrize("name", TASKS)
def test_smollm2_learns_a_real_task_with_the_recipe(
    name: str, smollm2: Path, benchmarks: Path, tmp_path: Path
) -> None:
    flags = [word for setting in (f"sequence.tasks=['{TASKS[name]}']", *TINY) for word in ("--set", setting)]
    run = tmp_path / "run"
    done = run_program(command("run", name, "--data", benchmarks, "--out", run, "--plain", *flags))
    assert done.returncode == 0, done.stderr
    results = value_of(run / "results.json")
    before, after = results["matrices"]["chosen"]["rougeL"]
    assert all(0 <= score <= 100 for score in (*before, *after))
    (stage,) = run.glob("01-*")
    losses = value_of(stage / "losses.json")
    (lesson,) = results["lessons"]
    assert losses
    assert lesson


@pytest.mark.parametrize("name", TASKS)
def test_the_settings_for_a_gpu_are_the_published_ones_with_another_model(name: str) -> None:
    words = recipe_text(name).partition("On a GPU:")[2].partition("published settings")[0]
    command_line = re.search(r"sapo-lite run (\w+)", words)
    assert command_line
    recipe = load_recipe(command_line[1], re.findall(r"--set (\S+)", words))
    published = load_recipe(command_line[1])
    assert recipe.model.name == "smollm2"
    assert recipe.model.quantization == "none"
    assert recipe.training == published.training
    assert recipe.sequence == published.sequence
