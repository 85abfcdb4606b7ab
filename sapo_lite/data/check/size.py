"""Check of the number of test examples."""

from collections.abc import Iterator
from math import sqrt

from sapo_lite.data.check.finding import Finding, Subject
from sapo_lite.support.messages import many

# Half-width of an interval, in points, from which on a test is called small: differences between methods
# are seldom larger.
_WIDE = 5.0


def small_test(subject: Subject) -> Iterator[Finding]:
    """Tests whose scores are known less exactly than the differences one hopes for."""
    rows = len(subject.split("test").examples)
    if rows and (width := half_width(rows)) > _WIDE:
        text = (
            f"{many(rows, 'test example')}: a score is known to ±{width:.1f} points at worst (95 % interval)"
        )
        yield subject.found("small test", "caution", text, "test", rows=rows, half_width=round(width, 1))


def half_width(rows: int) -> float:
    """Half-width, in points, of the 95 % interval of a share of right answers: the largest, that of 50 %."""
    return 100 * 1.96 * sqrt(0.25 / rows)
