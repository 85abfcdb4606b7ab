"""Words and numbers of the documents."""

import textwrap
from collections.abc import Sequence

from benchmarks.evidence.analysis.choice import OverProbes
from benchmarks.evidence.analysis.probe_tests import RankTest
from benchmarks.evidence.analysis.study import LEAST_SEEDS
from sapo_lite.compare.statistics import Interval
from sapo_lite.support.messages import number, p_value

WIDTH = 110


def span(low: float | None, high: float | None, places: int) -> str:
    """Bounds of an interval: "-1.2 to +3.4"."""
    if low is None or high is None:
        return "–"
    return f"{number(low, places, sign=True)} to {number(high, places, sign=True)}"


def points(interval: Interval | None) -> str:
    """Mean and 95 % interval in points: "+1.1 (-1.2 to +3.4)". Below LEAST_SEEDS values, the mean alone."""
    if interval is None:
        return "–"
    mean = number(interval.mean, 1, sign=True)
    if interval.n < LEAST_SEEDS or interval.low is None:
        return mean
    return f"{mean} ({span(interval.low, interval.high, 1)})"


def over_both(effect: OverProbes) -> list[str]:
    """Cells of a table: with probes as units, with seeds as units."""
    return [points(effect.probes), span(effect.seeds.low, effect.seeds.high, 1) if enough(effect) else "–"]


def enough(effect: OverProbes) -> bool:
    return effect.seeds.n >= LEAST_SEEDS


def rho(value: float | None) -> str:
    return number(value, 2, sign=True)


def rank_cells(test: RankTest) -> list[str]:
    """Cells of RANK_HEADINGS. Below LEAST_SEEDS seeds, without p-values and intervals."""
    tested = test.enough
    clusters, within, seeds = test.clusters, test.within, test.seeds
    return [
        rho(test.prompts.value if test.prompts else None),
        str(test.prompts.units if test.prompts else 0),
        rho(clusters.value if clusters else None),
        p_value(clusters.p if clusters and tested else None),
        p_value(test.p if tested else None),
        rho(within.value if within else None),
        p_value(within.p if within and tested else None),
        rho(seeds.mean if seeds else None)
        + (f" ({span(seeds.low, seeds.high, 2)}; n = {seeds.n})" if seeds and tested else ""),
        ("found" if test.found else "not shown") if tested else "too few seeds",
    ]


RANK_HEADINGS = [
    "prompts: ρ",
    "n",
    "clusters: ρ",
    "p",
    "p (Holm)",
    "within clusters: ρ",
    "p",
    "seeds: mean ρ (95 %)",
    "verdict",
]


def wrapped(text: str) -> str:
    """Paragraphs and list items in lines of at most WIDTH characters; tables, code and images unchanged."""
    blocks, code = [], False
    for block in text.split("\n\n"):
        if not code and block[:1].isalnum():
            block = textwrap.fill(block, WIDTH, break_long_words=False, break_on_hyphens=False)
        elif not code and block.startswith("- "):
            block = "\n".join(_item(line) for line in _items(block))
        code ^= block.count("```") % 2 == 1
        blocks.append(block)
    return "\n\n".join(blocks)


def _items(block: str) -> list[str]:
    """List items; a line that does not begin one belongs to the one before it."""
    items: list[str] = []
    for line in block.splitlines():
        if line.startswith("- "):
            items.append(line)
        else:
            items[-1] += f" {line.strip()}"
    return items


def _item(line: str) -> str:
    return textwrap.fill(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def sections(parts: Sequence[str]) -> str:
    """A document of its parts; empty ones are left out."""
    return "\n\n".join(wrapped(part.strip()) for part in parts if part.strip()) + "\n"
