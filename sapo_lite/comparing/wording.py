"""How numbers are written: in tables, in sentences, beside a bar."""

from collections.abc import Sequence

from sapo_lite.comparing.statistics import Interval


def number(value: float | None, places: int = 2, *, sign: bool = False) -> str:
    return "–" if value is None else f"{value:{'+' if sign else ''}.{places}f}"


def bounds(interval: Interval | None, places: int = 1) -> str:
    """ "-1.2 to +3.4"."""
    if interval is None or interval.low is None:
        return "–"
    return f"{number(interval.low, places, sign=True)} to {number(interval.high, places, sign=True)}"


def p_value(p: float | None) -> str:
    if p is None:
        return "–"
    return f"{p:.4f}" if p >= 0.0001 else "< 0.0001"


def many(count: int, noun: str) -> str:
    """ "1 run", "2 runs"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A table whose columns after the first `texts` are numbers."""
    rule = ["---"] * texts + ["---:"] * (len(headings) - texts)
    return "\n".join(f"| {' | '.join(line)} |" for line in [headings, rule, *rows])
