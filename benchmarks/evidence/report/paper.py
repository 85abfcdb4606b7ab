"""The document's section on the paper's three claims."""

from collections.abc import Iterator

from benchmarks.evidence.analysis.numbers import Numbers
from benchmarks.evidence.analysis.outcomes import Outcome
from benchmarks.evidence.analysis.paper import InTask, spread
from benchmarks.evidence.analysis.study import KINDS, LEAST_SEEDS, MARGIN
from benchmarks.evidence.report.text import RANK_HEADINGS, over_both, points, rank_cells, rho, span
from sapo_lite.support.messages import markdown, number, p_value


def section(numbers: Numbers) -> str:
    return "\n\n".join(
        ["## The paper's three claims, as tests", *_equal(numbers), *_cross(numbers), *_indicators(numbers)]
    )


def _equal(numbers: Numbers) -> Iterator[str]:
    yield "### 1. The wording hardly changes how well the new task is learned"
    if numbers.in_task:
        yield (
            "Scores right after learning, `sapo` less `fixed`, mean over tasks. Two one-sided t tests "
            f"(TOST) ask whether the difference lies within ±{number(MARGIN, 0)} points, a margin "
            "fixed in the program: a small p says that it does. Only the same test prompts for both make a "
            "test of learning; the own wordings are test prompts of different quality, and stand here for "
            "comparison."
        )
        rows = [_equal_row(one) for one in numbers.in_task]
        headings = ["adapter, test wordings", "n", "difference", "90 %", "95 %", "p (TOST)", "equivalent"]
        yield markdown(headings, rows)
    rows = []
    for outcome in numbers.tests:
        if outcome.what == "task" and (found := spread(numbers.probes, outcome)):
            cells = [number(value, 1) for value in (found.width, found.deviation, found.original)]
            rows.append([f"{KINDS[outcome.kind]} wordings", *cells])
    if rows:
        yield (
            "In the probes all candidates start from one state. How far their scores on the task itself lie "
            "apart, in points, mean over probes; a single training adds noise to all three:"
        )
        headings = ["test wordings", "best less worst", "standard deviation", "original, worst 0 to best 100"]
        yield markdown(headings, rows)


def _equal_row(one: InTask) -> list[str]:
    test = one.test
    few = test.n < LEAST_SEEDS
    if few:
        shown = "too few seeds"
    elif one.kind == "chosen":
        shown = "(other prompts)"
    else:
        shown = "yes" if test.shown else "no"
    return [
        f"{one.adapter}, {KINDS[one.kind]}",
        str(test.n),
        number(test.mean, 1, sign=True),
        "–" if few else span(test.low, test.high, 1),
        "–" if few else span(one.low, one.high, 1),
        "–" if few else p_value(test.p),
        shown,
    ]


def _cross(numbers: Numbers) -> Iterator[str]:
    if not numbers.cross_task:
        return
    yield "### 2. What a prompt does to one task, it does to others"
    yield (
        "Candidates of one probe: the change of one set of tasks against that of another. A positive "
        "correlation is the paper's claim. Of the earlier tasks, the first is set against the mean of the "
        "others, so that no candidate counts twice. Units and verdict as in the probe's table below."
    )
    rows = [[name, *rank_cells(test)] for name, test in numbers.cross_task.items()]
    yield markdown(["change of", *RANK_HEADINGS], rows)


def _indicators(numbers: Numbers) -> Iterator[str]:
    rows = [
        [f"{outcome.label}: {name}", *_indicator_cells(numbers, outcome, name)]
        for outcome, found in numbers.indicators.items()
        for name in found
    ]
    if not rows:
        return
    yield "### 3. The loss is the indicator to choose by"
    yield (
        "Each indicator against each outcome: rank correlation of cluster means (negative: prompts with a "
        "low value, of accuracy a high one, end higher), regret (points that its choice is behind the best "
        "candidate, which is partly luck: the best of many noisy ones), and its choice less that by loss. "
        "Holm's correction is over the indicators of an outcome. Means over probes, with probes as units; in "
        "the last column with seeds as units."
    )
    headings = ["outcome: indicator", "clusters: ρ", "p (Holm)", "regret (95 %)", "choice less loss's (95 %)"]
    yield markdown([*headings, "seeds (95 %)"], rows)


def _indicator_cells(numbers: Numbers, outcome: Outcome, name: str) -> list[str]:
    one = numbers.indicators[outcome][name]
    test = one.test
    p = p_value(test.p if test.enough else None)
    value = rho(test.clusters.value if test.clusters else None)
    return [value, p, points(one.regret.probes), *(over_both(one.to_loss) if one.to_loss else ["", ""])]
