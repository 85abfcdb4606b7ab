"""The folder of a run: locked, bound to one recipe, and written so that a run killed anywhere can resume.

Its files are named in sapo_lite.run.paths. They are written to a temporary name and renamed, so a file that
exists is complete. Temporary files of a killed process are removed when the folder is opened again.
"""

import contextlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sapo_lite.errors import RunFolderError
from sapo_lite.run import paths
from sapo_lite.run.binding import Binding, Inputs, is_ours, is_run, read_binding, require_same, write_binding
from sapo_lite.run.lock import is_empty, locked
from sapo_lite.run.stage_folder import Stage
from sapo_lite.support.checked_json import read_checked
from sapo_lite.support.files import sha256, write_json
from sapo_lite.types import Task

# The place of files that belong to the whole run.
RUN = "run"
USAGE = paths.USAGE.removesuffix(".json")


class RunFolder:
    """A locked run folder. Use as a context manager.

    fresh: whether the run in it is to be discarded, by `empty`, once a new one can begin

    A new folder in which no run was started (for example, because data were missing) is removed on exit.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        self.path = path
        self.fresh = fresh
        self._stage: Stage | None = None
        self._lock = contextlib.ExitStack()

    def __enter__(self) -> "RunFolder":
        self._new = not self.path.exists()
        self._lock.enter_context(locked(self.path, paths.PARTIAL))
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()
        if self._new and not is_run(self.path):
            shutil.rmtree(self.path)

    def empty(self) -> None:
        """Discard the run in the folder; what no run makes is left alone.

        Its recipe.json goes last: a folder that a killed process has half emptied is still known.
        """
        made = [entry for entry in self.path.iterdir() if paths.MADE.fullmatch(entry.name)]
        for entry in sorted(made, key=lambda entry: entry.name == paths.RECIPE):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def bind(
        self, recipe: dict[str, Any], data: dict[str, str], inputs: Inputs, tasks: Sequence[Task] = ()
    ) -> None:
        """Bind a new folder to a resolved recipe, data and inputs; check the binding of an old one.

        Inputs that were unknown until now are added to the binding. Of the tasks, only how they are asked is
        kept: their examples are in the hashes of `data`.

        Raises:
            RunFolderError: the folder has another binding; the message names the differences.
        """
        asked = [replace(task, train=(), test=()) for task in tasks]
        if not is_run(self.path):
            write_binding(self.path, Binding(recipe=recipe, data=data, inputs=inputs, tasks=asked))
            return
        before = require_same(self.path, recipe, data, inputs)
        unknown = [what for what, parts in inputs.items() if parts and not before.inputs.get(what)]
        if unknown or (asked and not before.tasks):
            known = before.inputs | {what: inputs[what] for what in unknown}
            write_binding(self.path, replace(before, inputs=known, tasks=before.tasks or asked))

    def stage(self, number: int, name: str) -> Stage:
        """The folder of a stage. From now on, `add_usage` also adds its seconds to this stage."""
        self._stage = Stage(self.path / paths.stage(number, name))
        return self._stage

    def base(self) -> Stage:
        """The folder of measurements before any training. From now on, `add_usage` adds its seconds too."""
        self._stage = Stage(self.path / paths.BASE)
        return self._stage

    @property
    def candidates(self) -> Stage:
        """Candidate instructions, one JSON file a task."""
        return Stage(self.path / paths.CANDIDATES)

    def chat_frame(self, rendered: dict[str, str]) -> dict[str, str]:
        """The texts that the chat template rendered when the run started; `rendered` for a new run.

        A template may write the date. A run that is resumed on another day must read the same prompts.

        Raises:
            RunFolderError: the file does not hold these texts.
        """
        own = Stage(self.path, of=RUN)
        kept: dict[str, str] = own.cached(paths.CHAT, lambda: rendered)
        if not isinstance(kept, dict) or kept.keys() != rendered.keys():
            raise RunFolderError(
                f"{own.file(paths.CHAT)}: expected the texts {', '.join(rendered)}, found something else. "
                "Start over with --fresh."
            )
        return kept

    def note_environment(self, environment: dict[str, Any]) -> None:
        write_json(self.path / paths.ENVIRONMENT, environment)

    def add_usage(self, seconds: dict[str, float], peak_memory_gb: dict[str, float]) -> None:
        """Add seconds by kind of work, to the run and to its current stage, and peak gigabytes by device."""
        usage = read_usage(self.path)
        _add(usage["seconds"], seconds)
        for device, value in peak_memory_gb.items():
            usage["peak_memory_gb"][device] = round(max(usage["peak_memory_gb"].get(device, 0.0), value), 2)
        Stage(self.path, of=RUN).write(USAGE, usage)
        if self._stage is not None and self._stage.path.exists():
            of_stage = read_usage(self._stage.path, self._stage.place)["seconds"]
            _add(of_stage, seconds)
            self._stage.write(USAGE, {"seconds": of_stage})

    def note_first_files(self) -> None:
        """Add the hashes of chat.json and of the candidates to the binding: they must stay as they are."""
        files = [self.path / f"{paths.CHAT}.json", *paths.pools(self.path)]
        made = {file.relative_to(self.path).as_posix(): sha256(file) for file in files}
        before = read_binding(self.path)
        if before.made != made:
            write_binding(self.path, replace(before, made=made))


def read_usage(folder: Path, place: str = RUN) -> dict[str, dict[str, float]]:
    """Seconds by kind of work and peak gigabytes by device, over all processes of a run (or of a stage).

    place: of the stage

    Raises:
        RunFolderError: the file is damaged.
    """
    stage, found = Stage(folder, of=place), dict[str, dict[str, float]]()
    if stage.has(USAGE):
        fix = "Delete the file: the times and memory of the run so far are then lost."
        found = read_checked(stage.file(USAGE), fix, stage.place_of(USAGE))
    return {"seconds": {}, "peak_memory_gb": {}} | found


def _add(total: dict[str, float], seconds: dict[str, float]) -> None:
    for kind, value in seconds.items():
        total[kind] = round(total.get(kind, 0.0) + value, 2)


def choose_folder(name: str, out: Path | None, *, resume: bool | None, parent: Path = Path("runs")) -> Path:
    """The path of a run's folder.

    With `out`, that folder, which may hold a run already.
    Without, a new `runs/<name>-<time>`; if `resume` is True, the latest of this name that is not finished, or
    else the latest: a clock that was ahead once does not hide what is left to do.

    Raises:
        RunFolderError: there is no run to resume, or `out` holds something else.
    """
    if out is None:
        if resume:
            own = re.compile(rf"{re.escape(name)}-[0-9]{{8}}-[0-9]{{6}}")  # not those of NAME-2
            runs = [p for p in parent.glob("*") if own.fullmatch(p.name) and is_run(p)]
            if not runs:
                raise RunFolderError(
                    f"Nothing to resume: no run of {name} in {parent.resolve()}. Leave out --resume."
                )
            return max(runs, key=lambda run: (not (run / paths.RESULTS).exists(), run.name))
        return parent / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    if not is_run(out) and not is_empty(out):
        raise RunFolderError(
            f"{out} exists and is not a run folder. Choose a new or an empty folder for --out."
        )
    if resume is False and is_run(out) and not is_ours(out):
        raise RunFolderError(
            f"{out / paths.RECIPE} is not that of a run, so --fresh discards nothing there. Choose another "
            "folder for --out."
        )
    if resume and not is_run(out):
        raise RunFolderError(f"Nothing to resume in {out}: it holds no run. Leave out --resume.")
    return out
