"""A first contact's results in a few lines, for where the archive cannot be read at once."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu.first_contact.runner import Outcome

WIDEST = 160
LINES = {"done": 2, "failed": 12, "killed": 6, "interrupted": 3}


def summary(results: Path, outcomes: Mapping[str, Outcome]) -> str:
    """Every job with its outcome and last lines; of smoke runs the failed checks, of probes their figures."""
    lines: list[str] = []
    for name, outcome in outcomes.items():
        lines.append(f"--- {name}: {outcome.state}, {outcome.seconds:.0f} s, status {outcome.status}")
        log, found = results / f"{name}.out", results / f"{name}.json"
        if log.is_file() and (count := LINES.get(outcome.state)):
            text = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            lines += [line[:WIDEST] for line in text[-count:]]
        if found.is_file():
            lines += _facts(name, json.loads(found.read_text(encoding="utf-8")))
    return "\n".join(lines)


def _facts(name: str, content: Any) -> list[str]:
    if name.startswith("smoke"):
        each = (f"{step['name']} {step['state']} {step['seconds']:.0f} s" for step in content["steps"])
        failed = [check for check in content["checks"] if not check["passed"]]
        return [", ".join(each)] + [
            f"FAILED: {check['step']}, {check['name']}: found {str(check['found'])[:WIDEST]}, "
            f"expected {check['expected']}"
            for check in failed
        ]
    if name.startswith("probe"):
        hidden = ("name", "trace", "kernels")
        return [
            f"{one['name']}: " + ", ".join(f"{k} {_short(v)}" for k, v in one.items() if k not in hidden)
            for one in content
        ]
    return []


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
