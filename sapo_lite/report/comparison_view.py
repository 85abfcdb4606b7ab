"""A comparison as tables: on a terminal and in Markdown."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from sapo_lite.compare.comparison import Comparison
from sapo_lite.compare.findings import Finding, left_out, statement
from sapo_lite.compare.read import Run
from sapo_lite.compare.statistics import bounds
from sapo_lite.report.measures import MIXED, measure, shown
from sapo_lite.report.number_table import NumberTable
from sapo_lite.support.foreign_text import visible
from sapo_lite.support.messages import duration, markdown, number, p_value


class _Lines(NamedTuple):
    """A table of texts; `texts` is the number of first columns that hold no numbers."""

    title: str
    headings: list[str]
    texts: int
    rows: list[list[str]]


def as_text(comparison: Comparison) -> RenderableType:
    """A comparison for a terminal: the tables of one kind of prompt, the statement and the notes."""
    parts: list[RenderableType] = [_rich(lines) for lines in _tables(comparison)]
    said = [statement(comparison.shown), left_out(comparison.groups, comparison.kind)]
    said += [_task_metrics(comparison), "\n".join(comparison.notes)]
    said += [f"everything is in {comparison.home}"] if comparison.home else []
    parts += [Text(text) for text in said if text]
    return Group(*[line for part in parts for line in (part, Text())][:-1])


def as_markdown(comparison: Comparison) -> str:
    """A comparison as Markdown: all kinds of prompt, all runs and their commands."""
    parts = [f"# Comparison: {comparison.name}"]
    for kind in comparison.kinds:
        parts.append(f"## Tested with {kind} prompts")
        for lines in _overviews(comparison, kind):
            parts += [f"{lines.title}:", markdown(lines.headings, lines.rows, lines.texts)]
        parts += [markdown(t.headings, t.rows, t.texts) for t in _tables(comparison, kind)]
        parts += [statement(comparison.found[kind]), left_out(comparison.groups, kind)]
    parts += [f"{metric}: {meaning}." for metric, meaning in comparison.metrics.items()]
    parts += [_task_metrics(comparison), "## Runs", _runs(comparison), *comparison.notes]
    commands = [run.command for run in comparison.runs if run.command]
    parts += ["Each by itself:", "```sh\n" + "\n".join(commands) + "\n```"] if commands else []
    return visible("\n\n".join(filter(None, parts))) + "\n"


def _task_metrics(comparison: Comparison) -> str:
    """The metric of every task, if they have different ones."""
    metrics = comparison.task_metrics
    if measure(metrics.values()) != MIXED:
        return ""
    return "Metrics: " + ", ".join(f"{task} by {shown(metric)}" for task, metric in metrics.items()) + "."


def _overviews(comparison: Comparison, kind: str) -> Iterator[_Lines]:
    """A table of strategies by adapters for each metric, if there are several of both."""
    found, groups = comparison.found[kind], comparison.groups
    # A method that trains nothing has no strategy ("-"); its value is in every row.
    strategies = [name for name in dict.fromkeys(group.strategy for group in groups) if name != "-"]
    adapters = list(dict.fromkeys(group.adapter for group in groups))
    if min(len(strategies), len(adapters)) < 2 or any(group.settings for group in groups):
        return
    for metric in dict.fromkeys(one.metric for one in found):
        means = {(one.group.strategy, one.group.adapter): _mean(one) for one in found if one.metric == metric}
        rows = [[s, *(means.get((s, a)) or means.get(("-", a), "") for a in adapters)] for s in strategies]
        yield _Lines(metric, ["strategy", *adapters], 1, rows)


def _tables(comparison: Comparison, kind: str | None = None) -> Iterator[_Lines]:
    """Tables of one kind of prompt: means over seeds, and differences if there are any."""
    kind = kind or comparison.kind
    found = comparison.found[kind]
    yield _means(comparison, found, kind)
    if rows := [_difference(one) for one in found if one.difference is not None]:
        title = "differences on the same seeds, in points: * significant"
        headings = ["compared", "with", "metric", "difference", "95 % interval", "p (Holm)", "seeds"]
        yield _Lines(title, headings, 3, rows)


def _means(comparison: Comparison, found: Sequence[Finding], kind: str) -> _Lines:
    metrics = list(dict.fromkeys(one.metric for one in found))
    details = ["settings"] if any(group.settings for group in comparison.groups) else []
    rows = []
    for group in comparison.groups:
        of_group = [one for one in found if one.group is group]
        row = [group.strategy, group.adapter, *([group.details] if details else [])]
        row += [str(len(group.runs)), *(_mean(one) for one in of_group)]
        rows.append([*row, *_usage(list(group.runs.values()))])
    of_tasks = measure(comparison.task_metrics.values())
    title = f"{comparison.name}: {of_tasks} in percent, {kind} prompts; mean ± standard deviation over seeds"
    headings = ["strategy", "adapter", *details, "seeds", *metrics, "time", "memory"]
    return _Lines(title, headings, 2 + len(details), rows)


def _mean(one: Finding) -> str:
    if one.over_seeds is None:
        return "-"
    spread = "" if one.over_seeds.deviation is None else f" ± {number(one.over_seeds.deviation, 1)}"
    return f"{number(one.over_seeds.mean, 1)}{spread}{'*' if one.significant else ''}"


def _difference(one: Finding) -> list[str]:
    assert one.difference is not None
    assert one.baseline is not None
    interval = "-" if one.difference.low is None else bounds(one.difference)
    difference = number(one.difference.mean, 1, sign=True) + ("*" if one.significant else "")
    p = "-" if one.p is None else p_value(one.p)
    labels = [one.group.label, one.baseline.label]
    return [*labels, one.metric, difference, interval, p, str(one.difference.n)]


def _usage(runs: Sequence[Run]) -> list[str]:
    """Mean time of runs as if nothing had been copied, and peak memory on the compute device."""
    seconds = [run.seconds_alone for run in runs]
    peaks = [(run.peak_memory, "cuda" if "cuda" in run.peak_memory else "cpu") for run in runs]
    memory = max(peak.get(device, 0.0) for peak, device in peaks)
    time = duration(sum(seconds) / len(seconds)) if any(seconds) else "-"
    return [time, f"{memory:.1f} GB" if memory else "-"]


def _runs(comparison: Comparison) -> str:
    rows = [
        [run.strategy, run.adapter, str(run.seed), f"`{comparison.folder(run)}`", *_usage([run])]
        for run in comparison.runs
    ]
    return markdown(["strategy", "adapter", "seed", "folder", "time", "memory"], rows, texts=4)


def _rich(lines: _Lines) -> RenderableType:
    rows = [[Text(cell, style="bold" if cell.endswith("*") else "") for cell in row] for row in lines.rows]
    return NumberTable(lines.title, lines.headings, rows, texts=lines.texts, fold=True)
