"""A comparison as a LaTeX table for a paper: booktabs, mean ± standard deviation, the best in bold."""

from collections.abc import Iterator, Mapping, Sequence

from sapo_lite.compare.comparison import Comparison
from sapo_lite.compare.findings import LEVEL, Finding
from sapo_lite.report.measures import measure
from sapo_lite.support.messages import duration, many, number

_SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def as_latex(comparison: Comparison) -> str:
    """The means of a comparison as one table, of the kind of prompt that is shown.

    In every column, the best mean of each adapter is bold. It needs the package booktabs.
    """
    found = comparison.shown
    metrics = list(dict.fromkeys(one.metric for one in found))
    details = [""] if any(group.settings for group in comparison.groups) else []
    headings = ["strategy", "adapter", *["settings" for _ in details], *metrics, "time"]
    texts = 2 + len(details)
    best = _best(found)
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{_caption(comparison)}}}",
        f"  \\begin{{tabular}}{{{'l' * texts}{'r' * (len(headings) - texts)}}}",
        "    \\toprule",
        f"    {_row(map(escaped, headings))}",
        "    \\midrule",
        *(f"    {_row(row)}" for row in _rows(comparison, found, best, bool(details))),
        "    \\bottomrule",
        "  \\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_SIGNS.get(sign, sign) for sign in text)


def _row(cells: "Iterator[str] | Sequence[str]") -> str:
    return " & ".join(cells) + r" \\"


def _rows(
    comparison: Comparison, found: Sequence[Finding], best: Mapping[tuple[str, str], float], details: bool
) -> Iterator[list[str]]:
    for group in comparison.groups:
        seconds = [run.seconds_alone for run in group.runs.values()]
        means = [_mean(one, best) for one in found if one.group is group]
        time = duration(sum(seconds) / len(seconds)) if any(seconds) else "--"
        names = [group.strategy, group.adapter, *([group.details] if details else [])]
        yield [*map(escaped, names), *means, escaped(time)]


def _best(found: Sequence[Finding]) -> dict[tuple[str, str], float]:
    """The highest mean, as it is printed, of every metric and adapter that several groups have."""
    means: dict[tuple[str, str], list[float]] = {}
    for one in found:
        if one.over_seeds is not None:
            means.setdefault((one.metric, one.group.adapter), []).append(round(one.over_seeds.mean, 1))
    return {place: max(values) for place, values in means.items() if len(values) > 1}


def _mean(one: Finding, best: Mapping[tuple[str, str], float]) -> str:
    if one.over_seeds is None:
        return "--"
    mean, deviation = one.over_seeds.mean, one.over_seeds.deviation
    text = number(mean, 1)
    if best.get((one.metric, one.group.adapter)) == round(mean, 1):
        text = rf"\mathbf{{{text}}}"
    spread = "" if deviation is None else rf" \pm {number(deviation, 1)}"
    star = "^{*}" if one.significant else ""
    return f"${text}{spread}{star}$"


def _caption(comparison: Comparison) -> str:
    seeds = sorted({len(group.runs) for group in comparison.groups})
    over = " to ".join(map(str, dict.fromkeys([seeds[0], seeds[-1]])))
    parts = [f"{comparison.name}: {measure(comparison.task_metrics.values())} in percent"]
    parts.append(f"{comparison.kind} prompts; mean and standard deviation over {_seeds(over)}")
    parts.append("bold: the highest mean with the same adapter")
    tested = [one for one in comparison.shown if one.p is not None]
    if tested:
        baseline = next(one.baseline.strategy for one in tested if one.baseline)
        parts.append(
            f"*: paired difference to {baseline} significant (p < {LEVEL} after Holm's correction for "
            f"{many(len(tested), 'comparison')})"
        )
    return escaped("; ".join(parts)).replace("<", "$<$") + "."


def _seeds(count: str) -> str:
    return f"{count} seed" if count == "1" else f"{count} seeds"
