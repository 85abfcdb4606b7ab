"""Seconds that a run would take if it had copied nothing: its own, plus those of its copied pieces."""

from collections.abc import Callable
from pathlib import Path

from sapo_lite.run import paths
from sapo_lite.run.folder import read_usage
from sapo_lite.support.checked_json import read_checked, write_checked

# Where the seconds of a piece are recorded: the folder whose usage.json has them, the kinds of work that
# count (all if none is named), and the pieces of copied.json that add to them.
_PIECES: dict[str, tuple[Callable[[Path], Path | None], tuple[str, ...], tuple[str, ...]]] = {
    "candidates": (lambda run: run, ("paraphrase",), ("candidates",)),
    "zero-shot": (lambda run: run / paths.ZERO_SHOT, (), ("zero-shot",)),
    "losses": (paths.scored, ("score",), ("losses", "first stage")),
    "first stage": (paths.first_stage, (), ("losses", "first stage")),
}


_WITHOUT = "Delete the file: the table's seconds are then without those of copied pieces."


def note_copied(path: Path, source: Path, piece: str) -> None:
    """Write to the run folder `path` the seconds that a piece took in the run that it was copied from."""
    copied = _copied(path)
    copied[piece] = _seconds_of(source, piece)
    write_checked(path / paths.COPIED, copied)


def seconds_alone(path: Path) -> float:
    """Seconds that a run would take if it had copied nothing."""
    own = sum(read_usage(path)["seconds"].values())
    return float(own + sum(sum(by_kind.values()) for by_kind in _copied(path).values()))


def _seconds_of(run: Path, piece: str) -> dict[str, float]:
    """Seconds of a piece by kind of work: of the run itself, and of what the run had copied."""
    folder_of, kinds, instead = _PIECES[piece]
    folder = folder_of(run)
    place = {} if folder in (None, run) else {"place": folder.name}
    spent = [] if folder is None else [read_usage(folder, **place)["seconds"]]
    spent += [by_kind for name, by_kind in _copied(run).items() if name in instead]
    total: dict[str, float] = {}
    for by_kind in spent:
        for kind, seconds in by_kind.items():
            if not kinds or kind in kinds:
                total[kind] = round(total.get(kind, 0.0) + seconds, 2)
    return total


def _copied(run: Path) -> dict[str, dict[str, float]]:
    """Seconds of copied pieces, by piece, then by kind of work."""
    path = run / paths.COPIED
    found: dict[str, dict[str, float]] = read_checked(path, _WITHOUT) if path.exists() else {}
    return found
