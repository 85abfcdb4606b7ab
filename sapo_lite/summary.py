"""The end of a run, and the plan of one, as rich renderables for stdout."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sapo_lite.adapters import ADAPTERS
from sapo_lite.certainty import Certainty, Difference
from sapo_lite.chat import user_turn
from sapo_lite.evaluation import PUBLISHED_METRIC
from sapo_lite.recipe import Recipe
from sapo_lite.results import Results
from sapo_lite.robustness import AVERAGED
from sapo_lite.strategies import strategy_of
from sapo_lite.tables import score_matrix, titled
from sapo_lite.training import optimiser_steps
from sapo_lite.types import Candidate, Task

_PROMPTED = {
    "chosen": "learned tasks tested with their chosen prompt",
    "original": "all tasks tested with their original prompt",
    "unseen": "all tasks tested with paraphrases held out",
}


def summary(results: Results, usage: Mapping[str, Mapping[str, float]], folder: Path) -> RenderableType:
    """R, AP, BWT and FWT, the chosen prompts, time and memory, and where everything is."""
    return Group(*_spaced(_summary_parts(results, usage, folder)))


def _summary_parts(
    results: Results, usage: Mapping[str, Mapping[str, float]], folder: Path
) -> Iterator[RenderableType]:
    for kind, by_metric in results.matrices.items():
        title = f"R: ROUGE-L in percent, {_PROMPTED[kind]}"
        yield score_matrix(results.tasks, by_metric[PUBLISHED_METRIC], title)
    yield _metrics_table(results)
    if results.robustness:
        yield _robustness_table(results)
    if results.chosen:
        yield _chosen_table(results)
    if results.rescorings:
        yield _changes_table(results)
    if any(results.certainty.values()):
        yield _certainty_table(results)
    seconds = usage["seconds"]
    yield Text(
        "time: "
        + ", ".join(f"{kind} {value:.1f} s" for kind, value in seconds.items())
        + f"; {sum(seconds.values()):.1f} s in all. "
        + "peak memory: "
        + ", ".join(f"{device} {value:.2f} GB" for device, value in usage["peak_memory_gb"].items())
    )
    for notice in results.notices:
        yield Text(f"note: {notice}", style="yellow")
    yield Text(f"everything is in {folder}")


def _metrics_table(results: Results) -> RenderableType:
    title = f"{results.strategy} on {results.adapter}, ROUGE-L in percent"
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    for kind in results.metrics:
        table.add_column(f"{kind} prompts", justify="right")
    table.add_column("formula", style="dim")
    for name, formula in results.formulas.items():
        values = [by_metric[PUBLISHED_METRIC][name.lower()] for by_metric in results.metrics.values()]
        table.add_row(name, *("-" if value is None else f"{value:.2f}" for value in values), Text(formula))
    return titled(title, table)


def _robustness_table(results: Results) -> RenderableType:
    """A row a task, of dashes where nothing was held out, and their averages."""
    table = Table(box=None, pad_edge=False)
    for heading in ("task", "prompts", *AVERAGED):
        table.add_column(heading, justify="left" if heading == "task" else "right")
    reports = [report for report in results.robustness.values() if report]
    rows: dict[str, dict[str, Any]] = {
        task: asdict(report) if report else {"n": 0} for task, report in results.robustness.items()
    }
    if len(reports) > 1:
        rows["average"] = dict(results.robustness_averages)
    for task, row in rows.items():
        values = [row.get(name) for name in AVERAGED]
        cells = ("-" if value is None else f"{value:.1f}" for value in values)
        table.add_row(task, str(row.get("n", "")), *cells)
    share = f"; share of them at {reports[0].threshold:g} or more" if reports else ""
    return titled(f"robustness: ROUGE-L in percent over held-out prompts{share}", table)


def _chosen_table(results: Results) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    table.add_column("task")
    table.add_column("candidate", justify="right")
    table.add_column("instruction", overflow="fold")
    for task, candidate in results.chosen.items():
        number = "original" if candidate.index == 0 else f"#{candidate.index} {candidate.origin}"
        table.add_row(task, number, Text(" ".join(candidate.text.split()) or "(none)"))
    return titled("prompts trained with", table)


def _changes_table(results: Results) -> RenderableType:
    found = [(task, one) for task, several in results.rescorings.items() for one in several]
    changes = [(task, one) for task, one in found if one.after != one.before]
    table = Table(box=None, pad_edge=False)
    for heading in ("task", "from epoch", "candidate", "instead of", "loss"):
        table.add_column(heading, justify="left" if heading == "task" else "right")
    for task, one in changes:
        table.add_row(task, str(one.epoch), f"#{one.after}", f"#{one.before}", f"{-one.lead:+.3f}")
    title = f"prompts changed while training: {len(changes)} in {len(found)} rescorings"
    return titled(title, table) if changes else Text(title, style="italic")


def _certainty_table(results: Results) -> RenderableType:
    title = "lead of the chosen prompts: differences of loss, nats per answer token (95 % interval; examples)"
    table = Table(box=None, pad_edge=False)
    for heading in ("task", "to the runner-up", "to the original", ""):
        table.add_column(heading)
    for task, certainty in results.certainty.items():
        if certainty:
            rival, original = certainty.runner_up, certainty.original
            table.add_row(
                task,
                f"#{rival.other} {_difference(rival)}",
                _difference(original) if original else "is chosen",
                ", ".join(_remarks(certainty, results.chosen[task])),
            )
    return titled(title, table)


def _remarks(certainty: Certainty, chosen: Candidate) -> Iterator[str]:
    if certainty.chosen != chosen.index:
        yield f"of #{certainty.chosen}, which it began with"
    if certainty.within_noise:
        yield "within noise"


def _difference(difference: Difference) -> str:
    """`-0.076 (-0.991 to +0.910; 32)`, the last being the examples that both were scored on."""
    bounds = difference.interval
    interval = "" if bounds is None else f"{bounds[0]:+.3f} to {bounds[1]:+.3f}; "
    return f"{difference.mean:+.3f} ({interval}{difference.examples})"


def plan(recipe: Recipe, tasks: Sequence[Task]) -> RenderableType:
    """What a run would do, counted without loading the backbone."""
    strategy = strategy_of(recipe.prompt)
    table = Table(box=None, pad_edge=False)
    for heading in ("task", "train", "test", "candidates", "forwards", "steps", "answers"):
        table.add_column(heading, justify="left" if heading == "task" else "right")
    for task in tasks:
        pool = 1 + recipe.paraphrase.count * (strategy.needs_candidates and bool(task.instruction.strip()))
        forwards = _forwards(recipe, task, pool) if pool > 1 else 0
        paraphrased = recipe.wants_candidates and bool(task.instruction.strip())
        answers = len(task.test) * _tests(recipe, tasks, task)
        table.add_row(
            task.short_id + (" (dev)" if task.train_split == "dev" else ""),
            *map(str, (len(task.train), len(task.test), pool, forwards)),
            str(optimiser_steps(len(task.train), recipe.training)),
            f"{'up to ' if paraphrased else ''}{answers}",
        )
    example = tasks[0]
    settings = (
        f"{recipe.prompt.strategy} on {recipe.adapter.method}; model {recipe.model.name}, "
        f"{recipe.model.quantization}, {recipe.model.dtype}, through {recipe.model.loader}"
    )
    first = example.train[0]
    rendered = [
        Text(f"first training example of {example.short_id}, as a user turn:", style="bold"),
        Text(user_turn(example, example.instruction, first.input)),
        Text("its answer:", style="bold"),
        Text(first.answer),
    ]
    return Group(*_spaced([Text(settings), titled(f"plan of {recipe.name}", table), Group(*rendered)]))


def _tests(recipe: Recipe, tasks: Sequence[Task], task: Task) -> int:
    """How many times, at most, a run answers all test examples of a task."""
    lessons = ADAPTERS[recipe.adapter.method].lessons(tasks)
    stages = 1 + len(lessons)
    if not task.instruction.strip():
        return stages  # under its one wording
    untaught = next((n for n, lesson in enumerate(lessons, start=1) if task in lesson), stages)
    kinds, held_out = set(recipe.evaluation.kinds), recipe.paraphrase.held_out
    choice = strategy_of(recipe.prompt).needs_candidates and recipe.paraphrase.count > 0
    # Every stage tests once, once more under a wording chosen for a task that is learned, and once more
    # under wordings held out, each for its share. The report at the end takes these one by one.
    return (
        stages
        + (stages - untaught) * (choice and {"chosen", "original"} <= kinds)
        + stages * ("unseen" in kinds)
        + min(recipe.evaluation.robustness, held_out)
    )


def _forwards(recipe: Recipe, task: Task, pool: int) -> int:
    """Rows that are scored before a task is trained, and at most while it is."""
    prompt, training = recipe.prompt, recipe.training
    scored = min(recipe.scoring.score_examples, len(task.train)) * pool
    times = int(strategy_of(prompt).needs_scores)
    if prompt.rescore == "epoch":
        times += training.epochs - 1
    forwards = times * scored
    if prompt.sampling == "adversarial":
        holds = math.ceil(optimiser_steps(len(task.train), training) / prompt.hold)
        forwards += holds * min(prompt.draws, pool) * training.batch_size
    return forwards


def _spaced(parts: Sequence[RenderableType] | Iterator[RenderableType]) -> Iterator[RenderableType]:
    for number, part in enumerate(parts):
        if number:
            yield Text()
        yield part
