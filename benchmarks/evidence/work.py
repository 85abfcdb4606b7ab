"""Executes the items of a study in worker processes, and writes the raw results of each once it is finished.

The parent holds no state: unfinished work is in the run folders, finished work in the raw results. An item
with raw results is never executed again; if others read its run folder and that is gone, it is made anew and
the raw results stay.
"""

import gc
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.evidence.items import Crossed, Item, Probe, Run
from benchmarks.evidence.probing import probe_work, run_probe
from benchmarks.evidence.programme import Setup, Study
from benchmarks.evidence.raw import note, without_rows, write_piece
from sapo_lite.compare.cells import run_cell
from sapo_lite.compare.executors.do_all import do_all
from sapo_lite.compare.executors.local import LocalWorkers
from sapo_lite.errors import SapoLiteError
from sapo_lite.recipe import SequenceConfig
from sapo_lite.report.plain import plain_file
from sapo_lite.run.results import is_finished
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.run.workplan import Work, plan_of
from sapo_lite.support.checked_json import read_checked
from sapo_lite.support.eta import Eta
from sapo_lite.support.messages import duration, many
from sapo_lite.types import Task

_LATE = -1.0  # instead of the seconds of an item that was not started before the limit


@dataclass(frozen=True)
class Plan:
    """What is left of a study, in an order in which every item comes after those that it reads.

    again: runs whose raw results are there and whose folders are not, which other items read
    limit: time (of time.time) after which no item starts
    """

    study: Study
    work: Mapping[Item, Work]
    again: frozenset[Item] = frozenset()
    done: int = 0
    limit: float = field(default=float("inf"))

    @property
    def items(self) -> list[Item]:
        return list(self.work)

    def seconds(self, item: Item) -> float:
        """Estimated seconds of an item on one thread, from the rates of the settings."""
        work, rates = self.work[item], self.study.settings["rates"]
        return float(
            rates["start"]
            + (work.rows + work.gradients) / rates["trained_rows"]
            + work.forwards.most / rates["scored_examples"]
            + work.answers.most / rates["answers"]
            + work.choices / rates["choices"]
        )

    def do(self, item: Item) -> float:
        """Finish an item and write its raw results. Returns the seconds of CPU time that it took.

        Raises:
            SapoLiteError: as a run does; also where its folder holds a run of other settings.
        """
        if time.time() > self.limit:
            return _LATE
        cpu = time.process_time()
        try:
            content = _CONTENT[type(item)](self.study, item)
        except SapoLiteError as error:
            raise SapoLiteError(f"{item.name}: {error}") from None
        took = max(round(time.process_time() - cpu, 1), 0.1)
        if item not in self.again:
            timed = content if isinstance(item, Probe) else {**content, "seconds": took}
            write_piece(self.study, item, timed)
        return took


def run_item(study: Study, item: Run, extra: Sequence[str] = ()) -> dict[str, Any]:
    """Execute a run. Returns its raw results, without seconds."""
    # Runs of the seed that are finished, to copy what is equal: the untrained model's scores, for instance.
    others = [study.folder(other) for other in study.items([item.seed], "runs")]
    results = _results(study.setup(item, extra), [path for path in others if is_finished(path)])
    about = {"variant": item.variant, "adapter": item.adapter, "seed": item.seed, "tasks": results["tasks"]}
    return {**about, "results": results}


def _results(setup: Setup, others: Sequence[Path]) -> dict[str, Any]:
    """Execute a run, or resume it. Returns its results."""
    run_cell(setup.recipe, setup.folder, others, plain_file, setup.data)
    return without_rows(read_checked(setup.folder / "results.json"))


def _crossed(study: Study, item: Crossed) -> dict[str, Any]:
    cells = study.cells(item)
    found = {cell: _results(setup, []) for cell, setup in cells.items()}
    return {
        "seed": item.seed,
        "kind": item.kind,
        "tasks": next(iter(found.values()))["tasks"],
        "cells": [{"old": old, "new": new, "results": results} for (old, new), results in found.items()],
    }


_CONTENT: dict[type, Any] = {Run: run_item, Crossed: _crossed, Probe: run_probe}


def make_plan(study: Study, items: Sequence[Item], limit: float = float("inf")) -> Plan:
    """The plan of those items that have no raw results yet, and of the runs that they read.

    Also writes the data that seeds draw, before several processes need them.

    Raises:
        DataError, RecipeError: as a run does.
    """
    left = [item for item in items if not (study.results / item.file).exists()]
    ordered = dict.fromkeys(needed for item in left for needed in _with_needs(study, item))
    work_of = _Estimate(study)
    again = frozenset(item for item in ordered if (study.results / item.file).exists())
    return Plan(study, {item: work_of(item) for item in ordered}, again, len(items) - len(left), limit)


def _with_needs(study: Study, item: Item) -> Iterator[Item]:
    """The item, after the runs that it reads and whose folders are not finished."""
    for need in study.needs(item):
        if not is_finished(study.folder(need)):
            yield from _with_needs(study, need)
    yield item


class _Estimate:
    """Work of items, at most. Tasks that items share are loaded once."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._load = cache(self._loaded)

    def _loaded(self, sequence: SequenceConfig, data: Path | None) -> list[Task]:
        return load_run_tasks(sequence, data)

    def __call__(self, item: Item) -> Work:
        if isinstance(item, Run):
            return self._run(self._study.setup(item))
        if isinstance(item, Crossed):
            setups = self._study.cells(item).values()
            own = [setup for setup in setups if setup.folder.parent == self._study.folder(item)]
            return sum((self._run(setup) for setup in own), Work())
        setup = self._study.setup(item.run)
        return probe_work(item, setup.recipe, self._load(setup.recipe.sequence, setup.data))

    def _run(self, setup: Setup) -> Work:
        return plan_of(setup.recipe, self._load(setup.recipe.sequence, setup.data)).total


def run_all(plan: Plan, jobs: int, console: Console) -> int:
    """Execute all items of a plan. Returns the number of those that the limit left.

    Raises:
        SapoLiteError: the error of an item; the items after it were not started.
    """
    study, items = plan.study, plan.items
    eta = Eta(len(items), sum(map(plan.seconds, items)), jobs)
    console.print(
        f"{study.name}: {many(len(items), 'item')} to do, {plan.done} done before; about "
        f"{duration(eta.left)} with --jobs {jobs}",
        highlight=False,
        soft_wrap=True,
    )
    if not items:
        return 0
    study.out.mkdir(parents=True, exist_ok=True)
    workers = LocalWorkers(jobs, study.out / "workers.log", prepare)
    lines = _Lines(plan, eta, console)
    do_all(items, plan.do, workers, lines, ready=_Ready(plan))
    return lines.late


@dataclass(frozen=True)
class _Ready:
    """Whether the items that an item reads are finished, if they are in the plan.

    Probes of one run come one after another: each locks the folder of the run.
    """

    plan: Plan

    def __call__(self, item: Item, finished: Collection[Item]) -> bool:
        before: list[Item] = list(self.plan.study.needs(item))
        if isinstance(item, Probe):
            others = [one for one in self.plan.items if isinstance(one, Probe) and one.run == item.run]
            before += others[: others.index(item)]
        return all(need in finished for need in before if need in self.plan.work)


@dataclass
class _Lines:
    """Prints a line for each item that is finished, and notes its seconds."""

    plan: Plan
    eta: Eta
    console: Console
    late: int = 0

    def started(self, item: Item) -> None:
        pass

    def finished(self, item: Item, took: float) -> None:
        if took == _LATE:
            self.late += 1
            return
        if item not in self.plan.again:
            note(self.plan.study, item, took)
        eta = self.eta
        eta.add(self.plan.seconds(item), took)
        text = f"{eta.items}/{eta.total}, about {duration(eta.left)} left: {item.name} ({took:.0f} s)"
        self.console.print(text, highlight=False, soft_wrap=True)


def prepare() -> None:
    """Prepare a worker: set one thread and import the libraries."""
    import torch

    torch.set_num_threads(1)
    from trl import SFTTrainer  # noqa: F401

    # The Trainer collects garbage several times a task, among a million objects of imported modules.
    gc.collect()
    gc.freeze()
