"""Synthetic raw results of a study, with effects that are planted. No number in them was measured."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sapo_lite.probe.results import ProbedCandidate, ProbeResults, ProbeTraining

KINDS = ("chosen", "original", "unseen")
TASKS = ["a", "b", "c", "d"]
SETTINGS = """
recipe = "lab"
seeds = "0-{last}"
tuning_seeds = "100-109"
adapters = ["lorainc"]
notes = ["A synthetic study."]

[[variant]]
name = "sapo"
strategy = "sapo"

[[variant]]
name = "fixed"
strategy = "fixed"

[[probe]]
variant = "fixed"
seeds = "0-{last}"
after = [2]
orders = {orders}
"""


def write_study(
    folder: Path,
    *,
    seeds: int = 6,
    effect: float = 0.0,
    slope: float = 0.0,
    by_update: float = 0.0,
    orders: int = 1,
    noise: float = 1.0,
    crossed: Mapping[str, float] | None = None,
) -> Path:
    """Write the files of a study.

    effect: points by which `sapo` ends above `fixed`
    slope: points of the earlier tasks' change by one nat of loss
    by_update: points of the same by one unit of the update, which follows the loss
    crossed: planted effects "new" and "old" of SAPO's wordings
    """
    folder.mkdir(parents=True)
    rng = random.Random(0)
    (folder / "settings.toml").write_text(SETTINGS.format(last=seeds - 1, orders=orders), encoding="utf-8")
    _write(folder / "about.json", {"environments": [{"device": "a processor"}], "seconds": {"x": 3600.0}})
    for seed in range(seeds):
        for variant in ("sapo", "fixed"):
            level = 60 + seed + rng.gauss(0, noise) + (effect if variant == "sapo" else 0)
            results = run_results(TASKS, learned=90 + rng.gauss(0, noise), end=level)
            if variant == "sapo":  # its own wordings are those that others are tested with
                results["wordings"] = {}
            _write_run(folder, variant, seed, results)
        probe = _probe(rng, seed, slope, by_update, orders, noise)
        _write(folder / "probes" / f"{seed}-after-2-fixed.json", asdict(probe))
        if crossed is not None:
            _write(folder / "crossed" / f"{seed}-pair.json", _crossed(seed, crossed))
    return folder


def run_results(tasks: Sequence[str], *, learned: float, end: float) -> dict[str, Any]:
    """Results of a run whose tasks score the same: each `learned` after its own stage, then `end`.

    With the wordings of the other run they are 5 points lower.
    """
    n = len(tasks)
    r = [[10.0] * n, *([(end if j < i else learned if j == i else 10.0) for j in range(n)] for i in range(n))]
    other = [{"learned": learned - 5, "end": score - 5} for score in r[-1]]
    return {
        "tasks": list(tasks),
        "chosen": {task: {"index": 1} for task in tasks},
        "matrices": {kind: {"task_metric": r} for kind in KINDS},
        "wordings": {"other": dict(zip(tasks, other, strict=True))},
        "updates": {task: {"gradient_norm": None, "update": 0.5} for task in tasks},
    }


def _write_run(folder: Path, variant: str, seed: int, results: Mapping[str, Any]) -> None:
    content = {"variant": variant, "adapter": "lorainc", "seed": seed, "tasks": TASKS, "results": results}
    _write(folder / "runs" / f"{variant}-lorainc-{seed}.json", {**content, "seconds": 60.0})


def _probe(
    rng: random.Random, seed: int, slope: float, by_update: float, orders: int, noise: float
) -> ProbeResults:
    """Losses lie apart between clusters, and hardly within."""
    candidates, trainings = [], []
    for index in range(18):
        loss = index % 6 + rng.uniform(0, 0.1)
        candidate = ProbedCandidate(index, f"wording {index}", index % 6, loss, 50 - loss, 10 + index % 3)
        candidates.append(candidate)
        update = loss + rng.gauss(0, 1)
        for order in range(orders):
            change = slope * loss + by_update * update + rng.gauss(0, noise)
            after = {task: 50 + change + rng.gauss(0, noise) for task in TASKS}
            scores = dict.fromkeys(KINDS, after)
            trainings.append(ProbeTraining(index, order, 1.0 + loss, update, scores, {}))
    before = dict.fromkeys(KINDS, dict.fromkeys(TASKS, 50.0))
    return ProbeResults(
        recipe="lab",
        adapter="lorainc",
        state="fixed",
        seed=seed,
        learning_rate=0.004,
        tasks=TASKS,
        learned=2,
        before=before,
        watched_before={},
        candidates=candidates,
        trainings=trainings,
    )


def _crossed(seed: int, planted: Mapping[str, float]) -> dict[str, Any]:
    cells = []
    for old in ("original", "sapo"):
        for new in ("original", "sapo"):
            end = 70 + planted["old"] * (old == "sapo") + planted["new"] * (new == "sapo")
            results = run_results(["a", "b"], learned=90.0, end=end)
            cells.append({"old": old, "new": new, "results": results})
    return {"seed": seed, "kind": "pair", "tasks": ["a", "b"], "cells": cells}


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
