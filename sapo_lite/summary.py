"""The end of a run, and the plan of one, as rich renderables for stdout."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sapo_lite.certainty import Difference
from sapo_lite.chat import user_turn
from sapo_lite.evaluation import PUBLISHED_METRIC
from sapo_lite.recipe import Recipe
from sapo_lite.results import AnswersRewritten, Results
from sapo_lite.strategies import STRATEGIES
from sapo_lite.tables import score_matrix, titled
from sapo_lite.training import optimiser_steps
from sapo_lite.types import Task

_PROMPTED = {
    "chosen": "learned tasks tested with their chosen prompt",
    "original": "all tasks tested with their original prompt",
    "unseen": "all tasks tested with paraphrases held out",
}


# What is tested: whole answers and, where training answers were rewritten, what they finally say.
_READ = {
    PUBLISHED_METRIC: "ROUGE-L",
    f"{PUBLISHED_METRIC}_extracted": "ROUGE-L of the final answers alone",
}


def summary(results: Results, usage: Mapping[str, Mapping[str, float]], folder: Path) -> RenderableType:
    """R, AP, BWT and FWT, the chosen prompts, time and memory, and where everything is."""
    return Group(*_spaced(_summary_parts(results, usage, folder)))


def _summary_parts(
    results: Results, usage: Mapping[str, Mapping[str, float]], folder: Path
) -> Iterator[RenderableType]:
    read = {m: what for m, what in _READ.items() if m in next(iter(results.matrices.values()))}
    for kind, by_metric in results.matrices.items():
        for metric, what in read.items():
            title = f"R: {what} in percent, {_PROMPTED[kind]}"
            yield score_matrix(results.tasks, by_metric[metric], title)
    for metric, what in read.items():
        yield _metrics_table(results, metric, what)
    yield _chosen_table(results)
    if results.rewriting:
        yield _rewriting_table(results.rewriting)
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


def _metrics_table(results: Results, metric: str, what: str) -> RenderableType:
    title = f"{results.strategy} on {results.adapter}, {what} in percent"
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    for kind in results.metrics:
        table.add_column(f"{kind} prompts", justify="right")
    table.add_column("formula", style="dim")
    for name, formula in results.formulas.items():
        values = [by_metric[metric][name.lower()] for by_metric in results.metrics.values()]
        table.add_row(name, *("-" if value is None else f"{value:.2f}" for value in values), Text(formula))
    return titled(title, table)


def _chosen_table(results: Results) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    table.add_column("task")
    table.add_column("candidate", justify="right")
    table.add_column("instruction", overflow="fold")
    for task, candidate in results.chosen.items():
        number = "original" if candidate.index == 0 else f"#{candidate.index} {candidate.origin}"
        table.add_row(task, number, Text(" ".join(candidate.text.split()) or "(none)"))
    return titled("prompts trained with", table)


def _rewriting_table(rewriting: Mapping[str, AnswersRewritten]) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    for heading in ("task", "rewritten", "kept", "in other words", "policy's mean reward", "sample"):
        table.add_column(heading, justify="left" if heading in ("task", "sample") else "right")
    for task, found in rewriting.items():
        first, last = found.first_reward, found.last_reward
        table.add_row(
            task,
            *(f"{share:.0%}" for share in (found.rewritten, found.kept, found.changed)),
            "untrained" if first is None or last is None else f"{first:.3f} to {last:.3f}",
            Text(" -> ".join(map(_one_line, found.sample)) if found.sample else ""),
        )
    return titled("training answers rewritten in the backbone's own words", table)


def _one_line(text: str, longest: int = 40) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


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
                "within noise" if certainty.within_noise else "",
            )
    return titled(title, table)


def _difference(difference: Difference) -> str:
    """`-0.076 (-0.991 to +0.910; 32)`, the last being the examples that both were scored on."""
    bounds = difference.interval
    interval = "" if bounds is None else f"{bounds[0]:+.3f} to {bounds[1]:+.3f}; "
    return f"{difference.mean:+.3f} ({interval}{difference.examples})"


def plan(recipe: Recipe, tasks: Sequence[Task]) -> RenderableType:
    """What a run would do, counted without loading the backbone."""
    strategy = STRATEGIES[recipe.prompt.strategy]
    table = Table(box=None, pad_edge=False)
    for heading in ("task", "train", "test", "candidates", "forwards", "steps", "answers"):
        table.add_column(heading, justify="left" if heading == "task" else "right")
    for number, task in enumerate(tasks, start=1):
        pool = 1 + recipe.paraphrase.count * (strategy.needs_candidates and bool(task.instruction.strip()))
        scored = min(recipe.scoring.score_examples, len(task.train)) * pool
        forwards = scored if strategy.needs_scores and pool > 1 else 0
        # Each stage tests every task once, learned ones once more under a second wording, and every one
        # once more under wordings held out.
        kinds, stages = set(recipe.evaluation.kinds), len(tasks) + 1
        tests = stages * (1 + ("unseen" in kinds)) + (stages - number) * ({"chosen", "original"} <= kinds)
        answers = len(task.test) * tests
        table.add_row(
            task.short_id + (" (dev)" if task.train_split == "dev" else ""),
            *map(str, (len(task.train), len(task.test), pool, forwards)),
            str(optimiser_steps(len(task.train), recipe.training)),
            f"{'up to ' if pool > 1 else ''}{answers}",
        )
    example = tasks[0]
    settings = (
        f"{recipe.prompt.strategy} on {recipe.adapter.method}; model {recipe.model.name}, "
        f"{recipe.model.quantization}, {recipe.model.dtype}, through {recipe.model.loader}"
    )
    if recipe.rewrite.enabled:
        settings += f"; answers rewritten ({recipe.rewrite.policy}, {recipe.rewrite.rollouts} rollouts a row)"
    first = example.train[0]
    rendered = [
        Text(f"first training example of {example.short_id}, as a user turn:", style="bold"),
        Text(user_turn(example, example.instruction, first.input)),
        Text("its answer:", style="bold"),
        Text(first.answer),
    ]
    return Group(*_spaced([Text(settings), titled(f"plan of {recipe.name}", table), Group(*rendered)]))


def _spaced(parts: Sequence[RenderableType] | Iterator[RenderableType]) -> Iterator[RenderableType]:
    for number, part in enumerate(parts):
        if number:
            yield Text()
        yield part
