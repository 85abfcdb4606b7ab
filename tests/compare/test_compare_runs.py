"""Whole tiny comparisons: copied pieces are equal to those of single runs, and killed comparisons resume."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from forked import Program, call_on_a_terminal, run_program
from kept import value_of
from random_backbone import random_backbone
from sapo_lite.compare.grid import make_grid
from sapo_lite.compare.plan import make_plan
from sapo_lite.compare.progress import GridProgress
from small import LAB, ROOT, SETTINGS, change_weights, command, small_run

pytestmark = pytest.mark.slow

# What may differ between two runs: times, the machine's state, what libraries and the run itself say.
VARYING = {
    "usage.json",
    "history.jsonl",
    "report.html",
    "environment.json",
    "log.txt",
    "shown.txt",
    "copied.json",
    ".lock",
}
ONE_TASK = ("sequence.tasks=['oldest']", "training.epochs=1")
# Without a race, sapo and worst have losses in common; the lab's backbone has scores other than 0.
WHOLE = (
    LAB,
    "sequence.train_examples=16",
    "sequence.test_examples=6",
    "scoring.score_examples=8",
    "paraphrase.count=2",
    "scoring.race=false",
    "training.epochs=1",
)


def compare(out: Path, *arguments: str, settings: tuple[str, ...] = WHOLE) -> list[str]:
    """The command of a small comparison in `out`."""
    flags = [flag for setting in (*SETTINGS, *settings) for flag in ("--set", setting)]
    return command("compare", "lab", *flags, "--out", out, *arguments)


GRID = ("--strategies", "sapo,worst", "--adapters", "lorainc,olora", "--seeds", "2")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("compare") / "whole"
    done = run_program(compare(out, *GRID, "--format", "json"))
    assert done.returncode == 0, done.stderr
    return out, done


def test_no_text_of_a_row_is_in_the_files_of_a_comparison(
    whole: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = whole
    inputs = {row["input"] for path in out.glob("*/*/predictions/*.json") for row in value_of(path)["rows"]}
    assert len(inputs) > 10
    texts = [(out / name).read_text(encoding="utf-8") for name in ("comparison.json", "comparison.md")]
    assert [row for row in inputs for text in [*texts, done.stdout] if row in text] == []


def contents(run: Path) -> dict[str, bytes]:
    files = [p for p in run.rglob("*") if p.is_file() and p.name not in VARYING]
    return {p.relative_to(run).as_posix(): p.read_bytes() for p in files if not p.name.startswith(".")}


def content(out: Path) -> Any:
    """comparison.json of a folder, without times and memory."""
    content = value_of(out / "comparison.json")
    for run in content["runs"]:
        del run["seconds"], run["seconds_alone"], run["peak_memory_gb"]
    return content


def plain_run(out: Path, line: str) -> Path:
    """The run of a printed command, in this process."""
    words = shlex.split(line)
    assert words[:3] == ["sapo-lite", "run", "lab"]
    small_run(out, *words[4::2])
    return out


def test_results_go_to_stdout_and_into_the_folder_and_progress_to_stderr(
    whole: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = whole
    assert json.loads(done.stdout) == value_of(out / "comparison.json")
    assert "\x1b" not in done.stderr
    lines = done.stderr.splitlines()
    assert len([line for line in lines if line.startswith("== ") and line.endswith(("-0", "-1"))]) == 8
    assert lines[-1].startswith("8/8 runs: ")
    assert ", AP " in lines[-1]
    text = (out / "comparison.md").read_text(encoding="utf-8")
    assert "| worst on olora | sapo on olora | BWT |" in text
    for run in json.loads(done.stdout)["runs"]:
        assert run["command"] in text
        assert run["seconds"]
        assert run["peak_memory_gb"]["cpu"] > 0.1


def test_what_cells_share_is_what_they_would_have_found(
    whole: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out, done = whole
    commands = {run["folder"]: run["command"] for run in json.loads(done.stdout)["runs"]}
    # By the time of a file that was copied: the run that it came from.
    for name, file, source in (
        ("worst-lorainc-0", "candidates/oldest.json", "sapo-lorainc-0"),
        ("worst-lorainc-0", "00-zero-shot/stage.json", "sapo-lorainc-0"),
        ("worst-lorainc-0", "01-oldest/losses.json", "sapo-lorainc-0"),
        ("worst-olora-0", "01-oldest/adapter/adapter_model.safetensors", "worst-lorainc-0"),
    ):
        ours, theirs = (out / run / file for run in (name, source))
        assert ours.stat().st_mtime_ns == theirs.stat().st_mtime_ns, file
    for name in ("worst-olora-0", "sapo-lorainc-1"):
        assert contents(out / name) == contents(plain_run(tmp_path / name, commands[name])), name


def test_time_is_that_of_a_run_as_if_alone(whole: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, done = whole
    runs = {run["folder"]: run for run in json.loads(done.stdout)["runs"]}
    alone = {name: run["seconds_alone"] - sum(run["seconds"].values()) for name, run in runs.items()}
    assert alone["sapo-lorainc-0"] == 0  # the first, which copies nothing

    def spent(run: str, stage: str) -> float:
        return sum(value_of(out / run / stage / "usage.json")["seconds"].values())

    copied = value_of(out / "worst-olora-0/copied.json")
    assert set(copied) == {"candidates", "zero-shot", "first stage"}
    assert sum(copied["zero-shot"].values()) == pytest.approx(
        spent("sapo-lorainc-0", "00-zero-shot"), abs=0.1
    )
    # What the first stage of its twin took, with the losses that the twin had copied.
    losses = value_of(out / "worst-lorainc-0/copied.json")["losses"]
    first = spent("worst-lorainc-0", "01-oldest") + losses["score"]
    assert sum(copied["first stage"].values()) == pytest.approx(first, abs=0.1)
    assert copied["first stage"]["train"] > 0
    assert alone["worst-olora-0"] == pytest.approx(sum(sum(by.values()) for by in copied.values()))


def test_without_candidates_seeds_share_what_was_found_before_training(tmp_path: Path) -> None:
    options = ("--strategies", "fixed", "--adapters", "lorainc,zero", "--seeds", "2")
    done = run_program(compare(tmp_path / "out", *options, settings=ONE_TASK))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in sorted((tmp_path / "out").glob("*-zero-*"))] == [
        "fixed-zero-0",
        "fixed-zero-1",
    ]
    (row,) = (line.split() for line in done.stdout.splitlines() if line.startswith("-"))
    assert row[:2] == ["-", "zero"]
    runs = {run["folder"]: run["command"] for run in content(tmp_path / "out")["runs"]}
    first = (tmp_path / "out" / "fixed-lorainc-0" / "00-zero-shot/stage.json").stat().st_mtime_ns
    for name in ("fixed-lorainc-1", "fixed-zero-0", "fixed-zero-1"):
        ours = tmp_path / "out" / name
        assert (ours / "00-zero-shot/stage.json").stat().st_mtime_ns == first
        assert not (ours / "candidates").exists()
        assert contents(ours) == contents(plain_run(tmp_path / name, runs[name])), name


def test_beside_a_strategy_with_candidates_all_cells_of_a_seed_have_them(tmp_path: Path) -> None:
    options = ("--strategies", "fixed,sapo", "--adapters", "lorainc,zero", "--seeds", "1")
    done = run_program(compare(tmp_path / "out", *options, settings=ONE_TASK))
    assert done.returncode == 0, done.stderr
    runs = {run["folder"]: run["command"] for run in content(tmp_path / "out")["runs"]}
    assert list(runs) == ["fixed-lorainc-0", "sapo-lorainc-0", "fixed-zero-0"]
    pools = {name: (tmp_path / "out" / name / "candidates/oldest.json").read_bytes() for name in runs}
    assert len(set(pools.values())) == 1
    # The command of a cell repeats it, candidates included.
    for name in ("fixed-lorainc-0", "fixed-zero-0"):
        ours = contents(tmp_path / "out" / name)
        assert ours == contents(plain_run(tmp_path / name, runs[name])), name


def kill_when(arguments: list[str], appears: Path, number: int) -> tuple[int, str]:
    """Start the command in a process group, send all of it a signal as soon as the file appears."""
    process = Program(arguments, start_new_session=True)
    deadline = time.monotonic() + 500
    while not appears.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{appears} never appeared"
        time.sleep(0.005)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)  # its workers see to themselves
    _, said = process.communicate()
    return process.returncode, said


def test_a_comparison_that_was_killed_goes_on_to_the_same_results(
    whole: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out, _ = whole
    broken = tmp_path / "broken"
    half = ("--strategies", "sapo,worst", "--adapters", "lorainc", "--seeds", "2")
    arguments = compare(broken, *half, "--jobs", "2")
    status, _ = kill_when(arguments, broken / "worst-lorainc-0/02-odd_one_out/adapter", signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert "kinds" not in told_so_far(broken)
    done = run_program(arguments)
    assert done.returncode == 0, done.stderr
    assert "4/4" not in done.stderr  # some were finished
    runs = [run for run in content(out)["runs"] if "-lorainc-" in run["folder"]]
    assert content(broken)["runs"] == runs
    for run in runs:
        assert contents(broken / run["folder"]) == contents(out / run["folder"]), run["folder"]


def test_a_cell_is_run_anew_where_the_weights_of_the_model_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    model, out = tmp_path / "model", tmp_path / "out"
    shutil.copytree(random_backbone(), model)
    settings = (f"model.name={model}", *ONE_TASK)
    options = ("--strategies", "fixed", "--seeds", "2", "--format", "json")
    old = json.loads(run_program(compare(out, *options, settings=settings)).stdout)
    change_weights(model)
    done = run_program(compare(out, *options, settings=settings))
    assert done.returncode == 0, done.stderr
    new = json.loads(done.stdout)
    for seed, (before, run) in enumerate(zip(old["runs"], new["runs"], strict=True)):
        reason = f"{out / before['folder']} is not reused: the model {model} has changed (model.safetensors)"
        assert f"note: {reason}\n" in done.stderr
        assert reason in new["notes"]
        found = contents(out / run["folder"])
        assert found == contents(plain_run(tmp_path / f"plain-{seed}", run["command"]))
        trained = "01-oldest/adapter/adapter_model.safetensors"
        assert found[trained] != contents(out / before["folder"])[trained]
    other = json.loads(run_program(compare(tmp_path / "other", *options, settings=settings)).stdout)
    assert [run["folder"] for run in other["runs"]] == [f"../out/{run['folder']}" for run in new["runs"]]


def told_so_far(out: Path) -> Any:
    return value_of(out / "comparison.json")


def test_ctrl_c_says_how_to_go_on_and_nothing_else(tmp_path: Path) -> None:
    arguments = compare(tmp_path / "out", *GRID)
    status, said = kill_when(
        arguments, tmp_path / "out/sapo-lorainc-0/00-zero-shot/stage.json", signal.SIGINT
    )
    assert status == 130, said
    assert said.endswith("\ninterrupted: the same command goes on where it stopped\n")
    assert "Traceback" not in said + (tmp_path / "out/workers.log").read_text()


def test_what_is_finished_is_never_run_again(
    whole: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = whole
    before = {path: path.stat().st_mtime_ns for path in out.glob("*-*/**/*") if path.is_file()}
    again = run_program(compare(out, *GRID, "--format", "json"))
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == done.stdout
    beside = run_program(compare(out.parent / "beside", "--strategies", "worst", "--seeds", "1"))
    assert (beside.returncode, beside.stderr) == (0, "")
    assert f"worst-lorainc-0 is {out / 'worst-lorainc-0'}, which was finished before" in " ".join(
        beside.stdout.split()
    )
    assert {path: path.stat().st_mtime_ns for path in out.glob("*-*/**/*") if path.is_file()} == before
    read = run_program(command("compare", out, out.parent / "beside", "--format", "json"))
    assert json.loads(read.stdout)["kinds"] == json.loads(done.stdout)["kinds"]


def test_another_comparison_is_refused_and_a_cell_that_fails_is_named(
    whole: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out, _ = whole
    other = run_program(compare(out, *GRID, settings=(*WHOLE, "training.epochs=2")))
    assert (other.returncode, other.stdout) == (1, "")
    assert other.stderr.startswith(
        f"error: {out} holds another comparison:\n  training.epochs: 1 there, 2 now\n"
    )
    nowhere = run_program(compare(tmp_path / "out", *GRID, settings=(*WHOLE, "model.name=./nowhere")))
    assert nowhere.returncode == 1
    assert 'error: sapo-lorainc-0: No model at "./nowhere".' in nowhere.stderr
    assert "Traceback" not in other.stderr + nowhere.stderr


def test_progress_is_read_from_the_folders(whole: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, done = whole
    strategies, adapters, seeds = GRID[1::2]
    grid = make_grid("lab", (*SETTINGS, *WHOLE), strategies=strategies, adapters=adapters, seeds=seeds)
    progress = GridProgress(make_plan(grid, out, None))
    found = json.loads(done.stdout)["kinds"]["chosen"]["findings"]
    averages = {
        f"{one['strategy']}-{one['adapter']}-{seed}": value
        for one in found
        if one["metric"] == "AP"
        for seed, value in one["values"].items()
    }
    assert {cell.name: average for cell, average in progress.average.items()} == averages
    assert (progress.share, progress.counted) == (1.0, "0/0 runs")
    cell = next(iter(progress.average))
    assert progress.stage(cell) == "testing after 2 of 2 tasks"


def test_on_a_terminal_there_is_one_live_grid(tmp_path: Path) -> None:
    options = ("--strategies", "fixed,worst", "--seeds", "1")
    arguments = compare(tmp_path / "out", *options, settings=ONE_TASK)
    status, text = call_on_a_terminal(arguments)
    assert status == 0
    assert "\x1b[" in text
    for part in (
        "compare lab",
        "AP so far",
        "◐",
        "●",
        "worst-lorainc-0",
        "training on 32 examples",
        "1/2 runs",
    ):
        assert part in text
    for chatter in ("Warning", "it/s", "=="):
        assert chatter not in text


def test_the_commands_of_the_document_work(tmp_path: Path) -> None:
    text = (ROOT / "docs/comparing.md").read_text(encoding="utf-8")
    block = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)[0]
    lines = [shlex.split(line) for line in block.splitlines()]
    assert all(words[:2] == ["sapo-lite", "compare"] for words in lines)
    for words in lines:
        done = run_program(
            command(*words[1:], *([] if "--dry-run" in words else ["--dry-run"])), cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert "lab: 30 runs, by seeds, in runs/compare-lab-" in done.stdout
