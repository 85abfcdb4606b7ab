"""Check of a run's files before it goes on: each is as the run wrote it, or is made again, or is refused.

What depends only on the recipe, the backbone and the stages before is made again: measurements of candidates,
answers, records of stages, a training that nothing was built on. All else is refused: the first files, which
everything depends on, and what a training left that later stages were built on.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from sapo_lite.errors import RunFolderError
from sapo_lite.run import paths
from sapo_lite.run.binding import read_binding
from sapo_lite.run.faults import MISSING, OTHER, faults
from sapo_lite.run.folder import RUN, USAGE
from sapo_lite.run.guard import Decision, put_in_place
from sapo_lite.run.results import is_finished
from sapo_lite.run.stage_folder import Stage
from sapo_lite.support.checked_json import is_whole
from sapo_lite.support.files import sha256

Notify = Callable[[str], None]

_MEASURED = (paths.LOSSES, paths.INDICATOR)
_ANSWERS = ("predictions", "watched")
_FRESH = "or start over with --fresh"


def verify(run: Path, notify: Notify) -> None:
    """Check the files of a run, which is bound to its recipe, and remove those that are to be made again.

    Of a finished run, the results alone are read and checked.

    Raises:
        RunFolderError: a file is damaged or missing that cannot be made again; the message says how to go on.
    """
    own = Stage(run, of=RUN)
    if own.has(USAGE) and not is_whole(own.file(USAGE), own.place_of(USAGE)):
        _remove(own.file(USAGE), f"{paths.USAGE} {OTHER}: the times of the run so far are lost", notify)
    if is_finished(run) and not is_whole(run / paths.RESULTS):
        _remove(run / paths.RESULTS, f"{paths.RESULTS} {OTHER}: it is made again", notify)
    if is_finished(run):
        return
    _require_first_files(run)
    base = Stage(run / paths.BASE)
    for name, fault in faults(base).items():
        _remove(base.path / name, f"{paths.BASE}/{name} {fault}: it is made again", notify)
    stages = [Stage(path) for path in paths.stages(run)]
    for stage in stages:
        _verify_stage(stage, built_on=stage is not stages[-1], notify=notify)


def _require_first_files(run: Path) -> None:
    """Raises RunFolderError if chat.json or a file of candidates is not that of the stages."""
    made = read_binding(run).made
    own, pools = Stage(run, of=RUN), Stage(run / paths.CANDIDATES)
    there = {file.relative_to(run).as_posix(): (pools, file) for file in paths.pools(run)}
    if own.has(paths.CHAT):
        there[f"{paths.CHAT}.json"] = (own, own.file(paths.CHAT))
    for name, (folder, file) in there.items():
        same = sha256(file) == made.get(name, sha256(file))
        if not same or not is_whole(file, folder.place_of(file.stem)):
            edited = (
                " If you edited it, the same command with --accept-edits takes it as it is."
                if folder is pools
                else ""
            )
            raise RunFolderError(f"{file} {OTHER}.{edited} Else put it back, {_FRESH}.")
    if missing := next((name for name in made if name not in there), None):
        raise RunFolderError(f"{run / missing} {MISSING}. Put it back, {_FRESH}.")


def _verify_stage(stage: Stage, *, built_on: bool, notify: Notify) -> None:
    """Check one stage; `built_on`: whether there are later ones."""
    if stage.has(paths.GUARD) and is_whole(stage.file(paths.GUARD), stage.place_of(paths.GUARD)):
        put_in_place(stage, stage.read(Decision, paths.GUARD).kept)
    else:
        _verify_retries(stage, notify)
    found = faults(stage)
    if built_on and not stage.done:
        found.setdefault(paths.STAGE, MISSING)
    if (stage.done or built_on) and stage.path.name != paths.ZERO_SHOT and not stage.adapter.exists():
        found[paths.ADAPTER] = MISSING
    for name, fault in found.items():
        if _trained(name, stage):
            _learn_again(stage, name, fault, built_on=built_on, notify=notify)
            return
    for name, fault in found.items():
        _remove(stage.path / name, f"{stage.place}/{name} {fault}: it is made again", notify)
    if any(name.startswith(_ANSWERS) for name in found):  # they are read only by the test of the stage
        (stage.path / paths.STAGE).unlink(missing_ok=True)


def _trained(name: str, stage: Stage) -> bool:
    """Whether the training of the stage has read or made the file."""
    if name.startswith((*_ANSWERS, paths.STAGE, paths.USAGE)):
        return False
    # A finished stage has the choice in its record, which losses that are measured again must agree with.
    return not name.startswith(_MEASURED) or (stage.adapter.exists() and not stage.done)


def _learn_again(stage: Stage, name: str, fault: str, *, built_on: bool, notify: Notify) -> None:
    """Clear a stage whose training is to be repeated.

    Raises:
        RunFolderError: later stages were built on it, or its results are known.
    """
    if stage.done or built_on:
        raise RunFolderError(f"{stage.path / name} {fault}. {stage.made_again}")
    notify(f"{stage.place}/{name} {fault}: the stage is learned again")
    for entry in stage.path.iterdir():
        measured = entry.name.startswith(_MEASURED) and name != entry.name
        if not measured:
            _delete(entry)


def _verify_retries(stage: Stage, notify: Notify) -> None:
    """Remove retries of the guard from the first damaged one on."""
    retries = sorted(stage.path.glob(f"{paths.RETRY}*"))
    damaged = [bool(faults(Stage(path, of=stage.place))) for path in retries]
    for path in retries[damaged.index(True) :] if any(damaged) else []:
        _remove(path, f"{stage.place}/{path.name} {OTHER}: it is made again", notify)


def _remove(path: Path, notice: str, notify: Notify) -> None:
    notify(notice)
    _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
