"""Checks of data. Each is a function from a task's rows to findings, and an entry in one of the tables here.

They know no model and no metric: those of cut inputs (`cuts`) and of the metric (`metric`) take the
inputs left by a cut, and a function of scores.
"""

from collections.abc import Callable, Iterable, Iterator

from sapo_lite.data.check.finding import Finding, Subject
from sapo_lite.data.check.labels import (
    answers_outside_labels,
    labels_like_others,
    labels_without_rows,
    one_answer,
)
from sapo_lite.data.check.leakage import leaked_inputs, nearly_leaked_inputs
from sapo_lite.data.check.order import sorted_rows
from sapo_lite.data.check.rows import contradictions, empty_texts, repeated_inputs
from sapo_lite.data.check.size import small_test

Check = Callable[[Subject], Iterable[Finding]]

# Checks of all rows that there are, and of those that a run uses.
OF_ROWS: tuple[Check, ...] = (
    empty_texts,
    answers_outside_labels,
    labels_like_others,
    one_answer,
    leaked_inputs,
    contradictions,
    repeated_inputs,
    sorted_rows,
)
# Checks of the rows that a run uses.
OF_DRAWN: tuple[Check, ...] = (labels_without_rows, small_test)
# Checks that take seconds for a task, and are not made at the start of a run.
SLOW: tuple[Check, ...] = (nearly_leaked_inputs,)


def check(subject: Subject, checks: Iterable[Check]) -> Iterator[Finding]:
    """Findings of all of these checks."""
    for one in checks:
        yield from one(subject)
