"""What a run would take alone: its own seconds, and those of the pieces that it copied from other runs."""

from pathlib import Path
from typing import Any

from sapo_lite.support.files import read_json, write_json

_COPIED = "copied.json"
# What belongs to a piece, by kind of work: the folder whose usage has it (of the run itself, for candidates),
# the kinds that count (all, where none is named), and what a run may have copied instead.
_PIECES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "candidates": ("", ("paraphrase",), ("candidates",)),
    "zero-shot": ("00-*", (), ("zero-shot",)),
    "losses": ("01-*", ("score",), ("losses", "first stage")),
    "first stage": ("01-*", (), ("losses", "first stage")),
}


def note_copied(path: Path, source: Path, piece: str) -> None:
    """Write into the run folder `path` what a piece took in the run that it was copied from."""
    copied = _read(path / _COPIED)
    copied[piece] = _seconds_of(source, piece)
    write_json(path / _COPIED, copied)


def seconds_alone(path: Path) -> float:
    """Seconds of a run as if it had copied nothing."""
    own = sum(_read(path / "usage.json").get("seconds", {}).values())
    return float(own + sum(sum(by_kind.values()) for by_kind in _read(path / _COPIED).values()))


def _seconds_of(run: Path, piece: str) -> dict[str, float]:
    """By kind of work: what the run did itself, and what it copied in its turn."""
    folder, kinds, instead = _PIECES[piece]
    spent = [
        _read(found / "usage.json").get("seconds", {}) for found in (run.glob(folder) if folder else [run])
    ]
    spent += [by_kind for name, by_kind in _read(run / _COPIED).items() if name in instead]
    total: dict[str, float] = {}
    for by_kind in spent:
        for kind, seconds in by_kind.items():
            if not kinds or kind in kinds:
                total[kind] = round(total.get(kind, 0.0) + seconds, 2)
    return total


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(path) if path.exists() else {}
    return found
