"""Check of the order of rows: a file that is sorted by its answers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from math import sqrt

from sapo_lite.data.check.finding import Finding, Subject

# A shuffled file has so much fewer runs than expected, in standard deviations, once in thirty thousand times.
_FEWER = 4.0
# Of the expected number of runs. A file with more of them has all answers among its first rows.
_SORTED = 0.5


def sorted_rows(subject: Subject) -> Iterator[Finding]:
    """Splits with far fewer runs of equal answers than a shuffled file has (Wald and Wolfowitz)."""
    for split in subject.splits if subject.classes else ():
        answers = [example.answer for example in split.examples]
        expected, deviation = expected_runs(answers)
        runs = 1 + sum(one != other for one, other in pairwise(answers))
        if len(split.answers) > 1 and runs < min(_SORTED * expected, expected - _FEWER * deviation):
            longest = max(len(list(run)) for _, run in groupby(answers))
            text = (
                f"{len(answers)} {split.name} rows are sorted by answer: {runs} runs of equal answers, where "
                f"a shuffled file has about {expected:.0f}; the longest is of {longest} rows"
            )
            numbers = {"runs": runs, "expected": round(expected, 1), "longest": longest}
            yield subject.found("sorted", "fault", text, split.name, **numbers)


def expected_runs(answers: Sequence[str]) -> tuple[float, float]:
    """Mean and standard deviation of the number of runs of equal answers over all orders of the rows."""
    n = len(answers)
    counts = Counter(answers).values()
    if n < 2:
        return float(n), 0.0
    squares, cubes = sum(c**2 for c in counts), sum(c**3 for c in counts)
    variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n**2 * (n - 1))
    return (n * (n + 1) - squares) / n, sqrt(max(0.0, variance))
