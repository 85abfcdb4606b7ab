"""What the checks of data found, as rich renderables."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sapo_lite.data.check.facts import SplitFacts
from sapo_lite.report.colours import BAD, CARE
from sapo_lite.report.number_table import NumberTable
from sapo_lite.report.tables import spaced
from sapo_lite.run.data_check import CheckedTask
from sapo_lite.support.messages import many, quoted

_STYLES = {"unusable": f"bold {BAD}", "fault": CARE, "caution": ""}
# Answers of a task without labels can be long.
_LONGEST_ANSWERS = 60


def check_view(checked: Sequence[CheckedTask], notes: Sequence[str]) -> RenderableType:
    """A row for every split, then the findings of every task, the most severe first."""
    return Group(*spaced(_parts(checked, notes)))


def _parts(checked: Sequence[CheckedTask], notes: Sequence[str]) -> Iterator[RenderableType]:
    yield _table(checked)
    for task in checked:
        if task.findings:
            lines = Table(box=None, pad_edge=False, show_header=False)
            for finding in task.findings:
                lines.add_row(Text(finding.level), Text(finding.text), style=_STYLES[finding.level])
            yield Group(Text(task.task, style="bold"), lines)
    for note in notes:
        yield Text(f"note: {note}")
    found = sum(len(task.findings) for task in checked)
    yield Text(f"{many(found, 'finding')} in {many(len(checked), 'task')}")


def _table(checked: Sequence[CheckedTask]) -> NumberTable:
    counted = any(facts.tokens for task in checked for facts in task.splits)
    headings = [
        "task",
        "split",
        "rows",
        "different",
        *(["50 %", "95 %", "longest"] if counted else []),
        "answers",
    ]
    rows = [
        [
            task.task,
            facts.split,
            f"{facts.rows:,}",
            f"{facts.distinct:,}",
            *_lengths(facts, counted),
            _answers(facts),
        ]
        for task in checked
        for facts in task.splits
    ]
    title = "rows, different inputs" + (", prompts in tokens" if counted else "")
    return NumberTable(title, headings, rows, texts=2, tail=True)


def _lengths(facts: SplitFacts, counted: bool) -> list[str]:
    if not counted:
        return []
    return [f"{tokens:,}" for tokens in facts.tokens.values()] if facts.tokens else ["", "", ""]


def _answers(facts: SplitFacts) -> str:
    """The number of rows by answer, in one line."""
    if not facts.classes:
        return "free"
    text = ", ".join(
        f"{answer if answer.strip() else quoted(answer)} {n}" for answer, n in facts.classes.items()
    )
    return text if len(text) <= _LONGEST_ANSWERS else f"{len(facts.classes)} different"
