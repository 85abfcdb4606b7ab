"""Does all cells and transitions of a plan, in worker processes, and says how far it is.

Three waves, because some start from what others have finished: base cells; their probes and the other
strategies with LoRAInc; everything else. The parent holds no state: what is done is in the folders.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.evidence.plan import BASE_ADAPTER, Cell, Plan, Transition
from benchmarks.evidence.worker import do, prepare
from sapo_lite.compare.executors.local import Workers, do_all
from sapo_lite.compare.progress import Eta
from sapo_lite.prompts.strategies import STRATEGIES
from sapo_lite.support.messages import duration, many

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
    # A race of the lab's candidates measures about a third (benchmarks/speed/racing.py).
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


def run_all(plan: Plan, jobs: int, console: Console) -> None:
    """Do everything that is not done yet.

    Raises:
        SapoLiteError: what an item raised; those after it were not begun.
    """
    rounds = waves(plan)
    items = [item for wave in rounds for item in wave]
    before = {item: set(chain(*rounds[:number])) for number, wave in enumerate(rounds) for item in wave}
    estimates = {item: estimate(plan, item) for item in items}
    tally = Eta(len(items), sum(estimates.values()), jobs)
    console.print(
        f"{many(len(items) - len(plan.transitions), 'run')} and "
        f"{many(len(plan.transitions), 'transition')} to probe: about "
        f"{duration(tally.left)} in all with --jobs {jobs}, less what is done already",
        highlight=False,
        soft_wrap=True,
    )
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a worker imports torch
    plan.out.mkdir(parents=True, exist_ok=True)
    workers = Workers(jobs, plan.out / "workers.log", prepare)
    with _progress(tally, console) as show:
        do_all(
            items,
            partial(do, plan),
            workers,
            _Counting(estimates, tally, show),
            ready=lambda item, finished: before[item] <= set(finished),
        )


@dataclass(frozen=True)
class _Counting:
    """Counts what is finished, and shows it."""

    estimates: dict[Item, float]
    tally: Eta
    show: Callable[[str], None]

    def started(self, item: Item) -> None:
        pass

    def finished(self, item: Item, took: float) -> None:
        self.tally.add(self.estimates[item], took)
        self.show(f"{item.name} ({f'{took:.0f} s' if took else 'was done'})")


@contextlib.contextmanager
def _progress(tally: Eta, console: Console) -> Iterator[Callable[[str], None]]:
    """One bar on a terminal, a line an item elsewhere."""

    def text(what: str) -> str:
        return f"{tally.items}/{tally.total}, about {duration(tally.left)} left: {what}"

    if not console.is_terminal:
        yield lambda what: console.print(text(what), highlight=False, soft_wrap=True)
        return
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("starting", total=tally.work)
        yield lambda what: progress.update(bar, completed=tally.done, description=text(what))
