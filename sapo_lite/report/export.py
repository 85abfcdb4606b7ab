"""A comparison as JSON and CSV for other programs, and the files of its folder."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sapo_lite.compare.comparison import Comparison
from sapo_lite.compare.findings import Finding, Group, statement
from sapo_lite.compare.statistics import Interval, mean_interval
from sapo_lite.report.comparison_view import as_markdown
from sapo_lite.run.paths import COMPARISON, COMPARISON_TEXT
from sapo_lite.support.checked_json import write_checked
from sapo_lite.support.foreign_text import escaped_json, visible


def as_csv(comparison: Comparison) -> str:
    """A comparison as CSV: a row for each group, metric and kind of prompt; time and memory have no kind.

    `retention_left_out` counts the tasks of a run that are not in its retention (R[j,j] = 0). `seconds` are
    those of the runs themselves, `seconds_alone` those of runs that copy nothing.
    """
    written = io.StringIO()
    rows = [row for kind in comparison.kinds for row in _csv_rows(comparison, kind)]
    rows += [row for group in comparison.groups for row in _csv_usage(group)]
    writer = csv.DictWriter(written, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return visible(written.getvalue())


def as_json(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain dicts and lists: the content of comparison.json."""
    return {
        "recipe": comparison.name,
        "settings": comparison.settings,
        "metrics": comparison.metrics,
        "task_metrics": comparison.task_metrics,
        "kinds": {
            kind: {"statement": statement(found), "findings": [_finding(one) for one in found]}
            for kind, found in comparison.found.items()
        },
        "runs": [
            {
                "strategy": run.settings["prompt.strategy"],
                "adapter": run.adapter,
                "seed": run.seed,
                "folder": comparison.folder(run),
                "command": run.command,
                "retention_left_out": run.left_out,
                "seconds": run.seconds,
                "seconds_alone": run.seconds_alone,
                "peak_memory_gb": run.peak_memory,
            }
            for run in comparison.runs
        ],
        "notes": list(comparison.notes),
    }


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write comparison.json and comparison.md."""
    write_checked(folder / COMPARISON, as_json(comparison))
    (folder / COMPARISON_TEXT).write_text(as_markdown(comparison), encoding="utf-8")


def to_text(content: Any) -> str:
    return escaped_json(json.dumps(content, indent=1, ensure_ascii=False)) + "\n"


def _csv_rows(comparison: Comparison, kind: str) -> Iterator[dict[str, Any]]:
    for one in comparison.found[kind]:
        over, difference = one.over_seeds, one.difference
        yield _csv_row(one.group, kind, one.metric, over) | {
            "baseline": one.baseline.label if one.baseline and difference else None,
            "pairs": difference and difference.n,
            "difference": difference and difference.mean,
            "low": difference and difference.low,
            "high": difference and difference.high,
            "p": difference and difference.p,
            "p_holm": one.p,
        }
    for group in comparison.groups:
        counts = [float(run.left_out[kind]) for run in group.runs.values() if kind in run.left_out]
        if counts:
            yield _csv_row(group, kind, "retention_left_out", mean_interval(counts))


def _csv_usage(group: Group) -> Iterator[dict[str, Any]]:
    runs = list(group.runs.values())
    yield _csv_row(group, None, "seconds", mean_interval([sum(run.seconds.values()) for run in runs]))
    yield _csv_row(group, None, "seconds_alone", mean_interval([run.seconds_alone for run in runs]))
    for device in dict.fromkeys(device for run in runs for device in run.peak_memory):
        peaks = [run.peak_memory.get(device, 0.0) for run in runs]
        yield _csv_row(group, None, f"peak_memory_gb_{device}", mean_interval(peaks))


def _csv_row(group: Group, kind: str | None, metric: str, over_seeds: Interval | None) -> dict[str, Any]:
    return {
        "kind": kind,
        "strategy": group.strategy,
        "adapter": group.adapter,
        "settings": group.details,
        "metric": metric,
        "seeds": over_seeds.n if over_seeds else 0,
        "mean": over_seeds and over_seeds.mean,
        "deviation": over_seeds and over_seeds.deviation,
    }


def _finding(one: Finding) -> dict[str, Any]:
    row: dict[str, Any] = {
        "strategy": one.group.strategy,
        "adapter": one.group.adapter,
        "settings": one.group.settings,
        "metric": one.metric,
        "values": {str(seed): value for seed, value in one.values.items()},
        "mean": one.over_seeds and one.over_seeds.mean,
        "deviation": one.over_seeds and one.over_seeds.deviation,
        "difference": None,
    }
    if one.difference and one.baseline:
        row["difference"] = {
            "baseline": one.baseline.label,
            "mean": one.difference.mean,
            "low": one.difference.low,
            "high": one.difference.high,
            "p": one.difference.p,
            "p_holm": one.p,
            "seeds": one.difference.n,
        }
    return row
