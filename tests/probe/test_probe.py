"""Probes of real runs in the lab: what they measure is what the run would do next, and they can be killed."""

import io
import signal
import time
from pathlib import Path
from subprocess import CompletedProcess
from weakref import ref

import pytest
import torch
from rich.console import Console

from forked import Program, run_program
from kept import value_of
from sapo_lite.errors import RunFolderError
from sapo_lite.probe.results import ProbeResults, read_probe
from sapo_lite.probe.run import Measure, probe_run
from sapo_lite.probe.state import State
from sapo_lite.recipe import Recipe, load_recipe
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind
from sapo_lite.run.pipeline import learn_stages, run
from sapo_lite.run.results import read_results
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.types import Candidate
from small import LAB, PROBE, command, quick_collections


class Watched:
    """Keeps the candidates and orders of new trainings, and weak references to their models."""

    def __init__(self) -> None:
        self.new: list[tuple[int, int]] = []
        self.models: list[ref[object]] = []

    def started(self, state: State, candidate: Candidate, order: int) -> None:
        self.new.append((candidate.index, order))

    def finished(self, state: State, took: float) -> None:
        assert took >= 0
        self.models.append(ref(state.context.backbone.model))


def small_recipe(*settings: str) -> Recipe:
    return load_recipe("lab", [*PROBE, *settings])


def display() -> PlainDisplay:
    return PlainDisplay(Console(file=io.StringIO()))


def small_probe(recipe: Recipe, out: Path, measure: Measure, watcher: Watched | None = None) -> ProbeResults:
    quick_collections()
    watcher = watcher or Watched()
    (found,) = probe_run(
        recipe, out / "run", {1: out / "probe"}, measure, watcher=watcher, progress=display()
    )
    return found


def probe_command(out: Path, *more: str) -> list[str]:
    flags = [flag for setting in PROBE for flag in ("--set", setting)]
    options = ["--seeds", "0,3", "--after", "1", "--orders", "2", "--plain", "--out", out]
    return command("probe", "lab", *options, *more, *flags)


def kept_files(out: Path) -> dict[str, bytes]:
    """Contents of all files but logs and times."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file()
        and path.name not in (".lock", "log.txt", "usage.json", "history.jsonl", "report.html")
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        ["prompt.strategy=fixed"],
        ["prompt.strategy=sapo", "adapter.method=replay", "adapter.replay_share=0.5"],
        ["prompt.strategy=sapo", "adapter.method=ewc"],
    ],
    ids=["fixed", "sapo-replay", "sapo-ewc"],
)
def test_the_candidate_that_the_run_takes_ends_as_the_run_does(tmp_path: Path, settings: list[str]) -> None:
    recipe = small_recipe(LAB, *settings, "scoring.race=false")
    found = small_probe(recipe, tmp_path, Measure(orders=1))
    with RunFolder(tmp_path / "run") as folder:
        results = run(recipe, folder, display())
    chosen = results.chosen[found.task].index
    (training,) = [one for one in found.trainings if one.candidate == chosen]
    for kind, by_metric in results.matrices.items():
        before, after = (by_metric["task_metric"][stage] for stage in (1, 2))
        assert list(found.before[kind].values()) == before
        assert list(training.scores[kind].values()) == after
    if "prompt.strategy=sapo" in settings:
        assert min(found.candidates, key=lambda one: one.loss).index == chosen
        scored = value_of(tmp_path / "run/02-odd_one_out/losses.json")
        assert value_of(tmp_path / "probe/losses.json") == scored


@pytest.mark.slow
def test_every_training_starts_from_the_same_weights(tmp_path: Path) -> None:
    quick_collections()
    recipe = small_recipe("prompt.strategy=fixed")
    tasks = load_run_tasks(recipe.sequence, None)
    with RunFolder(tmp_path / "run") as folder:
        bind(folder, recipe, tasks)
        state = State(learn_stages(recipe, tasks, folder, display(), pull=False, until=1), 1)
        adapter, starts = state.context.adapter, []
        for candidate in state.candidates[:2]:
            state.open()
            starts.append(adapter.state())
            assert adapter.update_norm() == 0
            state.train(candidate, 0, folder.stage(9, "scratch"))
            past, square = adapter.active.start, 0.0
            for (a, b), (a0, b0) in zip(adapter.state(), starts[0], strict=True):
                assert torch.equal(a[:past], a0[:past])
                assert torch.equal(b[:, :past], b0[:, :past])
                square += (b[:, adapter.active] @ a[adapter.active]).double().square().sum().item()
            scale = recipe.adapter.alpha / recipe.adapter.rank
            assert adapter.update_norm() == pytest.approx(scale * square**0.5, rel=1e-5)
    for pair, other in zip(*starts, strict=True):
        assert all(torch.equal(one, two) for one, two in zip(pair, other, strict=True))


@pytest.mark.slow
def test_orders_and_accuracies_are_added_to_a_probe_that_is_there(tmp_path: Path) -> None:
    recipe = small_recipe("prompt.strategy=fixed")
    first = small_probe(recipe, tmp_path, Measure(orders=1))
    files = sorted((tmp_path / "probe").glob("candidate-*"))
    times = [file.stat().st_mtime_ns for file in files]
    assert [one.accuracy for one in first.candidates] == [None] * 3
    watched = Watched()
    second = small_probe(recipe, tmp_path, Measure(orders=2, accuracy=True), watched)
    assert watched.new == [(0, 1), (1, 1), (2, 1)]
    assert len(watched.models) == 6
    assert watched.models[0]() is None  # its memory is free for the run of the next seed
    assert [file.stat().st_mtime_ns for file in files] == times
    assert second.trainings[:3] == first.trainings
    assert [(one.candidate, one.order) for one in second.trainings[3:]] == [(0, 1), (1, 1), (2, 1)]
    assert all(one.accuracy is not None and 0 <= one.accuracy <= 100 for one in second.candidates)
    # Only the order of the rows is another one: the same start, another end.
    assert second.trainings[3].gradient_norm == second.trainings[0].gradient_norm
    assert second.trainings[3].update != second.trainings[0].update
    with pytest.raises(RunFolderError, match=r"training.epochs: 1 in the run, 2 in the recipe"):
        small_probe(small_recipe("prompt.strategy=fixed", "training.epochs=2"), tmp_path, Measure(1))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("probes") / "whole"
    done = run_program(probe_command(out))
    assert done.returncode == 0, done.stderr
    return out, done


@pytest.mark.slow
def test_the_command_probes_every_seed_and_says_what_came_out(
    finished: tuple[Path, CompletedProcess[str]],
) -> None:
    out, done = finished
    found = [read_probe(out / f"seed-{seed}-after-1") for seed in (0, 3)]
    assert [(one.seed, one.learned, one.state, len(one.trainings)) for one in found] == [
        (0, 1, "fixed", 6),
        (3, 1, "fixed", 6),
    ]
    first = "== training 1 of 12 · seed 0, after 1 of 3 tasks: odd_one_out · candidate 0, row order 0"
    assert first in done.stderr
    assert "== training 12 of 12, about " in done.stderr
    assert "seed 3, odd_one_out after oldest (fixed): changes in points, own wordings" in done.stdout
    assert "2 states of 2 seeds: 6 candidates in " in done.stdout
    assert not list(out.glob("seed-*/candidate-*/"))  # only their files are kept


@pytest.mark.slow
def test_finished_probes_are_read_without_a_model(finished: tuple[Path, CompletedProcess[str]]) -> None:
    out, done = finished
    usage = (out / "run-0/usage.json").read_bytes()
    again = run_program(probe_command(out))
    assert again.stdout == done.stdout
    assert "loading the backbone" not in again.stderr
    assert (out / "run-0/usage.json").read_bytes() == usage


@pytest.mark.slow
def test_a_probe_that_was_killed_goes_on_to_the_same_bytes(
    finished: tuple[Path, CompletedProcess[str]], tmp_path: Path
) -> None:
    whole, broken = finished[0], tmp_path / "broken"
    for file in ("run-0/01-oldest/adapter", "seed-0-after-1/candidate-01-order-0/adapter", "seed-3*/c*-1*"):
        process = Program(probe_command(broken))
        while not list(broken.glob(file)):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = run_program(probe_command(broken))
    assert done.returncode == 0, done.stderr
    assert kept_files(broken) == kept_files(whole)
    # The path of the folder decides where the last line breaks.
    assert done.stdout.replace(str(broken), str(whole)).split() == finished[1].stdout.split()


@pytest.mark.slow
def test_a_run_that_is_finished_beside_is_not_run_again(
    finished: tuple[Path, CompletedProcess[str]], tmp_path: Path
) -> None:
    quick_collections()
    with RunFolder(tmp_path / "mine") as folder:
        results = run(small_recipe("prompt.strategy=fixed"), folder, display())
    done = run_program(probe_command(tmp_path / "probes", "--seeds", "1", "--orders", "1"))
    assert done.returncode == 0, done.stderr
    assert f"the run of seed 0 is a copy of {tmp_path / 'mine'}, which was finished before" in done.stderr
    assert read_results(tmp_path / "probes/run-0") == results
    ours, theirs = (read_probe(out / "seed-0-after-1") for out in (tmp_path / "probes", finished[0]))
    assert ours.candidates == theirs.candidates
    assert ours.trainings == theirs.trainings[:3]
    assert "This is a single seed" in done.stdout
