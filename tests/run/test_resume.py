"""A run killed anywhere goes on to byte-identical results. Real processes, real signals."""

import filecmp
import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from forked import Program, run_program, start_small_run
from sapo_lite.recipe import load_recipe
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind, kept_format
from sapo_lite.run.tasks import load_run_tasks
from small import SETTINGS, small_command, small_run

pytestmark = pytest.mark.slow

EVERY_STEP = "training.checkpoint_every=1"
REPORT = (EVERY_STEP, "evaluation.robustness=2")
# A file that appears in the middle of each kind of work, in the order a run comes to them.
MOMENTS = {
    "paraphrasing": "candidates/oldest.json",
    "zero-shot testing": "00-zero-shot/predictions/oldest-original.json",
    "scoring": "01-oldest/losses.json",
    "training": "01-oldest/checkpoints/checkpoint-3/trainer_state.json",
    "testing": "01-oldest/predictions/oldest-chosen.json",
    "training the second task": "02-odd_one_out/checkpoints/checkpoint-2/trainer_state.json",
    "testing under prompts held out": "02-odd_one_out/predictions/oldest-unseen-4.json",
}
# What may differ: times (of steps, too), the machine's state, and what libraries say.
VARYING = {"usage.json", "history.jsonl", "report.html", "environment.json", "log.txt", ".lock"}


def kill_when(out: Path, appears: str, settings: Sequence[str] = ()) -> None:
    """Start or resume the run in a process, and kill it as soon as the file appears."""
    process = start_small_run(out, *settings)
    deadline = time.monotonic() + 300
    while not (out / appears).exists():
        assert process.is_alive(), f"ended before {appears}"
        assert time.monotonic() < deadline, f"{appears} never appeared"
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def files(out: Path) -> set[str]:
    return {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and p.name not in VARYING}


def assert_same_bytes(whole: Path, broken: Path) -> None:
    assert files(whole) == files(broken)  # nothing half-written is left by the kills
    _, different, unreadable = filecmp.cmpfiles(whole, broken, files(whole), shallow=False)
    assert (different, unreadable) == ([], [])


def test_a_run_killed_again_and_again_ends_in_the_same_bytes(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    small_run(whole, *REPORT)
    for moment in MOMENTS.values():
        kill_when(broken, moment, REPORT)
        assert not (broken / "results.json").exists()
    last = run_program(small_command(broken, *REPORT))  # the command, as a user types it
    assert last.returncode == 0, last.stderr
    assert_same_bytes(whole, broken)


@pytest.mark.parametrize(
    "settings",
    [
        ["prompt.strategy=paft", "prompt.sampling=adversarial", "prompt.hold=4", "prompt.draws=2"],
        ["prompt.rescore=epoch"],
    ],
    ids=["adversarial", "rescored"],
)
def test_decisions_of_schedules_survive_kills_between_decisions(tmp_path: Path, settings: list[str]) -> None:
    """Six steps in three epochs: killed after a decision, then within a hold and within an epoch."""
    settings = [EVERY_STEP, *settings, "sequence.tasks=['odd_one_out']", "training.epochs=3"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    small_run(whole, *settings)
    for moment in ("wordings.json", "checkpoints/checkpoint-3/trainer_state.json"):
        kill_when(broken, f"01-odd_one_out/{moment}", settings)
        assert not (broken / "01-odd_one_out/adapter").exists()
    small_run(broken, *settings)
    assert (whole / "01-odd_one_out/wordings.json").exists()
    assert_same_bytes(whole, broken)


@pytest.mark.parametrize("indicator", ["loss", "accuracy"])
def test_what_is_measured_before_training_survives_kills(tmp_path: Path, indicator: str) -> None:
    """Killed between the candidates of two tasks on the untrained model, and between gradient and update."""
    settings = [EVERY_STEP, "prompt.state=base", f"prompt.indicator={indicator}"]
    settings += ["training.gradient_norm=true"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    small_run(whole, *settings)
    kept = "losses" if indicator == "loss" else "indicator"
    moments = (
        f"base/{kept}-oldest.json",
        "01-oldest/gradient.json",
        MOMENTS["training the second task"],
    )
    for moment in moments:
        kill_when(broken, moment, settings)
        assert not (broken / "results.json").exists()
    small_run(broken, *settings)
    assert_same_bytes(whole, broken)


def test_candidates_held_by_rows_and_a_constant_rate_survive_a_kill(tmp_path: Path) -> None:
    """The second task's training goes on from a checkpoint, with rows of the first one."""
    rows = ("prompt.strategy=paft", "prompt.hold=1", "prompt.hold_unit=rows", "adapter.method=replay")
    settings = [EVERY_STEP, *rows, "adapter.replay_rows=5", "training.schedule=constant"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    small_run(whole, *settings)
    kill_when(broken, MOMENTS["training the second task"], settings)
    assert not (broken / "02-odd_one_out/adapter").exists()
    small_run(broken, *settings)
    assert_same_bytes(whole, broken)


@pytest.mark.parametrize("method", ["ewc", "replay"])
def test_what_a_method_keeps_of_earlier_tasks_survives_a_kill(tmp_path: Path, method: str) -> None:
    """The second task's training goes on from a checkpoint, with the same penalty or the same old rows."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    settings = [
        EVERY_STEP,
        f"adapter.method={method}",
        "prompt.strategy=fixed",
        "evaluation.prompts=original",
    ]
    small_run(whole, *settings)
    kill_when(broken, MOMENTS["training the second task"], settings)
    assert not (broken / "02-odd_one_out/adapter").exists()
    small_run(broken, *settings)
    assert ("02-odd_one_out/adapter/memory.safetensors" in files(whole)) == (method == "ewc")
    assert_same_bytes(whole, broken)


def test_a_run_keeps_the_number_format_that_it_started_with(tmp_path: Path) -> None:
    """The embedded backbone is narrow: the choice of a new run on a CPU is float32."""
    settings = ("model.dtype=auto", "prompt.strategy=fixed", "sequence.tasks=['oldest']", "training.epochs=1")
    recipe = load_recipe("lab", [*SETTINGS, *settings])
    with RunFolder(tmp_path / "begun") as folder:
        bind(folder, recipe, load_run_tasks(recipe.sequence, None), "bfloat16")
    formats = {"begun": "bfloat16", "new": "bfloat16" if torch.cuda.is_available() else "float32"}
    for name, dtype in formats.items():
        small_run(tmp_path / name, *settings)
        environment = json.loads((tmp_path / name / "environment.json").read_text(encoding="utf-8"))
        assert (environment["dtype"], kept_format(tmp_path / name)) == (dtype, dtype)


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([signal.SIGHUP], 129),
        ([signal.SIGINT] * 5, 130),
    ],
    ids=["ctrl-c", "terminated", "hung up", "ctrl-c five times"],
)
def test_an_interrupt_says_how_to_go_on(tmp_path: Path, signals: list[signal.Signals], code: int) -> None:
    process = Program(small_command(tmp_path / "run"))
    while not (tmp_path / "run/00-zero-shot/predictions/oldest-original.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    for number in signals:
        process.send_signal(number)
    _, notices = process.communicate()
    assert process.returncode == code
    assert f"interrupted: the same command with --out {tmp_path / 'run'} goes on where it stopped" in notices
    assert "Traceback" not in notices
