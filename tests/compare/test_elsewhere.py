"""Comparisons on other machines: a real Ray cluster of two nodes, and submitit's local jobs."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import psutil
import pytest

from forked import Program, run_program
from sapo_lite.compare.execution import run_cells
from sapo_lite.compare.executors import on_slurm
from sapo_lite.compare.executors.cell_files import FolderSender, receive
from sapo_lite.compare.executors.on_slurm import JOBS
from sapo_lite.compare.executors.place import Place, read_place
from sapo_lite.compare.grid import Cell, make_grid
from sapo_lite.compare.plan import make_plan
from sapo_lite.errors import SapoLiteError
from sapo_lite.report.plain import plain_file
from small import SETTINGS, command, small_run

GRID = ("--strategies", "sapo,worst", "--seeds", "1", "--format", "json", "--plain")
WHOLE = (*SETTINGS, "model.dtype=float32", "training.epochs=1")
VARYING = (
    "usage.json",
    "history.jsonl",
    "report.html",
    "environment.json",
    "log.txt",
    "shown.txt",
    "copied.json",
)


def compare(out: Path, *arguments: str, settings: tuple[str, ...] = WHOLE) -> list[str]:
    flags = [flag for setting in settings for flag in ("--set", setting)]
    return command("compare", "lab", *flags, "--out", out, *GRID, *arguments)


def contents(run: Path) -> dict[str, bytes]:
    files = (path for path in run.rglob("*") if path.is_file() and path.name not in VARYING)
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files if path.name != ".lock"}


# --- where


def test_places_are_read() -> None:
    assert read_place("local") == Place()
    assert read_place("ray") == Place("ray")
    assert read_place("ray://head:10001") == Place("ray", "head:10001")
    asked = read_place("slurm:slurm_partition=gpu,timeout_min=90")
    assert asked == Place("slurm", parameters={"slurm_partition": "gpu", "timeout_min": 90})


@pytest.mark.parametrize("text", ["", "rays", "ray://", "ray://head", "slurm:", "slurm:partition", "ssh"])
def test_other_places_are_refused(text: str) -> None:
    with pytest.raises(
        SapoLiteError, match="--on: expected local, ray, ray://HOST:PORT, slurm, or slurm:KEY"
    ):
        read_place(text)


def test_what_other_machines_cannot_do_is_said_before_the_first_run(tmp_path: Path) -> None:
    done = run_program(compare(tmp_path / "out", "--on", "ray", settings=(*WHOLE, "model.dtype=auto")))
    assert (done.returncode, done.stdout) == (1, "")
    assert '--on ray: expected model.dtype = "float32" or "bfloat16", found "auto"' in done.stderr
    done = run_program(compare(tmp_path / "out", "--on", "ray", "--test-with", "sapo"))
    assert "--on ray: expected runs that need no other, found --test-with" in done.stderr
    done = run_program(compare(tmp_path / "out", "--on", "slurm"), env={**os.environ, "PATH": ""})
    assert "--on slurm: expected srun on the PATH, found none" in done.stderr
    assert not (tmp_path / "out").exists()


# --- files on their way


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_copy_follows_its_folder(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    put(there / "recipe.json", "1")
    put(there / "01-mood/losses.json", "2")
    put(there / "01-mood/checkpoints/checkpoint-1/a", "big")
    put(there / "01-mood/adapter.partial/a", "half")
    put(there / ".lock", "held")
    sender = FolderSender(there)
    receive(sender.update(), here)
    assert {p.relative_to(here).as_posix() for p in here.rglob("*") if p.is_file()} == {
        "recipe.json",
        "01-mood/losses.json",
    }
    nothing = sender.update()
    put(here / "recipe.json", "of here")
    receive(nothing, here)
    assert (here / "recipe.json").read_text() == "of here"  # what did not change is not sent again
    put(there / "01-mood/stage.json", "done")
    (there / "01-mood/losses.json").unlink()
    receive(sender.update(), here)
    assert [p.name for p in (here / "01-mood").iterdir()] == ["stage.json"]


# --- Ray


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Cluster:
    """Ray's processes of two nodes with one CPU each, on this machine."""

    def __init__(self, scratch: Path) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self._scratch = scratch
        self._environment = {**os.environ, "RAY_ADDRESS": self.address, "RAY_DISABLE_IMPORT_WARNING": "1"}
        self.head = self._start(
            "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={scratch}"
        )
        self.second = self._start(f"--address={self.address}")

    @property
    def environment(self) -> dict[str, str]:
        return self._environment

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        ray = Path(sys.executable).with_name("ray")
        log = (self._scratch / "nodes.log").open("ab")
        node = subprocess.Popen(
            [ray, "start", *arguments, "--num-cpus=1", "--num-gpus=0", "--block", "--disable-usage-stats"],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=self._environment,
        )
        self._wait_until_it_runs(node)
        return node

    def _wait_until_it_runs(self, node: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 120
        log = self._scratch / "nodes.log"
        started = log.read_text().count("Ray runtime started")
        while log.read_text().count("Ray runtime started") == started:
            assert node.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    def end(self, node: subprocess.Popen[bytes], number: int) -> None:
        """A signal to all processes of a node."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, number)
        node.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    pytest.importorskip("ray")
    # A socket's path has at most 107 bytes.
    scratch = Path(f"/tmp/ray-{os.getpid()}")
    scratch.mkdir()
    found = Cluster(scratch)
    yield found
    for node in (found.second, found.head):
        found.end(node, signal.SIGKILL)
    shutil.rmtree(scratch, ignore_errors=True)


@pytest.mark.slow
def test_a_comparison_on_a_cluster_that_loses_a_node_has_the_results_of_one_here(
    cluster: Cluster, tmp_path: Path
) -> None:
    out, here = tmp_path / "a/out", tmp_path / "b/here"  # not beside each other: nothing is reused
    longer = (*WHOLE, "training.epochs=8")
    program = Program(compare(out, "--on", "ray", settings=longer), env=cluster.environment)
    stages = [out / name / "01-oldest/stage.json" for name in ("sapo-lorainc-0", "worst-lorainc-0")]
    deadline = time.monotonic() + 300
    while not all(stage.exists() for stage in stages):
        assert program.poll() is None, program.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = [stage.stat().st_mtime_ns for stage in stages]
    cluster.end(cluster.second, signal.SIGKILL)
    shown, said = program.communicate()
    assert program.returncode == 0, said
    assert "its node was lost; another one goes on" in said
    assert [stage.stat().st_mtime_ns for stage in stages] == before  # the first stage was not made again
    local = run_program(compare(here, settings=longer))
    assert local.returncode == 0, local.stderr
    assert json.loads(shown)["kinds"] == json.loads(local.stdout)["kinds"]
    for stage in stages:
        cell = stage.parents[1].name
        assert contents(out / cell) == contents(here / cell)


# --- Slurm


class Recorder:
    """A GridWatcher that keeps what it gets."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.notices: list[str] = []

    def started(self, cell: Cell) -> None:
        self.names.append(cell.name)

    def finished(self, cell: Cell, took: float) -> None:
        self.names.append(f"{cell.name} finished")

    def notice(self, text: str) -> None:
        self.notices.append(text)


def test_slurm_is_asked_which_jobs_it_has_and_silence_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 7\necho 9\n")
    squeue.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(on_slurm, "_ASK", 0.0)
    queue, before = on_slurm._Queue(), time.monotonic()
    assert queue.has("9", before)
    assert not queue.has("8", before)
    squeue.write_text("#!/bin/sh\nexit 1\n")  # the controller is away
    assert queue.has("9", before)
    assert queue.has("8", time.monotonic())  # it was submitted after the last answer


def kill_the_job(out: Path, appears: Path) -> None:
    """Kill the process of the job that runs, once a file is there."""
    while not appears.exists():
        time.sleep(0.05)
    [job] = (out / JOBS).glob("*_submitted.pkl")
    for process in psutil.Process(int(job.name.partition("_")[0])).children():
        process.kill()


@pytest.mark.slow
def test_a_job_that_is_killed_goes_on_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setattr(on_slurm, "_POLL", 0.2)  # seconds
    settings = (*WHOLE, "training.epochs=8")
    plan = make_plan(
        make_grid("lab", settings, strategies="fixed", adapters=None, seeds="1"), tmp_path / "a", None
    )
    watcher = Recorder()
    stage = plan.out / "fixed-lorainc-0/01-oldest/stage.json"
    Thread(target=kill_the_job, args=(plan.out, stage), daemon=True).start()
    run_cells(plan, Place("slurm", cluster="local"), 1, watcher, plain_file, pull=False)
    assert watcher.names == ["fixed-lorainc-0", "fixed-lorainc-0 finished"]
    assert watcher.notices == ["fixed-lorainc-0: its job was lost; another one goes on"]
    small_run(tmp_path / "b", "model.dtype=float32", "training.epochs=8", "prompt.strategy=fixed")
    ours = contents(stage.parents[1])
    assert ours["results.json"] == contents(tmp_path / "b")["results.json"]
