"""Candidates of a run that were edited by hand, taken because the user says so (`--accept-edits`)."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sapo_lite.prompts.pool import pool_from_json, pool_to_json
from sapo_lite.run import paths
from sapo_lite.run.binding import read_binding, write_binding
from sapo_lite.run.stage_folder import Stage
from sapo_lite.support.checked_json import is_whole
from sapo_lite.support.files import read_json, sha256
from sapo_lite.support.messages import many
from sapo_lite.types import Task


def accept_edits(run: Path, tasks: Sequence[Task], notify: Callable[[str], None]) -> None:
    """Take the candidates as they are now. If some were edited, all stages are removed, to be made again.

    Even the zero-shot stage depends on the candidates: inputs are cut to fit the longest one.

    tasks: those that the run learns

    Raises:
        RunFolderError, ParaphraseError: an edited file is no list of candidates of its task; nothing was
            removed.
    """
    pools, binding = Stage(run / paths.CANDIDATES), read_binding(run)
    edited = {}
    for task in tasks:
        file = pools.file(task.file_name)
        if pools.has(task.file_name) and not _known(run, file, pools.place_of(task.file_name)):
            edited[task.file_name] = pool_to_json(pool_from_json(read_json(file, "Mend it."), task))
    if not edited:
        notify("--accept-edits: no candidates were edited")
        return
    stages = paths.stages(run)
    (run / paths.RESULTS).unlink(missing_ok=True)
    for folder in (*reversed(stages), run / paths.BASE):
        shutil.rmtree(folder, ignore_errors=True)
    for name, content in edited.items():
        pools.write(name, content)
    write_binding(run, replace(binding, made={}))
    again = f"; {many(len(stages), 'stage')} made from the old ones will be made again" if stages else ""
    notify(f"taken as edited: {', '.join(edited)}{again}")


def _known(run: Path, file: Path, place: str) -> bool:
    """Whether a file of candidates is as the run wrote it, and as its stages read it."""
    made = read_binding(run).made.get(file.relative_to(run).as_posix())
    return is_whole(file, place) and made in (None, sha256(file))
