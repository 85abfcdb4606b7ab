"""A comparison: finished runs, their groups over seeds, and the findings."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapo_lite.compare.findings import Finding, Group, findings, grouped
from sapo_lite.compare.read import METRICS, Run, other_candidates, read_folders, under_way
from sapo_lite.errors import RecipeError
from sapo_lite.support.messages import one_of

if TYPE_CHECKING:
    from pandas import DataFrame

TIME = "Time is that of a run as if alone: its own, and that of the pieces it copied from other runs."


@dataclass(frozen=True)
class Comparison:
    """Finished runs, and their groups over seeds.

    settings: settings that all runs have in common
    kind: kind of prompt that is shown if only one can be
    home: folder of the comparison, None if it has none; run folders are shown relative to it
    notes: further sentences for the reader
    """

    name: str
    settings: Mapping[str, Any]
    runs: Sequence[Run]
    groups: Sequence[Group]
    kind: str
    home: Path | None = None
    notes: Sequence[str] = ()

    @property
    def kinds(self) -> list[str]:
        return list(dict.fromkeys(kind for run in self.runs for kind in run.values))

    @property
    def task_metrics(self) -> dict[str, str]:
        """The metric of each task's scores; of all tasks, if seeds draw them."""
        return {task: metric for run in self.runs for task, metric in run.task_metrics.items()}

    def folder(self, run: Run) -> str:
        return str(run.path) if self.home is None else os.path.relpath(run.path, self.home)

    @cached_property
    def found(self) -> dict[str, list[Finding]]:
        """Findings by kind of prompt."""
        return {kind: findings(self.groups, kind) for kind in self.kinds}

    @property
    def shown(self) -> list[Finding]:
        return self.found[self.kind]

    @property
    def metrics(self) -> dict[str, str]:
        """Descriptions of the metrics present, by name: of all kinds of prompt."""
        known = {one.metric for found in self.found.values() for one in found}
        return {metric: meaning for metric, meaning in METRICS.items() if metric in known}

    def to_pandas(self) -> "DataFrame":
        """The metrics of all runs as a table of pandas, a row each.

        Columns: strategy, adapter, settings (in which groups differ, as text), seed, kind, metric, value. A
        value is in percent, and NaN where the metric is not defined for the run.
        """
        from pandas import DataFrame

        rows = [
            (group.strategy, group.adapter, group.details, seed, kind, metric, value)
            for group in self.groups
            for seed, run in group.runs.items()
            for kind, by_metric in run.values.items()
            for metric, value in by_metric.items()
        ]
        columns = ["strategy", "adapter", "settings", "seed", "kind", "metric", "value"]
        return DataFrame(rows, columns=columns).astype({"value": float})


def compare_folders(folders: Sequence[Path | str], kind: str | None = None) -> Comparison:
    """Compare finished runs; of a comparison that is under way, those that are finished.

    folders: of runs, and of comparisons
    kind: kind of prompt that is shown if only one can be; by default the first that was tested

    Raises:
        RunFolderError: a folder holds no finished run, or a run cannot be compared; a line for each.
        RecipeError: the runs were not tested with prompts of this kind.
    """
    paths = [Path(folder) for folder in folders]
    runs = read_folders(paths)
    groups, first = grouped(runs), runs[0]
    require_kind(kind, list(dict.fromkeys(tested for run in runs for tested in run.values)))
    shared = {k: v for k, v in first.settings.items() if all(run.settings.get(k) == v for run in runs)}
    name = ", ".join(dict.fromkeys(run.name for run in runs))
    notes = [*under_way(paths), *filter(None, [other_candidates(runs)]), TIME]
    return Comparison(name, shared, runs, groups, kind or next(iter(first.values)), notes=notes)


def require_kind(kind: str | None, kinds: Sequence[str]) -> None:
    """Check a kind of prompt. Raises RecipeError if it is not among the `kinds` that are tested."""
    if kind is not None and kind not in kinds:
        raise RecipeError(
            f"--prompts: expected {one_of(kinds)} (evaluation.prompts, evaluation.matrix), found {kind}"
        )
