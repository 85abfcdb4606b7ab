"""A comparison: finished runs, and what they say."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sapo_lite.compare.findings import Finding, Group, findings, grouped
from sapo_lite.compare.read import METRICS, Run, other_candidates, read_folders
from sapo_lite.errors import RecipeError
from sapo_lite.support.messages import one_of

TIME = "Time is that of a run as if alone: its own, and that of the pieces it copied from other runs."


@dataclass(frozen=True)
class Comparison:
    """Finished runs, grouped. `kind` is the kind of prompt that is shown where there is room for one.

    settings: what the runs have in common
    runs: all of them, and as `groups` over seeds
    home: the comparison's own folder, from which the run folders are named, if it has one
    notes: what else should be known, in sentences
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
        return list(self.runs[0].values)

    def folder(self, run: Run) -> str:
        return str(run.path) if self.home is None else os.path.relpath(run.path, self.home)

    @cached_property
    def found(self) -> dict[str, list[Finding]]:
        """By kind of prompt."""
        return {kind: findings(self.groups, kind) for kind in self.kinds}

    @property
    def shown(self) -> list[Finding]:
        return self.found[self.kind]

    @property
    def metrics(self) -> dict[str, str]:
        """What the metrics are that there are."""
        known = {one.metric for one in self.shown}
        return {metric: meaning for metric, meaning in METRICS.items() if metric in known}


def compare_folders(folders: Sequence[Path], kind: str | None) -> Comparison:
    """Compare finished runs.

    Raises:
        RunFolderError: with a line for each that will not do.
        RecipeError: nothing was tested with that kind of prompt.
    """
    runs = read_folders(folders)
    groups, first = grouped(runs), runs[0]
    require_kind(kind, list(first.values))
    shared = {k: v for k, v in first.settings.items() if all(run.settings.get(k) == v for run in runs)}
    name = ", ".join(dict.fromkeys(run.name for run in runs))
    notes = [*filter(None, [other_candidates(runs)]), TIME]
    return Comparison(name, shared, runs, groups, kind or next(iter(first.values)), notes=notes)


def require_kind(kind: str | None, kinds: Sequence[str]) -> None:
    """Raises RecipeError if nothing is tested with this kind of prompt."""
    if kind is not None and kind not in kinds:
        raise RecipeError(f"--prompts: expected {one_of(kinds)} (evaluation.prompts), found {kind}")
