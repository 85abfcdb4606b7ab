"""The command line, as a user types it."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from sapo_lite.recipe import shipped_recipes
from small import ROOT, call, call_on_a_terminal, command, small_command

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "unsloth", "ollama", "pydantic")
NAMES = [path.stem for path in shipped_recipes()]


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['sapo-lite', '--help']\n"
        "from sapo_lite.cli import main\n"
        "try: main()\n"
        f"finally: print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = call([sys.executable, "-c", program], cwd=ROOT)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    for name in ("run", "compare", "paraphrase", "score", "recipes"):
        assert f" {name} " in done.stdout


def test_version_is_the_packages() -> None:
    assert re.fullmatch(r"sapo-lite \d+\.\d+\.\d+\n", call(command("--version")).stdout)


def test_recipes_lists_every_recipe_with_its_purpose() -> None:
    listed = call(command("recipes"), env={**os.environ, "COLUMNS": "200"}).stdout.splitlines()
    assert [line.split()[0] for line in listed] == NAMES
    assert all(len(line.split(maxsplit=1)[1]) > 20 for line in listed)


def test_a_shipped_recipe_is_shown_and_copied_but_never_over_a_file(tmp_path: Path) -> None:
    shown = call(command("recipes", "show", "lab"))
    assert shown.stdout == (ROOT / "recipes/lab.toml").read_text(encoding="utf-8")
    assert call(command("recipes", "copy", "lab", tmp_path)).returncode == 0
    assert (tmp_path / "lab.toml").read_text(encoding="utf-8") == shown.stdout
    again = call(command("recipes", "copy", "lab", tmp_path))
    assert again.returncode == 1
    assert (
        again.stderr == f"error: {tmp_path / 'lab.toml'} exists. Choose another path, or delete it first.\n"
    )


@pytest.mark.slow
@pytest.mark.benchmarks_data
@pytest.mark.parametrize("name", [n for n in NAMES if n != "trace"])
def test_every_shipped_recipe_dry_runs(name: str, benchmarks: Path) -> None:
    # The published data at hand lacks some train files.
    done = call(
        command("run", name, "--dry-run", "--data", benchmarks, "--set", "sequence.missing_train=dev")
    )
    assert done.returncode == 0, done.stderr
    assert f"plan of {name}" in done.stdout
    assert "as a user turn:" in done.stdout


@pytest.mark.slow
@pytest.mark.benchmarks_data
def test_the_trace_recipe_dry_runs_on_the_tasks_that_are_here(benchmarks: Path) -> None:
    here = "sequence.tasks=['C-STANCE','FOMC','ScienceQA','NumGLUE-cm']"
    done = call(command("run", "trace", "--dry-run", "--data", benchmarks, "--set", here))
    assert done.returncode == 0, done.stderr
    assert "文本:" in done.stdout


def test_a_dry_run_of_ones_own_tasks_shows_what_is_read_from_which_columns(tmp_path: Path) -> None:
    task = tmp_path / "mine/spam"
    task.mkdir(parents=True)
    entry = {"instruction": "Is it spam?", "suffix": "Answer:", "labels": ["yes", "no"]}
    (tmp_path / "mine/instructions.json").write_text(json.dumps({"spam": entry}))
    (task / "train.csv").write_text('id, message, content, label\n1, x, "You have won, call now", yes\n')
    (task / "test.json").write_text('[{"sentence": "See you at eight", "label": "no"}]')
    settings = ("sequence.suite=mine", "sequence.tasks=['spam']")
    flags = [flag for setting in settings for flag in ("--set", setting)]
    wide = {**os.environ, "COLUMNS": "300"}
    done = call(command("run", "lab", "--dry-run", "--data", tmp_path, *flags), env=wide)
    assert "Text:\nYou have won, call now\n" in done.stdout
    assert done.stdout.splitlines()[-1] == (
        f"note: {task / 'train.csv'}: 1 example, inputs from column content, answers from column label"
    )


@pytest.mark.slow
def test_a_dry_run_counts_what_the_run_would_do() -> None:
    settings = (
        "sequence.tasks=['oldest','odd_one_out']",
        "sequence.train_examples=100",
        "sequence.test_examples=60",
        "scoring.score_examples=10",
        "training.batch_size=16",
    )
    flags = [flag for setting in settings for flag in ("--set", setting)]
    done = call(command("run", "lab", "--dry-run", *flags))
    rows = [line.split() for line in done.stdout.splitlines()]
    # 100 rows in batches of 16, three epochs; 21 x 10 forwards; 60 answers in each of three tests,
    # and once more for every test after it was learned.
    assert ["oldest", "100", "60", "21", "210", "21", "up", "to", "300"] in rows
    assert ["odd_one_out", "100", "60", "21", "210", "21", "up", "to", "240"] in rows


def test_a_recipe_fault_is_one_message_and_no_traceback() -> None:
    done = call(command("run", "lab", "--set", "adapter.rank=0", "--set", "training.epochs='ten'"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: --set adapter.rank=0: adapter.rank: expected a whole number of at least 1, found 0",
        "--set training.epochs='ten': training.epochs: expected a whole number of at least 1, found \"ten\"",
    ]


@pytest.mark.slow
def test_a_model_that_is_nowhere_is_one_message(tmp_path: Path) -> None:
    done = call(small_command(tmp_path / "run", "model.name=./nowhere"))
    assert done.returncode == 1
    assert "error: No model at './nowhere'. Expected a folder with config.json" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_hub_model_that_is_not_on_disk_is_one_message_without_network(tmp_path: Path) -> None:
    offline = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = call(small_command(tmp_path / "run", "model.name=Qwen/Qwen3-8B"), env=offline)
    assert done.returncode == 1
    assert "Qwen/Qwen3-8B is not on this disk" in done.stderr
    assert "hf download Qwen/Qwen3-8B" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_without_a_terminal_results_go_to_stdout_and_notices_to_stderr_without_escape_codes(
    tmp_path: Path,
) -> None:
    done = call(small_command(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "== task 1 oldest: scoring 4 candidates" in done.stderr
    assert "4 of 4 candidates scored" in done.stderr
    assert re.search(r"training: \d+/4 steps · loss \d", done.stderr)
    for part in ("BWT", "R[N,j]", "R[i,j] - R[j,j]", "prompts trained with", "peak memory"):
        assert part in done.stdout
        assert part not in done.stderr
    assert f"everything is in {tmp_path / 'run'}" in done.stdout.replace("\n", "")
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert f"{results['metrics']['chosen']['rougeL']['ap']:.2f}" in done.stdout


@pytest.mark.slow
def test_on_a_terminal_there_is_one_live_display(tmp_path: Path) -> None:
    arguments = [a for a in small_command(tmp_path / "run") if a != "--plain"]
    status, text = call_on_a_terminal(arguments)
    assert status == 0
    assert "\x1b[" in text
    for part in ("scoring 4 candidates", "training", "steps/s", "loss", "R so far", "to original"):
        assert part in text
    for chatter in ("Unsloth", "Warning", "it/s"):
        assert chatter not in text
