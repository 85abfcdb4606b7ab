"""Results of a run. This is the only module that writes and reads `results.json`."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from sapo_lite.data.check.finding import Finding
from sapo_lite.errors import RunFolderError
from sapo_lite.evaluation.continual import ContinualMetrics, Retention
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.evaluation.robustness import Robustness
from sapo_lite.prompts.confidence import Margin
from sapo_lite.prompts.schedules import Rescoring
from sapo_lite.run import paths
from sapo_lite.run.binding import instead_of_a_run, is_run
from sapo_lite.run.stage_folder import Update
from sapo_lite.support.checked_json import write_checked
from sapo_lite.support.typed_json import read_typed
from sapo_lite.types import Candidate

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class AnswersRewritten:
    """Summary of the rewritten training answers of one task.

    rewritten, kept: shares of rows, in [0, 1], with a rewrite and with their own answer
    changed: share of rows whose rewrite differs from the answer
    first_reward, last_reward: mean rewards in the first and the last quarter of the policy's steps; None if
        the policy was not trained
    sample: the first changed row, as (answer, rewrite)
    """

    rewritten: float
    kept: float
    changed: float
    first_reward: float | None
    last_reward: float | None
    sample: tuple[str, str] | None


@dataclass(frozen=True)
class WatchedScores:
    """Scores of a watched set or task in percent, by stage: the first is before any training.

    drops: what was lost since then, in points, by stage after the first
    parts: scores by category and stage; empty if there are no categories
    """

    metric: str
    scores: list[float]
    drops: list[float]
    parts: dict[str, list[float]]


@dataclass(frozen=True)
class Wording:
    """Scores of a task under one kind of prompt, in percent: R[j,j], right after learning it, and R[N,j]."""

    learned: float
    end: float


@dataclass(frozen=True)
class GuardEvent:
    """A drop of a task in a stage in which it passed the line of [guard], in one way of learning the stage.

    before, after: scores in percent: of a learned task right after it was learned, of a watched one before
        any training; and after this stage
    drop, standard_error, bound: in points; `bound` is the lower one-sided 95 % bound of the drop
    rows: number of test rows, which are compared in pairs
    too_far: whether the drop passed the line in this way of learning
    way: how the stage was learned
    action: what was done: warned, or the way was kept or set aside
    """

    stage: int
    task: str
    before: float
    after: float
    drop: float
    standard_error: float | None
    bound: float | None
    rows: int
    too_far: bool
    way: str
    action: Literal["warned", "kept", "set aside"]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Contents of `results.json`. It depends on recipe, data and software only, so it holds no times.

    tasks: keys of the tasks, in order; other fields with tasks use these keys
    task_metrics: by task, the metric that is shown as its score
    lessons: names of the task groups that were trained, in order: a task, or "joint" for all tasks at once
    chosen: candidate that each learned task is tested with; with rescorings, the last one
    certainty: margin of the chosen candidate before training; None if candidates were not scored
    rescorings: scorings during training, by task
    matrices: by kind of prompt, then by metric: R in percent; row 0 is before any training, row i is after
        `lessons[i - 1]`. `task_metric` has each task's own metric in its column. Metrics named
        `..._extracted`, of final answers, are there if answers were rewritten
    metrics: by kind of prompt, then by metric: AP, BWT and FWT of R; AP alone of further kinds in `wordings`
    wordings: by kind of prompt, then by task: scores by each task's own metric; empty without
        evaluation.matrix, and if nothing was learned
    retention: by kind of prompt, then by metric: mean of R[j,j], and mean of R[N,j] / R[j,j]
    robustness: of the model at the end of the run, by task; empty if the recipe does not ask for it
    rewriting: by task; empty if the recipe does not ask for it
    watched: scores of watched sets and tasks, by name; they are no part of matrices and metrics
    guard: drops that passed the line of the recipe's [guard], and what was done
    updates: size of what each lesson's training has changed, by lesson
    notices: what a reader should know, a sentence each
    findings: of the checks of the data that the run used
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    schema_version: int = 3  # 1: before tasks had metrics of their own; 2: before retention
    recipe: str
    strategy: str
    adapter: str
    seed: int
    tasks: list[str]
    task_metrics: dict[str, str]
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
    watched: dict[str, WatchedScores] = field(default_factory=dict)
    guard: list[GuardEvent] = field(default_factory=list)
    updates: dict[str, Update] = field(default_factory=dict)
    notices: list[str]
    findings: list[Finding] = field(default_factory=list)
    wordings: dict[str, dict[str, Wording]] = field(default_factory=dict)
    retention: dict[str, dict[str, Retention]] = field(default_factory=dict)

    def value(self, kind: str, metric: str, name: str) -> float | None:
        """What `formulas` calls `name`, in percent, under one kind of prompt; None if it is not defined."""
        kept = self.retention[kind][metric]
        if name == "in-task":
            return kept.in_task
        if name == "retention":
            return None if kept.retention is None else 100 * kept.retention
        return self.metrics[kind][metric][name]

    def matrix(self, kind: str | None = None, metric: str = TASK_METRIC) -> "DataFrame":
        """R in percent as a table of pandas: rows by what was trained last, columns by task.

        kind: of prompt, such as "chosen" or "original"; by default the first that was tested
        """
        from pandas import DataFrame, Index

        r = self.matrices[kind or next(iter(self.matrices))][metric]
        after = Index(["nothing", *self.lessons][: len(r)], name="after")
        return DataFrame(r, after, self.tasks)

    def to_pandas(self) -> "DataFrame":
        """All scores as a table of pandas, a row each: stage, after, task, kind, metric, score in percent."""
        from pandas import DataFrame

        after = ["nothing", *self.lessons]
        rows = [
            (stage, after[stage], task, kind, metric, score)
            for kind, by_metric in self.matrices.items()
            for metric, r in by_metric.items()
            for stage, scores in enumerate(r)
            for task, score in zip(self.tasks, scores, strict=True)
        ]
        return DataFrame(rows, columns=["stage", "after", "task", "kind", "metric", "score"])


def is_finished(folder: Path) -> bool:
    """Whether the run in the folder is finished."""
    return (folder / paths.RESULTS).exists()


def write_results(folder: Path, results: Results) -> None:
    """Write the results of a run to its folder. The run is then finished."""
    write_checked(folder / paths.RESULTS, asdict(results))


def read_results(folder: Path | str) -> Results:
    """Read the results of the finished run in a folder.

    Raises:
        RunFolderError: there is no finished run, or the file is damaged or of another version; the message
            says what to do.
    """
    folder = Path(folder)
    if not is_run(folder):
        raise RunFolderError(
            f"{folder}: expected the folder of a finished run, found {instead_of_a_run(folder)}"
        )
    if not is_finished(folder):
        raise RunFolderError(f"{folder}: expected a finished run, found an unfinished one; finish it first")
    fix = f"Delete the file and repeat the run with --out {folder}, which makes it again."
    return read_typed(folder / paths.RESULTS, Results, fix, version="schema_version")
