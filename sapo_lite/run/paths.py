"""Names of the files and folders of a run, and of the folder of a comparison.

    runs/lab-20260131-142500/
        recipe.json                 identity of the run: resolved recipe, hashes of data, model and file of
                                    candidates; a run of any other is refused; how each task is asked
        chat.json                   what the chat template rendered around turns when the run started
        environment.json            versions and machine
        candidates/<task>.json      candidate instructions
        00-zero-shot/               a stage: predictions/, the test rows with answers, and stage.json, its
                                    scores before any training
        base/                       losses or indicator of all candidates, if prompt.state is "base"
        01-stars/                   losses.json or indicator.json of the candidates, adapter/, predictions;
                                    stage.json with the choice and the scores is written last: the stage is
                                    then finished;
                                    wordings.json, decisions of a schedule that scores during training;
                                    rewrites.json, if training answers are rewritten;
                                    gradient.json, the norm before the first step (training.gradient_norm);
                                    watched/, answers of watched sets and tasks, in every stage;
                                    history.jsonl, a line for each optimiser step (sapo_lite.run.history);
                                    guard.json, if tasks dropped too far, retry-1/ and first-try/, the
                                    trainings that were not kept
        02-mood/                    the last stage also gets the answers of the robustness report
        results.json                R, AP, BWT, FWT, chosen prompts, robustness: the run is then finished
        usage.json                  seconds by kind of work, peak memory; a stage folder has its own
        report.html                 the results as a page, written by the commands at the end; not read back
        copied.json, shown.txt      only in runs of `compare`: seconds that other runs took for the copied
                                    pieces, and the output of the run's display
        tracking/                   curves for TensorBoard and W&B, if the recipe's section [tracking] says so
        log.txt                     output of libraries

    runs/compare-lab-1a2b3c4d/
        comparison.json             settings, cells with their commands, and results
        comparison.md, report.html  the same as tables and as a page, once all cells are finished
        fixed-lorainc-0/            a run folder for each cell
        workers.log                 output of libraries that did not reach the log.txt of a run

In a stage of several tasks, names of files end with the key of their task: `losses-stars.json`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from sapo_lite.errors import RunFolderError
from sapo_lite.support.folders import is_inside

LOCK = ".lock"
LOG = "log.txt"

RECIPE = "recipe.json"
RESULTS = "results.json"
USAGE = "usage.json"
ENVIRONMENT = "environment.json"
COPIED = "copied.json"
SHOWN = "shown.txt"
REPORT = "report.html"
CANDIDATES = "candidates"
BASE = "base"

STAGE = "stage.json"
ADAPTER = "adapter"
ADAPTER_PARTIAL = "adapter.partial"
CHECKPOINTS = "checkpoints"
HISTORY = "history.jsonl"
TRACKING = "tracking"

COMPARISON = "comparison.json"
COMPARISON_TEXT = "comparison.md"
WORKERS_LOG = "workers.log"

# Names, without ending, of JSON files for cached values (sapo_lite.run.stage_folder).
CHAT = "chat"
LOSSES = "losses"
INDICATOR = "indicator"
WORDINGS = "wordings"
REWRITES = "rewrites"
GRADIENT = "gradient"
GUARD = "guard"

# Folders in a stage's folder: the training that the recipe asks for, if a retry has replaced it; the retries.
FIRST_TRY = "first-try"
RETRY = "retry-"

# Temporary names of folders and files that are being copied or saved.
PARTIAL = re.compile(
    r"adapter\.partial|\.(candidates|[0-9]{2,}-.+|(losses|indicator).*\.json|history\.jsonl)\.partial"
)

# Entries of a run folder, besides hidden ones: what --fresh discards.
MADE = re.compile(
    rf"{RECIPE}|{RESULTS}|{USAGE}|{ENVIRONMENT}|{COPIED}|{SHOWN}|{REPORT}|{CHAT}\.json|{CANDIDATES}"
    rf"|{TRACKING}|[0-9]{{2,}}-.+"
)


def stage(number: int, name: str) -> str:
    """Folder of the `number`-th stage: `01-stars`."""
    return f"{number:02d}-{name}"


UNTRAINED = "zero-shot"
ZERO_SHOT = stage(0, UNTRAINED)


def of_task(name: str, task: str | None) -> str:
    """Name of a cached value: `losses`, or in a stage of several tasks `losses-stars`."""
    return name if task is None else f"{name}-{task}"


def predictions(task: str, kind: str) -> str:
    """Name of the cached answers of a task, given by its key, for one kind of prompt."""
    return f"predictions/{task}-{kind}"


def watched(name: str) -> str:
    """Name of the cached answers of a watched set or task."""
    return f"watched/{quote(name, safe=' ')}"


def first_stage(run: Path) -> Path | None:
    """Folder of the first stage that trains, if it exists."""
    return next(iter(sorted(run.glob("01-*"))), None)


def scored(run: Path) -> Path | None:
    """Folder with the first measurements of candidates, if it exists: before any training, or a stage's."""
    base = run / BASE
    return base if base.exists() else first_stage(run)


def measured(folder: Path) -> Sequence[Path]:
    """Files with losses of candidates, or with another indicator, in a folder: one, or one for each task."""
    return sorted(file for name in (LOSSES, INDICATOR) for file in folder.glob(f"{name}*.json"))


def pools(run: Path) -> Sequence[Path]:
    """Files of candidates in a run folder, one for each task.

    Raises:
        RunFolderError: one is a link out of the run folder.
    """
    found = sorted((run / CANDIDATES).glob("[!.]*.json"))
    for file in found:
        if not is_inside(run, file):
            raise RunFolderError(
                f"{file}: expected a file in the run folder, found a link to {file.resolve()}. Copy it there."
            )
    return found


def stages(run: Path) -> Sequence[Path]:
    """Folders of the stages of a run, in order."""
    found = (path for path in run.glob("[0-9][0-9]*-*") if path.is_dir())
    return sorted(found, key=lambda path: int(path.name.split("-")[0]))


def stages_finished(run: Path) -> int:
    """Number of finished stages of a run."""
    return len(list(run.glob(f"[0-9]*/{STAGE}")))


def runs_finished(parent: Path) -> Sequence[Path]:
    """Folders of finished runs in `parent`, and one level below."""
    return sorted(file.parent for depth in ("*", "*/*") for file in parent.glob(f"{depth}/{RESULTS}"))
