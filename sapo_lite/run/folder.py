"""The run folder: what a run has finished, written so that a run killed anywhere can go on.

    runs/lab-20260131-142500/
        recipe.json                 the resolved recipe, and hashes of the data, the model and the file of
                                    candidates; others are refused
        chat.json                   what the chat template wrote around turns when the run began
        environment.json            versions and machine
        candidates/<task>.json      candidate instructions
        00-zero-shot/               a stage folder: predictions and scores before any training
        01-stars/                   losses, selection, adapter/, predictions, scores; `done` is written last;
                                    wordings, where the model decides on them while it is trained
        02-mood/                    the last one also gets the answers of the robustness report, after `done`
        results.json                R, AP, BWT, FWT, chosen prompts, robustness
        usage.json                  seconds by kind of work, peak memory; a stage folder has its own
        copied.json                 seconds that other runs took for what `compare` copied from them
        log.txt                     what the libraries said

Files are written to a temporary name and renamed, so a file that exists is whole. What a killed process
leaves under such a name is removed when the folder is opened again.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sapo_lite.errors import RunFolderError
from sapo_lite.support.files import read_json, write_json
from sapo_lite.support.leftovers import remove_leftovers

_RECIPE = "recipe.json"

# What a run reads besides recipe and data: hashes by the part that they are of, by what it is
# ("the model Qwen/Qwen3-8B"). Without any, it was not on the disk yet.
Inputs = dict[str, dict[str, str]]


def changed_inputs(before: Inputs | None, now: Inputs) -> list[str]:
    """A sentence for each input of a run that is another now; none for one that is or was unknown."""
    if before is None:
        return ["it was made by a version that did not note which model and which candidates it had read"]
    found = []
    for what, parts in now.items():
        old = before.get(what)
        if parts and old:
            names = [name for name in {**old, **parts} if old.get(name) != parts.get(name)]
            found += [f"{what} has changed ({', '.join(names)})"] if names else []
    return found


@dataclass(frozen=True)
class Stage:
    """One stage's folder. What `cached` has made once is read back ever after."""

    path: Path

    @property
    def done(self) -> bool:
        return (self.path / "done").exists()

    @property
    def adapter(self) -> Path:
        """The trained adapter; the folder exists only once training is complete."""
        return self.path / "adapter"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def has(self, name: str) -> bool:
        """Whether `cached` has made this value."""
        return (self.path / f"{name}.json").exists()

    def cached(self, name: str, make: Callable[[], Any]) -> Any:
        """The JSON value called `name`: read if it is there, else made and written.

        What is returned was read in either case, so a resumed run sees exactly what the first one saw.
        """
        path = self.path / f"{name}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, make())
        return read_json(path)

    def keep_adapter(self, save: Callable[[Path], None]) -> None:
        """Save the adapter so that a half-written one is never taken for a whole one."""
        partial = self.path / "adapter.partial"
        shutil.rmtree(partial, ignore_errors=True)
        save(partial)
        partial.rename(self.adapter)

    def finish(self) -> None:
        (self.path / "done").touch()


class RunFolder:
    """A locked run folder, emptied first if `fresh`. Use as a context manager.

    A new folder in which no run was begun (the data were missing, say) is removed again.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        self.path = path
        self.fresh = fresh
        self._stage: Stage | None = None

    def __enter__(self) -> "RunFolder":
        self._new = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.path / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunFolderError(
                f"{self.path} is in use by another sapo-lite process. Wait for it, stop it, or choose "
                "another folder with --out."
            ) from None
        remove_leftovers(self.path, below=True)
        if self.fresh:
            for entry in self.path.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)
                elif entry.name != ".lock":
                    entry.unlink()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if self._new and not (self.path / _RECIPE).exists():
            shutil.rmtree(self.path)

    def bind(
        self,
        recipe: dict[str, Any],
        data: dict[str, str],
        inputs: Inputs,
        differences: Callable[..., list[str]],
    ) -> None:
        """Tie the folder to a recipe, the data and the inputs, or check that it belongs to them.

        An input that was unknown until now is noted.

        Raises:
            RunFolderError: it was made from others; names what differs.
        """
        path = self.path / _RECIPE
        if not path.exists():
            write_json(path, {"recipe": recipe, "data": data, "inputs": inputs})
            return
        before = read_json(path)
        found = differences(before["recipe"], recipe)
        found += [
            f"the data of {task} has changed"
            for task, fingerprint in data.items()
            if before["data"].get(task) != fingerprint
        ]
        if found:
            raise RunFolderError(
                f"{self.path} holds results of another recipe:\n  " + "\n  ".join(found) + "\n"
                "Use the recipe it was made with, another --out, or --fresh to discard these results."
            )
        noted = before.get("inputs")
        if changed := changed_inputs(noted, inputs):
            raise RunFolderError(
                f"{self.path} holds results that are not of what the recipe names now:\n  "
                + "\n  ".join(changed)
                + "\nUse what it was made with, another --out, or --fresh to discard these results."
            )
        if unknown := [what for what, parts in inputs.items() if parts and not noted.get(what)]:
            write_json(path, before | {"inputs": noted | {what: inputs[what] for what in unknown}})

    def stage(self, number: int, name: str) -> Stage:
        """A stage's folder. What is used from now on counts for this stage too."""
        self._stage = Stage(self.path / f"{number:02d}-{name}")
        return self._stage

    @property
    def candidates(self) -> Stage:
        """Candidate instructions, one JSON file a task."""
        return Stage(self.path / "candidates")

    def chat_frame(self, rendered: dict[str, str]) -> dict[str, str]:
        """What the chat template wrote when the run began; `rendered` today, if the run begins now.

        A template may write the date, and a run that goes on on another day shall read the same prompts.

        Raises:
            RunFolderError: the file was altered.
        """
        kept: dict[str, str] = Stage(self.path).cached("chat", lambda: rendered)
        if not isinstance(kept, dict) or kept.keys() != rendered.keys():
            raise RunFolderError(
                f"{self.path / 'chat.json'}: expected the texts {', '.join(rendered)}, found something else. "
                "Start over with --fresh."
            )
        return kept

    def note_environment(self, environment: dict[str, Any]) -> None:
        write_json(self.path / "environment.json", environment)

    def write_results(self, results: dict[str, Any]) -> None:
        write_json(self.path / "results.json", results)

    @property
    def usage(self) -> dict[str, dict[str, float]]:
        """Seconds by kind of work and peak gigabytes by device, over all processes of this run."""
        path = self.path / "usage.json"
        usage: dict[str, dict[str, float]] = {"seconds": {}, "peak_memory_gb": {}}
        return read_json(path) if path.exists() else usage

    def add_usage(self, seconds: dict[str, float], peak_memory_gb: dict[str, float]) -> None:
        usage = self.usage
        _add(usage["seconds"], seconds)
        for device, value in peak_memory_gb.items():
            usage["peak_memory_gb"][device] = round(max(usage["peak_memory_gb"].get(device, 0.0), value), 2)
        write_json(self.path / "usage.json", usage)
        if self._stage is not None and self._stage.path.exists():
            path = self._stage.path / "usage.json"
            of_stage = read_json(path) if path.exists() else {"seconds": {}}
            _add(of_stage["seconds"], seconds)
            write_json(path, of_stage)


def _add(total: dict[str, float], seconds: dict[str, float]) -> None:
    for kind, value in seconds.items():
        total[kind] = round(total.get(kind, 0.0) + value, 2)


def choose_folder(name: str, out: Path | None, *, resume: bool | None, parent: Path = Path("runs")) -> Path:
    """The folder a run shall use.

    With `out`, that folder, which may hold a run already.
    Without, a new `runs/<name>-<time>`, or the latest of this name if `resume` is True.

    Raises:
        RunFolderError: nothing to resume, or `out` is a folder of something else.
    """
    if out is None:
        if resume:
            own = re.compile(rf"{re.escape(name)}-[0-9]{{8}}-[0-9]{{6}}")  # not those of NAME-2
            runs = [p for p in parent.glob("*") if own.fullmatch(p.name) and (p / _RECIPE).exists()]
            if not runs:
                raise RunFolderError(
                    f"Nothing to resume: no run of {name} in {parent.resolve()}. Leave out --resume."
                )
            return max(runs)
        return parent / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    is_run = (out / _RECIPE).exists()
    # Hidden files are our own: the lock, and what a run killed in its first moments leaves.
    empty = not out.exists() or (out.is_dir() and all(p.name.startswith(".") for p in out.iterdir()))
    if not is_run and not empty:
        raise RunFolderError(
            f"{out} exists and is not a run folder. Choose a new or an empty folder for --out."
        )
    if resume and not is_run:
        raise RunFolderError(f"Nothing to resume in {out}: it holds no run. Leave out --resume.")
    return out
