"""The raw results: what cells and transitions found, small enough for the repository.

    sequences.json    R by kind of prompt, metrics, chosen candidates, and the command, of every cell
    probe.json        losses and scores of every candidate of every transition
    tried.json        the settings that were tried on tuning seeds

Scores are in percent, rounded to 3 places; losses in nats per answer token, as they are.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.evidence.plan import Cell, Plan
from benchmarks.evidence.probe import probe_rows
from benchmarks.speed.scoring.clock import machine
from sapo_lite.recipe import flat
from sapo_lite.support.files import read_json, write_json

METRICS = ("rougeL", "exact_match")
# What differs between the cells of one plan.
OF_A_CELL = ("name", "seed", "sequence.tasks", "sequence.draw", "prompt.strategy", "adapter.method")


def collect(plan: Plan, results: Path) -> list[Path]:
    """Write the raw results of a plan of which everything is done. Returns the files."""
    results.mkdir(parents=True, exist_ok=True)
    written = []
    if plan.only != "probe":
        cells = [_cell(plan, cell) for cell in plan.cells]
        written.append(_write(results / "sequences.json", _about(plan) | {"cells": cells}))
    if plan.transitions:
        rows = [probe_rows(plan, transition) for transition in plan.transitions]
        content = _about(plan) | {"permutations": plan.permutations, "transitions": rows}
        written.append(_write(results / "probe.json", content))
    return written


def _write(path: Path, content: dict[str, Any]) -> Path:
    write_json(path, _rounded(content))
    # Lists of numbers on one line: the files are read by people, too. (Texts hold no bare line breaks.)
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\[\n([-\d.,\s]+?)\n\s*\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    path.write_text(text, encoding="utf-8")
    return path


def _rounded(value: Any, key: str = "") -> Any:
    """What was measured, to three decimals; settings are kept as they are."""
    if isinstance(value, dict):
        return {k: v if k == "settings" else _rounded(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(item, key) for item in value]
    return round(value, 3) if isinstance(value, float) and key not in ("loss", "rates") else value


def _about(plan: Plan) -> dict[str, Any]:
    """What was run, and on what. No names of hosts or folders."""
    environment = read_json(plan.folder((plan.cells or plan.transitions)[0].base) / "environment.json")
    return {
        "recipe": plan.recipe,
        "settings": shared_settings(plan),
        "seeds": list(plan.seeds),
        "machine": {"device": machine()["device"], "system": environment["machine"]},
        "python": environment["python"],
        "packages": environment["packages"],
    }


def shared_settings(plan: Plan) -> dict[str, Any]:
    """The settings of all cells by `section.key`, less those that differ between them."""
    settings = flat(plan.load(plan.cells[0]).resolved())
    return {key: value for key, value in settings.items() if key not in OF_A_CELL}


def digest(plan: Plan) -> str:
    """Eight hex digits that name the settings of a plan."""
    text = json.dumps([plan.recipe, shared_settings(plan)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _cell(plan: Plan, cell: Cell) -> dict[str, Any]:
    folder = plan.folder(cell)
    results = read_json(folder / "results.json")
    return {
        "strategy": cell.strategy,
        "adapter": cell.adapter,
        "seed": cell.seed,
        "tasks": results["tasks"],
        "chosen": {task: candidate["index"] for task, candidate in results["chosen"].items()},
        "R": {kind: {m: r[m] for m in METRICS} for kind, r in results["matrices"].items()},
        "metrics": {kind: {m: r[m] for m in METRICS} for kind, r in results["metrics"].items()},
        "notices": results["notices"],
        "seconds": read_json(folder / "seconds.json")["cpu"],
        "command": plan.command(cell),
    }


def count_settings(plan: Plan, results: Path) -> None:
    """Enter a plan for tuning seeds in tried.json before it is run: looking is what counts."""
    path = results / "tried.json"
    tried: list[dict[str, Any]] = read_json(path) if path.exists() else []
    ours = {"recipe": plan.recipe, "settings": shared_settings(plan)}
    for entry in tried:
        if {key: entry[key] for key in ours} == ours:
            entry["seeds"] = sorted({*entry["seeds"], *plan.seeds})
            break
    else:
        tried.append({**ours, "seeds": sorted(plan.seeds)})
    results.mkdir(parents=True, exist_ok=True)
    _write(path, tried)  # type: ignore[arg-type]


def differing(settings: dict[str, Any], frozen: dict[str, Any]) -> list[str]:
    """What settings have that the frozen ones have not: `key = value`, in words for a document."""
    keys: Sequence[str] = list({**settings, **frozen})
    return [f"{key} = {settings.get(key)}" for key in keys if settings.get(key) != frozen.get(key)]
