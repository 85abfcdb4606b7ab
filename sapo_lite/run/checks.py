"""Checks of the examples that a run uses: at its start, and after inputs are cut to the model's budget."""

from collections.abc import Iterator, Sequence

from sapo_lite.data.check import OF_DRAWN, OF_ROWS, check
from sapo_lite.data.check.cuts import cut_inputs
from sapo_lite.data.check.finding import Finding, notices, subject_of
from sapo_lite.data.check.metric import what_the_metric_sees
from sapo_lite.evaluation.metrics import score_of
from sapo_lite.types import Task

# Lines for a task at the start of a run.
_AT_MOST = 4
# Free answers of a task that are scored at the start of a run: a metric takes up to a millisecond for one.
_ANSWERS = 200


def findings_of_examples(tasks: Sequence[Task]) -> list[Finding]:
    """Findings about the examples of tasks, in well under a second.

    Nearly equal inputs are not looked for: that takes seconds a task (`sapo-lite data check` does it).
    """
    return [finding for task in tasks for finding in _of_task(task)]


def _of_task(task: Task) -> Iterator[Finding]:
    subject = subject_of(task)
    yield from check(subject, (*OF_ROWS, *OF_DRAWN))
    yield from what_the_metric_sees(subject, score_of(task), _ANSWERS)


def findings_of_cuts(whole: Sequence[Task], fitted: Sequence[Task]) -> list[Finding]:
    """Findings about inputs that were cut. whole, fitted: the same tasks before and after"""
    return [
        finding
        for task, cut in zip(whole, fitted, strict=True)
        for finding in cut_inputs(subject_of(task), subject_of(cut))
    ]


def as_notices(findings: Sequence[Finding]) -> list[str]:
    """A few lines for each task, the most severe first."""
    return list(notices(findings, _AT_MOST))
