"""Executes all runs and probes of a programme in worker processes, and prints progress.

The parent holds no state: finished work is in the folders.
"""

import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from benchmarks.evidence.probe import probe_work, run_transition
from benchmarks.evidence.programme import Item, Programme, Transition
from sapo_lite.compare.execution import run_cell
from sapo_lite.compare.executors.local import Workers, do_all
from sapo_lite.compare.folders import load_tasks
from sapo_lite.compare.grid import Cell
from sapo_lite.compare.reuse import sources_of
from sapo_lite.report.plain import plain_file
from sapo_lite.run.workplan import Work, plan_of
from sapo_lite.support.eta import Eta
from sapo_lite.support.files import write_json
from sapo_lite.support.messages import duration, many


@dataclass(frozen=True)
class Plan:
    """A programme's runs and probes, in an order in which no work is done twice.

    sources: the items whose results each one copies; they come before it
    work: at most, without the artifacts that a run copies from its sources
    """

    programme: Programme
    sources: Mapping[Item, Sequence[Cell]]
    work: Mapping[Item, Work]

    @property
    def items(self) -> list[Item]:
        return list(self.work)

    def seconds(self, item: Item) -> float:
        """Estimated seconds of an item on one thread, from the rates of the settings."""
        work, rates = self.work[item], self.programme.rates
        return (
            rates["start"]
            + work.rows / rates["trained_rows"]
            + work.forwards.most / rates["scored_examples"]
            + work.answers.most / rates["answers"]
        )

    def do(self, item: Item) -> float:
        """Finish an item. Returns the seconds that it took, 0 if it was done before.

        Raises:
            SapoLiteError: as a run does; also where its folder holds a run of other settings.
        """
        programme = self.programme
        if isinstance(item, Transition):
            return run_transition(programme, item)
        cpu, path = time.process_time(), programme.folder(item)
        sources = map(programme.folder, self.sources[item])
        took = run_cell(programme.recipe(item), path, sources, plain_file, programme.data)
        if took:
            # Only of the last call: the time of an interrupted call is lost.
            write_json(path / "seconds.json", {"cpu": round(time.process_time() - cpu, 1)})
        return took


def make_plan(programme: Programme) -> Plan:
    """The plan of a programme. Raises DataError as a run does."""
    recipes, tasks = programme.grid.recipes, load_tasks(programme.grid, programme.data)
    copied = sources_of({cell: recipe.resolved() for cell, recipe in recipes.items()})
    sources: dict[Item, list[Cell]] = {cell: list(dict.fromkeys(copied[cell].values())) for cell in recipes}
    work: dict[Item, Work] = {
        cell: plan_of(recipes[cell], tasks[cell]).less(copied[cell]).total for cell in recipes
    }
    for transition in programme.transitions:
        base = transition.base
        sources[transition] = [base]
        work[transition] = probe_work(recipes[base], tasks[base], transition.learned)
    return Plan(programme, sources, work)


def run_all(plan: Plan, jobs: int, console: Console) -> None:
    """Execute all unfinished items.

    Raises:
        SapoLiteError: the error of an item; the items after it were not started.
    """
    programme, items = plan.programme, plan.items
    eta = Eta(len(items), sum(map(plan.seconds, items)), jobs)
    console.print(
        f"{many(len(programme.cells), 'run')} and {many(len(programme.transitions), 'transition')} to probe: "
        f"about {duration(eta.left)} in all with --jobs {jobs}, less what is done already",
        highlight=False,
        soft_wrap=True,
    )
    programme.out.mkdir(parents=True, exist_ok=True)
    workers = Workers(jobs, programme.out / "workers.log", _prepare)
    do_all(
        items,
        plan.do,
        workers,
        _Lines(plan, eta, console),
        ready=lambda item, finished: set(plan.sources[item]) <= set(finished),
    )


@dataclass(frozen=True)
class _Lines:
    """Prints a line for each item that is finished."""

    plan: Plan
    eta: Eta
    console: Console

    def started(self, item: Item) -> None:
        pass

    def finished(self, item: Item, took: float) -> None:
        eta = self.eta
        eta.add(self.plan.seconds(item), took)
        did = f"{took:.0f} s" if took else "was done"
        text = f"{eta.items}/{eta.total}, about {duration(eta.left)} left: {item.name} ({did})"
        self.console.print(text, highlight=False, soft_wrap=True)


def _prepare() -> None:
    """Prepare a worker: set one thread and import the libraries."""
    import torch

    torch.set_num_threads(1)
    from trl import SFTTrainer  # noqa: F401

    # The Trainer collects garbage several times a task, among a million objects of imported modules.
    gc.collect()
    gc.freeze()
