"""Plain display of a running command: for log files, pipes and `--plain`."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console

from sapo_lite.prompts.indicators import CandidateValue, Indicator
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.pool import Rejection, tally
from sapo_lite.report.console import ForeignConsole
from sapo_lite.report.tables import candidate_table, indicator_table, shorten
from sapo_lite.run.workplan import RunPlan
from sapo_lite.support.progress import Meter
from sapo_lite.types import Candidate


class PlainDisplay:
    """A RunProgress that prints lines without escape codes."""

    def __init__(self, console: Console, pause: float = 10.0) -> None:
        """`pause` is the time between two lines about a pool that is being made, in seconds."""
        self._console = console
        self._pause = pause
        self._next = 0.0  # the time of the next such line

    def __enter__(self) -> "PlainDisplay":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stage(self, title: str) -> None:
        self._print(f"== {title}")
        self._next = time.monotonic() + self._pause

    @contextmanager
    def work(self, label: str, total: int, unit: str) -> Iterator[Meter]:
        """Progress of one piece of work: a line after each quarter."""
        printer = self._print

        class Quarters:
            done = 0

            def advance(self, amount: int = 1, note: str = "") -> None:
                before, self.done = self.done, self.done + amount
                if 4 * before // total != 4 * self.done // total:
                    printer(f"{label}: {self.done}/{total} {unit}{f' · {note}' if note else ''}")

        yield Quarters()

    def pool(
        self, task: str, candidates: Sequence[Candidate], rejected: Sequence[Rejection], wanted: int
    ) -> None:
        """A line at most every `pause` seconds, and one at the end if texts were rejected."""
        made = len(candidates) - 1
        is_end = made == wanted and rejected
        if not is_end and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._pause
        line = f"{task}: {made} of {wanted} paraphrases"
        if rejected:
            last = rejected[-1]
            line += f", {len(rejected)} rejected ({tally(rejected, most=3)})"
            if not is_end and last.text:
                line += f"; the last, {last.reason}: {shorten(last.text, 80)}"
        self._print(line)

    def candidates(
        self, pool: Sequence[Candidate], scores: Sequence[CandidateLoss], final: bool = False
    ) -> None:
        if final:
            self._console.print(candidate_table(pool, scores, rows=5))

    def planned(self, plan: RunPlan) -> None:
        pass

    def reached(self, stage: int) -> None:
        pass

    def indicated(
        self, pool: Sequence[Candidate], values: Sequence[CandidateValue], indicator: Indicator
    ) -> None:
        self._console.print(indicator_table(pool, values, indicator, rows=5))

    def scores(
        self,
        metrics: Mapping[str, str],
        groups: Sequence[str],
        rows: Sequence[Sequence[float]],
        watched: Mapping[str, Sequence[float]],
    ) -> None:
        values = "  ".join(f"{task} {value:.1f}" for task, value in zip(metrics, rows[-1], strict=True))
        self._print(f"R[{len(rows) - 1}]  {values}")
        for name, scores in watched.items():
            self._print(f"watched  {name} {scores[-1]:.1f} ({scores[-1] - scores[0]:+.1f})")

    def notice(self, text: str) -> None:
        self._print(f"note: {text}")


def plain_file(file: TextIO) -> PlainDisplay:
    """A display that writes to a file, in lines of up to 110 columns."""
    return PlainDisplay(ForeignConsole(file, width=110))
