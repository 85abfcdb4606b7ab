"""Names of the files and folders of a run, and of the folder of a comparison.

    runs/lab-20260131-142500/
        recipe.json                 what the run is of: resolved recipe, hashes of data, model and file of
                                    candidates; a run of anything else is refused
        chat.json                   what the chat template wrote around turns when the run began
        environment.json            versions and machine
        candidates/<task>.json      candidate instructions
        00-zero-shot/               a stage: predictions, and stage.json, its scores before any training
        01-stars/                   losses.json of the candidates, adapter/, predictions; stage.json, the
                                    choice and the scores, is written last: with it the stage is finished;
                                    wordings.json, where the model decides on prompts while it is trained;
                                    rewrites.json, where training answers are rewritten
        02-mood/                    the last one also gets the answers of the robustness report, afterwards
        results.json                R, AP, BWT, FWT, chosen prompts, robustness: the run is finished
        usage.json                  seconds by kind of work, peak memory; a stage folder has its own
        copied.json, shown.txt      of a run that `compare` began: seconds that other runs took for what was
                                    copied from them, and what it would have shown
        log.txt                     what the libraries said

    runs/compare-lab-1a2b3c4d/
        comparison.json             settings, cells with their commands, and what came out
        comparison.md               the same for people, once all cells are finished
        fixed-lorainc-0/            a run folder for each cell
        workers.log                 what libraries said past the log.txt of the runs

In a stage of several tasks, the files of one of them end with its key: `losses-stars.json`.
"""

import re
from collections.abc import Sequence
from pathlib import Path

LOCK = ".lock"
LOG = "log.txt"

RECIPE = "recipe.json"
RESULTS = "results.json"
USAGE = "usage.json"
ENVIRONMENT = "environment.json"
COPIED = "copied.json"
SHOWN = "shown.txt"
CANDIDATES = "candidates"

STAGE = "stage.json"
ADAPTER = "adapter"
ADAPTER_PARTIAL = "adapter.partial"
CHECKPOINTS = "checkpoints"

COMPARISON = "comparison.json"
COMPARISON_TEXT = "comparison.md"
WORKERS_LOG = "workers.log"

# Values that a folder keeps in JSON files (sapo_lite.run.stage_folder), by name without ending.
CHAT = "chat"
LOSSES = "losses"
WORDINGS = "wordings"
REWRITES = "rewrites"

# Names under which folders and files are copied or saved, before they get their own.
PARTIAL = re.compile(r"adapter\.partial|\.(candidates|[0-9]{2,}-.+|losses.*\.json)\.partial")


def stage(number: int, name: str) -> str:
    """Folder of the `number`-th stage: `01-stars`."""
    return f"{number:02d}-{name}"


UNTRAINED = "zero-shot"
ZERO_SHOT = stage(0, UNTRAINED)


def of_task(name: str, task: str | None) -> str:
    """A value's name in a stage: `losses`; in one of several tasks, that of a task: `losses-stars`."""
    return name if task is None else f"{name}-{task}"


def predictions(task: str, kind: str) -> str:
    """Answers of a task under one kind of prompt, by its key."""
    return f"predictions/{task}-{kind}"


def first_stage(run: Path) -> Path | None:
    """The folder of the first stage that trains, if it was begun."""
    return next(iter(sorted(run.glob("01-*"))), None)


def losses(stage: Path) -> Sequence[Path]:
    """The losses of candidates in a stage's folder: a file, or one for each task."""
    return sorted(stage.glob(f"{LOSSES}*.json"))


def pools(run: Path) -> Sequence[Path]:
    """The files of candidates, one for each task."""
    return sorted((run / CANDIDATES).glob("[!.]*.json"))


def stages_finished(run: Path) -> int:
    """How many stages of a run are finished."""
    return len(list(run.glob(f"[0-9]*/{STAGE}")))


def runs_finished(parent: Path) -> Sequence[Path]:
    """Folders in `parent`, and in folders there, that hold results of a run."""
    return sorted(file.parent for depth in ("*", "*/*") for file in parent.glob(f"{depth}/{RESULTS}"))
