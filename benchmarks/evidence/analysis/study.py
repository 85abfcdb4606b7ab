"""The raw results of one study, as its programme wrote them.

settings.toml                          the frozen settings
about.json                             machines with versions, and seconds of every file
runs/VARIANT-ADAPTER-SEED.json         results of a run
repeats/VARIANT-ADAPTER-SEED.json      the same again, on the machine that it names
probes/SEED-after-K[-TAG]-STATE.json   results of a probe
crossed/SEED-KIND.json                 two wordings of the old tasks x two of the new one
tried.json                             settings that were looked at on the tuning seeds
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sapo_lite.errors import DataError
from sapo_lite.probe.results import ProbeResults
from sapo_lite.support.typed_json import read_plain

BASELINE, METHOD = "fixed", "sapo"  # the variant that others are compared with, and the one in question
LEAST_SEEDS = 3  # fewer allow tables, and no conclusion
MARGIN = 5.0  # of equivalence, in points: differences within it are taken for none
PERMUTATIONS = 20000  # of each test of ranks
# "other": what SAPO chose in the same seed, on the same adapter. For itself these are its own.
KINDS = {"chosen": "own", "original": "original", "unseen": "unseen", "other": "SAPO's"}


@dataclass(frozen=True)
class RunRecord:
    """A finished run of a sequence.

    results: contents of the run's results.json without predictions
    machine: that a repeat ran on; None for the study's
    """

    variant: str
    adapter: str
    seed: int
    tasks: Sequence[str]
    results: Mapping[str, Any]
    seconds: float
    machine: str | None

    @property
    def kinds(self) -> list[str]:
        """Kinds of test prompt, of which R[j,j] and R[N,j] are known."""
        return [k for k in KINDS if k in self.results["matrices"] or k in self.results.get("wordings", {})]

    def matrix(self, kind: str) -> list[list[float]] | None:
        """R in percent by each task's own metric; row 0 is before training. None if it was not measured."""
        by_metric = self.results["matrices"].get(kind)
        return None if by_metric is None else by_metric["task_metric"]

    def ends(self, kind: str) -> tuple[list[float], list[float]]:
        """(R[j,j], R[N,j]) by task, in the order of learning."""
        if (r := self.matrix(kind)) is not None:
            return [r[j + 1][j] for j in range(len(self.tasks))], list(r[-1])
        wordings = self.results["wordings"][kind]
        return [wordings[t]["learned"] for t in self.tasks], [wordings[t]["end"] for t in self.tasks]


@dataclass(frozen=True)
class Crossed:
    """One sequence (a pair of tasks, or more), learned with both wordings of the old tasks and the new one.

    cells: by (old, new), each "original" or "sapo"; the new task is the last one
    """

    seed: int
    kind: str
    tasks: Sequence[str]
    cells: Mapping[tuple[str, str], RunRecord]


@dataclass(frozen=True)
class Study:
    """All raw results of a study that exist."""

    name: str
    settings: Mapping[str, Any]
    about: Mapping[str, Any]
    runs: Sequence[RunRecord]
    repeats: Sequence[RunRecord]
    probes: Sequence[ProbeResults]
    crossed: Sequence[Crossed]
    tried: Sequence[Mapping[str, Any]]

    @property
    def adapters(self) -> list[str]:
        return list(dict.fromkeys(run.adapter for run in self.runs))

    def by_seed(self, variant: str, adapter: str) -> dict[int, RunRecord]:
        """The runs of a cell of the study."""
        return {run.seed: run for run in self.runs if (run.variant, run.adapter) == (variant, adapter)}


def read_study(folder: Path) -> Study:
    """Read a study's folder.

    Raises:
        DataError: it holds neither runs nor probes, or no frozen settings.
        RunFolderError: a probe's file is damaged or of another version.
    """
    runs, probes = _files(folder, "runs"), _files(folder, "probes")
    if not runs and not probes:
        raise DataError(f"{folder}: expected runs/*.json or probes/*.json, found none; run the study first.")
    if not (settings := folder / "settings.toml").exists():
        raise DataError(
            f"{folder}: expected the study's frozen settings in settings.toml, found no such file."
        )
    read = [_run(_json(path)) for path in runs]
    if any("other" in run.kinds for run in read):
        read = [_tested_with_its_own(run) if run.variant == METHOD else run for run in read]
    return Study(
        name=folder.name,
        settings=tomllib.loads(settings.read_text(encoding="utf-8")),
        about=_json(folder / "about.json") if (folder / "about.json").exists() else {"environments": []},
        runs=sorted(read, key=lambda run: (run.adapter, run.seed)),
        repeats=[_run(_json(path)) for path in _files(folder, "repeats")],
        probes=sorted(
            (read_plain(path, ProbeResults, version="schema_version") for path in probes),
            key=lambda p: (p.seed, p.learned),
        ),
        crossed=[_crossed(_json(path)) for path in _files(folder, "crossed")],
        tried=_json(folder / "tried.json") if (folder / "tried.json").exists() else [],
    )


def _files(folder: Path, part: str) -> list[Path]:
    return sorted((folder / part).glob("*.json"))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _run(content: Mapping[str, Any]) -> RunRecord:
    keys = ("variant", "adapter", "seed", "tasks", "results", "seconds")
    return RunRecord(**{key: content[key] for key in keys}, machine=content.get("machine"))


def _tested_with_its_own(run: RunRecord) -> RunRecord:
    """A run of SAPO, whose own wordings are those that SAPO chose."""
    tasks = zip(run.tasks, *run.ends("chosen"), strict=True)
    own = {task: {"learned": learned, "end": end} for task, learned, end in tasks}
    wordings = {**run.results.get("wordings", {}), "other": own}
    return replace(run, results={**run.results, "wordings": wordings})


def _crossed(content: Mapping[str, Any]) -> Crossed:
    tasks, seed = content["tasks"], content["seed"]
    cells = {}
    for cell in content["cells"]:
        sides = (cell["old"], cell["new"])
        run = RunRecord("-".join(sides), "", seed, tasks, cell["results"], 0.0, None)
        cells[sides] = _tested_with_its_own(run) if sides == (METHOD, METHOD) else run
    return Crossed(seed, content["kind"], tasks, cells)
