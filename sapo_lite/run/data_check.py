"""The work of `sapo-lite data check`: all rows of the tasks of a recipe or a folder, and cut inputs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.data.check import OF_DRAWN, OF_ROWS, SLOW, check
from sapo_lite.data.check.cuts import cut_inputs
from sapo_lite.data.check.facts import SplitFacts, facts_of
from sapo_lite.data.check.finding import Finding, Split, Subject, by_level, subject_of
from sapo_lite.data.check.metric import what_the_metric_sees
from sapo_lite.data.suite import has_folder, read_index
from sapo_lite.data.tasks import load_dev
from sapo_lite.errors import DataError, RenderError
from sapo_lite.evaluation.metrics import score_of
from sapo_lite.recipe import SequenceConfig
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.types import Task

if TYPE_CHECKING:
    from sapo_lite.model.chat import ChatFormat

# More rows than any file has.
_ALL = 10**9


@dataclass(frozen=True)
class CheckedTask:
    """What there is in the files of a task, and what the checks found, the most severe first."""

    task: str
    splits: list[SplitFacts]
    findings: list[Finding]


def exit_code(checked: Sequence[CheckedTask]) -> int:
    """0 if nothing was found, 2 if a task is unusable, else 1."""
    levels = {finding.level for task in checked for finding in task.findings}
    return 2 if "unusable" in levels else int(bool(levels))


def check_sequence(
    sequence: SequenceConfig,
    chat: "ChatFormat | None" = None,
    data: Path | None = None,
    notify: Callable[[str], None] = lambda notice: None,
) -> Iterator[CheckedTask]:
    """Check tasks one after another: all rows of their files, and the examples that the recipe uses of them.

    chat: chat format with the recipe's budget; None if lengths and cuts are not to be checked

    Raises:
        DataError: tasks cannot be read; the message lists all faults.
    """
    everything = sequence.model_copy(update={"train_examples": _ALL, "test_examples": _ALL})
    whole = load_run_tasks(everything, data, notify)
    for task, used in zip(whole, load_run_tasks(sequence, data), strict=True):
        dev = () if task.train_split == "dev" else load_dev(sequence, task, data)
        yield _checked(subject_of(task, dev), subject_of(used), chat)


def suite_of(folder: Path) -> tuple[SequenceConfig, Path, list[str]]:
    """The tasks of a suite's folder, or the one of a task's folder, with all of their rows.

    Returns the tasks, the suite's folder, and the names of tasks that have no folder there.

    Raises:
        DataError: the folder is neither.
    """
    folder = folder.absolute()
    suite = folder if (folder / "instructions.json").is_file() else folder.parent
    if not (suite / "instructions.json").is_file():
        raise DataError(
            f"{folder}: expected a recipe, the folder of a suite (with instructions.json) or of one of its "
            "tasks, found neither"
        )
    index = read_index(suite)
    if suite == folder:
        names = [name for name in index if has_folder(suite, name)]
    else:
        names = [name for name in index if name == folder.name]
    if not names:
        raise DataError(f"{folder}: expected a task that {suite / 'instructions.json'} names, found none")
    sequence = SequenceConfig(
        suite=suite.name,
        tasks=tuple(names),
        train_examples=_ALL,
        test_examples=_ALL,
        missing_train="dev",
    )
    missing = [name for name in index if name not in names] if suite == folder else []
    return sequence, suite, missing


def _checked(whole: Subject, used: Subject, chat: "ChatFormat | None") -> CheckedTask:
    findings = [*_stand_in(whole), *check(whole, (*OF_ROWS, *SLOW)), *check(used, OF_DRAWN)]
    findings += what_the_metric_sees(whole, score_of(whole.task))
    facts = [facts_of(whole, split, _lengths(whole.task, split, chat)) for split in whole.splits]
    if chat is not None:
        findings += _cuts(used, chat)
    return CheckedTask(whole.task.key, facts, by_level(findings))


def _stand_in(subject: Subject) -> Iterator[Finding]:
    if subject.task.train_split == "dev":
        yield subject.found("stand-in", "caution", "there is no train file: dev stands in for it", "train")


def _lengths(task: Task, split: Split, chat: "ChatFormat | None") -> list[int] | None:
    """Lengths of the prompts with the original instruction, in tokens."""
    if chat is None:
        return None
    inputs = [example.input for example in split.examples]
    return [len(ids) for ids in chat.encode_prompts(task, task.instruction, inputs)]


def _cuts(used: Subject, chat: "ChatFormat") -> Iterator[Finding]:
    try:
        fitted = chat.fit(used.task, [used.task.instruction])
    except RenderError as error:
        yield used.found("no room", "unusable", str(error))
        return
    yield from cut_inputs(used, subject_of(fitted))
