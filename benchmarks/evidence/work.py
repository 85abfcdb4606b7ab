"""Does all cells and transitions of a plan, in worker processes, and says how far it is.

Three waves, because some start from what others have finished: base cells; their probes and the other
strategies with LoRAInc; everything else. The parent holds no state: what is done is in the folders.
"""

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.evidence.plan import BASE_ADAPTER, Cell, Plan, Transition
from benchmarks.evidence.wording import many
from benchmarks.evidence.worker import begin, do
from sapo_lite.errors import RunFolderError
from sapo_lite.strategies import STRATEGIES

Item = Cell | Transition


def waves(plan: Plan) -> list[list[Item]]:
    """Everything to do, in an order in which nothing has to be done twice."""
    bases = [cell.base for cell in plan.cells] + [transition.base for transition in plan.transitions]
    others = [cell for cell in plan.cells if cell != cell.base]
    second: list[Item] = [*plan.transitions, *(cell for cell in others if cell.adapter == BASE_ADAPTER)]
    return [list(dict.fromkeys(bases)), second, [cell for cell in others if cell.adapter != BASE_ADAPTER]]


def estimate(plan: Plan, item: Item) -> float:
    """Seconds of one thread that an item takes, from the rates of the settings."""
    recipe, rates = plan.load(item.base), plan.rates
    tasks, kinds = len(recipe.sequence.tasks), len(recipe.evaluation.kinds)
    trained = recipe.sequence.train_examples * recipe.training.epochs
    scored = (recipe.paraphrase.count + 1) * recipe.scoring.score_examples
    answers = float(tasks * recipe.sequence.test_examples)
    if isinstance(item, Transition):
        # Earlier and later tasks have two wordings, the new one three.
        answers *= 2 + 1 / tasks
        count = recipe.paraphrase.count + 1
        return _seconds(rates, count * trained, scored, count * answers)
    strategy = STRATEGIES[item.strategy]
    # A race of the lab's candidates measures about a third (benchmarks/racing.py).
    share = (1 / 3 if strategy.races and recipe.scoring.race else 1.0) if strategy.needs_scores else 0.0
    first = 1 if item == item.base else 0  # the others copy the zero-shot stage
    of_kinds = kinds if item.strategy != "fixed" else kinds - 1
    return _seconds(rates, tasks * trained, share * tasks * scored, (tasks + first) * answers * of_kinds)


def _seconds(rates: dict[str, float], trained: float, scored: float, answers: float) -> float:
    return (
        rates["start"]
        + trained / rates["trained_rows"]
        + scored / rates["scored_examples"]
        + answers / rates["answers"]
    )


@dataclass
class Tally:
    """What is done, in items and in estimated seconds, and what that took."""

    total: int
    work: float
    jobs: int
    items: int = 0
    done: float = 0.0
    measured: float = 0.0  # estimated seconds of what this call did itself
    spent: float = 0.0  # and what that took

    def add(self, estimated: float, took: float) -> None:
        self.items += 1
        self.done += estimated
        if took:  # what an earlier call had finished tells nothing of this machine
            self.spent += took
            self.measured += estimated

    @property
    def left(self) -> float:
        """Seconds of wall time that are left, corrected by what items took so far."""
        scale = self.spent / self.measured if self.measured else 1.0
        return scale * (self.work - self.done) / self.jobs


class Show(Protocol):
    def __call__(self, tally: Tally, text: str) -> None: ...


def run_all(plan: Plan, jobs: int, console: Console) -> None:
    """Do everything that is not done yet.

    Raises:
        SapoLiteError: what an item raised; those after it were not begun.
    """
    rounds = waves(plan)
    items = [item for wave in rounds for item in wave]
    estimates = {item: estimate(plan, item) for item in items}
    tally = Tally(len(items), sum(estimates.values()), jobs)
    console.print(
        f"{many(len(items) - len(plan.transitions), 'run')} and "
        f"{many(len(plan.transitions), 'transition')} to probe: about "
        f"{duration(tally.left)} in all with --jobs {jobs}, less what is done already",
        highlight=False,
        soft_wrap=True,
    )
    with _progress(tally, console) as show, _workers(plan, jobs) as pool:
        for wave in rounds:
            _run_wave(plan, wave, estimates, pool, tally, show)


def _run_wave(
    plan: Plan,
    wave: Sequence[Item],
    estimates: dict[Item, float],
    pool: ProcessPoolExecutor,
    tally: Tally,
    show: Show,
) -> None:
    futures: dict[Future[float], Item] = {pool.submit(do, plan, item): item for item in wave}
    for future in as_completed(futures):
        item = futures[future]
        try:
            took = future.result()
        except BrokenProcessPool:
            raise RunFolderError(
                f"a worker process ended in the middle of its work (out of memory?); look into the log.txt "
                f"of the folders in {plan.out}. The same command goes on where it stopped."
            ) from None
        tally.add(estimates[item], took)
        show(tally, f"{item.name} ({f'{took:.0f} s' if took else 'was done'})")


@contextlib.contextmanager
def _workers(plan: Plan, jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that import the libraries once. On an error or an interrupt they are not waited for."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a worker imports torch
    plan.out.mkdir(parents=True, exist_ok=True)
    log = plan.out / "workers.log"
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=begin, initargs=(log,))
    # They inherit that they are not to be interrupted, which they else are while they import.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for _ in range(jobs):
        pool.submit(os.getpid)
    signal.signal(signal.SIGINT, before)
    try:
        yield pool
    except BaseException:
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()  # what they have finished is in their folders
        raise
    pool.shutdown()


@contextlib.contextmanager
def _progress(tally: Tally, console: Console) -> Iterator[Show]:
    """One bar on a terminal, a line an item elsewhere."""

    def text(what: str) -> str:
        return f"{tally.items}/{tally.total}, about {duration(tally.left)} left: {what}"

    if not console.is_terminal:
        yield lambda tally, what: console.print(text(what), highlight=False, soft_wrap=True)
        return
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("starting", total=tally.work)
        yield lambda tally, what: progress.update(bar, completed=tally.done, description=text(what))


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
