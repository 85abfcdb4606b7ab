"""The raw results of cells and transitions, small enough for the repository.

    sequences.json    R by kind of prompt, metrics, chosen candidates, and the command, of every cell
    probe.json        losses and scores of every candidate of every transition
    tried.json        the settings that were tried on tuning seeds

Scores are in percent, rounded to 3 places; losses in nats per answer token, not rounded.
"""

import re
from pathlib import Path
from typing import Any

from benchmarks.evidence.probe import probe_rows
from benchmarks.evidence.programme import Programme
from benchmarks.speed.scoring.clock import machine
from sapo_lite.compare.grid import Cell
from sapo_lite.support.files import read_json, write_json

METRICS = ("rougeL", "exact_match")
DRAWN = ("sequence.tasks", "sequence.draw")  # by the seed


def collect(programme: Programme, results: Path) -> list[Path]:
    """Write the raw results of a finished programme. Returns the files."""
    results.mkdir(parents=True, exist_ok=True)
    written = []
    if programme.only != "probe":
        cells = [_cell(programme, cell) for cell in programme.cells]
        written.append(_write(results / "sequences.json", _about(programme) | {"cells": cells}))
    if programme.transitions:
        rows = [probe_rows(programme, transition) for transition in programme.transitions]
        content = _about(programme) | {"permutations": programme.permutations, "transitions": rows}
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
    """Measured values, to three decimals; settings unchanged."""
    if isinstance(value, dict):
        return {k: v if k == "settings" else _rounded(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(item, key) for item in value]
    return round(value, 3) if isinstance(value, float) and key not in ("loss", "rates") else value


def _about(programme: Programme) -> dict[str, Any]:
    """The programme and the machine, without names of hosts or folders."""
    environment = read_json(programme.folder(programme.cells[0]) / "environment.json")
    return {
        "recipe": programme.grid.spec,
        "settings": shared_settings(programme),
        "seeds": list(programme.grid.seeds),
        "machine": {"device": machine()["device"], "system": environment["machine"]},
        "python": environment["python"],
        "packages": environment["packages"],
    }


def shared_settings(programme: Programme) -> dict[str, Any]:
    """The settings of all cells by `section.key`, without those drawn by their seeds."""
    return {key: value for key, value in programme.grid.settings.items() if key not in DRAWN}


def _cell(programme: Programme, cell: Cell) -> dict[str, Any]:
    folder = programme.folder(cell)
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
        "command": programme.grid.command(cell),
    }


def count_settings(programme: Programme, results: Path) -> None:
    """Enter a programme for tuning seeds in tried.json before it runs: every look at results counts."""
    path = results / "tried.json"
    tried: list[dict[str, Any]] = read_json(path) if path.exists() else []
    ours = {"recipe": programme.grid.spec, "settings": shared_settings(programme)}
    for entry in tried:
        if {key: entry[key] for key in ours} == ours:
            entry["seeds"] = sorted({*entry["seeds"], *programme.grid.seeds})
            break
    else:
        tried.append({**ours, "seeds": sorted(programme.grid.seeds)})
    results.mkdir(parents=True, exist_ok=True)
    _write(path, tried)  # type: ignore[arg-type]
