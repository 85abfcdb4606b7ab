"""What the checks of an installation found, as a table."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sapo_lite.report.colours import BAD, CARE, GOOD
from sapo_lite.run.doctor.check import Check

_STYLES = {"ok": GOOD, "warn": CARE, "fail": f"bold {BAD}"}


def doctor_view(checks: Sequence[Check]) -> RenderableType:
    """A row for each check, with what to do under what is wrong; then how many are."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for check in checks:
        found = Text(check.found)
        if check.fix:
            found.append(f"\n{check.fix}", style="italic")
        table.add_row(Text(check.state, style=_STYLES[check.state]), Text(check.name), found)
    counts = [(state, sum(check.state == state for check in checks)) for state in _STYLES]
    return Group(table, Text(", ".join(f"{count} {state}" for state, count in counts)))
