"""The figures as tables, with the goals beside them."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from benchmarks.speed.scoring.clock import CLOCKS, Clock, total
from benchmarks.speed.scoring.compare import Scored
from benchmarks.speed.scoring.steps import Trained

LIMIT_GOAL = 0.5
RACE_GOAL = 3
SHARE_GOAL = 0.03
# The published settings: the original and 20 paraphrases on 250 examples; 1,000 rows for 10 epochs.
PUBLISHED_SCORES = 21 * 250
PUBLISHED_ROWS = 1000 * 10


def scoring_table(found: Sequence[Scored], clock: Clock) -> Table:
    """(a) the released loop, (b) exact scoring, and the limit: a/limit is the highest speed-up of b."""
    table = _table(
        "Scoring: (a) the released loop, (b) exact scoring",
        *("task", "candidates x examples", "tokens of (a)", "unique", f"(a), {clock} s", f"(b), {clock} s"),
        *("a/b cpu", "a/b wall", "limit, s", "a/limit", "limit/(b)", "goal", "losses differ by"),
    )
    for s in found:
        table.add_row(
            s.task,
            f"{s.candidates} x {s.examples}",
            f"{s.work.padded:,}",
            f"{s.work.unique:,}",
            f"{total(s.released).on(clock):.2f}",
            f"{total(s.exact).on(clock):.2f}",
            f"{s.speedup('cpu'):.2f}",
            f"{s.speedup('wall'):.2f}",
            f"{s.limit:.2f}",
            f"{total(s.released).on(clock) / s.limit:.2f}",
            f"{s.limit_share(clock):.0%}",
            f"{LIMIT_GOAL:.0%}",
            f"{s.difference:.1e}" + ("" if s.agrees else ": MORE THAN ROUNDING"),
        )
    return table


def racing_table(found: Sequence[Scored], clock: Clock) -> Table:
    """(c) racing, on top of (b)."""
    table = _table(
        "Racing: (c), of the same candidates",
        *("task", f"(b), {clock} s", f"(c), {clock} s", "b/c cpu", "b/c wall", "goal where prompts differ"),
        *("example-scores saved", "choice of (b)"),
    )
    for s in found:
        if not s.races:
            continue
        table.add_row(
            s.task,
            f"{total(s.exact).on(clock):.2f}",
            f"{total(s.races).on(clock) / len(s.races):.2f}",
            f"{s.race_speedup('cpu'):.2f}",
            f"{s.race_speedup('wall'):.2f}",
            f"{RACE_GOAL}",
            f"{s.saved:.0%}",
            "kept" if s.same_choice else "another",
        )
    return table


def training_table(found: Sequence[Trained], clock: Clock) -> Table:
    """Optimiser steps of each method, a line each."""
    table = _table(
        "Training: optimiser steps on packs and on padded batches",
        *("task", "way", "rows x rounds", "tokens a row", f"{clock} s a row"),
        *("times packs, cpu", "times packs, wall", "losses differ by"),
    )
    for t in found:
        for way, parts in t.seconds.items():
            first = way == "packed"
            table.add_row(
                t.task if first else "",
                way,
                f"{t.rows} x {len(parts)}",
                f"{t.tokens_per_row:.0f}",
                f"{t.seconds_per_row(way, clock):.4f}",
                *(f"{t.speedup(way, kind):.2f}" for kind in CLOCKS),
                f"{t.difference:.1e}" if first else "",
            )
    return table


def share_of_training(scored: Scored, trained: Trained, clock: Clock) -> dict[str, float]:
    """Cost of scoring over that of training at the published settings, both extrapolated by rows.

    Scoring: seconds of an example-score x 21 x 250. Training: seconds of a row x 1,000 x 10.
    """
    done = scored.candidates * scored.examples
    costs = {"a": total(scored.released).on(clock) / done, "b": total(scored.exact).on(clock) / done}
    if scored.races:
        costs["c"] = total(scored.races).on(clock) / len(scored.races) / done
    return {
        f"({name}) / {way}": PUBLISHED_SCORES * cost / (PUBLISHED_ROWS * trained.seconds_per_row(way, clock))
        for way in trained.seconds
        for name, cost in costs.items()
    }


def share_table(shares: Mapping[str, Mapping[str, float]]) -> Table:
    """Shares of scoring in training, by task."""
    headings = list(next(iter(shares.values())))
    table = _table(
        "Scoring as a share of training: 21 candidates x 250 examples; 1,000 rows x 10 epochs",
        *("task", *headings, "goal, of padded"),
    )
    for task, values in shares.items():
        table.add_row(task, *(f"{values[key]:.1%}" for key in headings), f"under {SHARE_GOAL:.0%}")
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(first, title=title)
    for heading in others:
        table.add_column(heading, justify="right")
    return table
