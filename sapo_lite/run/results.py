"""What a run found, in `results.json`: the one module that writes this file and reads it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from sapo_lite.errors import RunFolderError
from sapo_lite.evaluation.continual import ContinualMetrics
from sapo_lite.evaluation.robustness import Robustness
from sapo_lite.prompts.confidence import Margin
from sapo_lite.prompts.schedules import Rescoring
from sapo_lite.run import paths
from sapo_lite.run.binding import is_run
from sapo_lite.support.files import write_json
from sapo_lite.support.typed_json import read_typed
from sapo_lite.types import Candidate


@dataclass(frozen=True)
class AnswersRewritten:
    """What rewriting made of a task's training answers: shares of rows, and the mean rewards of the first and
    of the last quarter of the policy's steps (None without training).

    `changed` counts the rewritten rows whose rewrite is another text than the answer; `sample` is the
    first of them, as (answer, rewrite).
    """

    rewritten: float
    kept: float
    changed: float
    first_reward: float | None
    last_reward: float | None
    sample: tuple[str, str] | None


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that `results.json` holds. Depends on recipe, data and software only: no times in it.

    `matrices[kind][metric]` is R in percent: row 0 before any training, row i after `lessons[i - 1]`,
    which is a task, or "joint" for all at once; `metrics[kind][metric]` its AP, BWT, FWT. `chosen` has
    the tasks that were learned; `certainty` is the lead of a chosen candidate over the others, where
    candidates were scored. `rescorings` are those while training, by task; `chosen` is then what a task
    ended with, `certainty` that of what it began with. `rewriting` is there where answers were
    rewritten; there are metrics called `..._extracted` then, of what an answer finally says.
    `robustness` is that of the model at the end of the run; empty unless asked for.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    schema_version: int = 1
    recipe: str
    strategy: str
    adapter: str
    seed: int
    tasks: list[str]
    lessons: list[str]
    chosen: dict[str, Candidate]
    certainty: dict[str, Margin | None]
    rescorings: dict[str, list[Rescoring]]
    matrices: dict[str, dict[str, list[list[float]]]]
    metrics: dict[str, dict[str, ContinualMetrics]]
    formulas: dict[str, str]
    robustness: dict[str, Robustness | None]
    robustness_averages: dict[str, float]
    rewriting: dict[str, AnswersRewritten]
    notices: list[str]


def is_finished(folder: Path) -> bool:
    """Whether a run in the folder has come to its results."""
    return (folder / paths.RESULTS).exists()


def write_results(folder: Path, results: Results) -> None:
    """Write the results of a run into its folder: it is finished then."""
    write_json(folder / paths.RESULTS, asdict(results))


def read_results(folder: Path | str) -> Results:
    """The results of the finished run in a folder.

    Raises:
        RunFolderError: there is none, or the file is damaged, or of another version. Says what to do.
    """
    folder = Path(folder)
    if not is_run(folder):
        what = "a folder of something else" if folder.is_dir() else "no such folder"
        raise RunFolderError(f"{folder}: expected the folder of a finished run, found {what}")
    if not is_finished(folder):
        raise RunFolderError(f"{folder}: expected a finished run, found an unfinished one; finish it first")
    fix = f"Delete the file and repeat the run with --out {folder}, which makes it again."
    return read_typed(folder / paths.RESULTS, Results, fix, version="schema_version")
