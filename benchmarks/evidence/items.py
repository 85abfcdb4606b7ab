"""The items of a study: runs, probes and crossed designs, by name."""

from dataclasses import dataclass
from typing import Literal

# The baseline, the method, and the adapter of probes and crossed designs.
BASELINE, METHOD, ADAPTER = "fixed", "sapo", "lorainc"

Side = Literal["original", "sapo"]
CELLS: tuple[tuple[Side, Side], ...] = (
    ("sapo", "sapo"),  # first: the others are tested with what it chose
    ("original", "original"),
    ("original", "sapo"),
    ("sapo", "original"),
)


@dataclass(frozen=True)
class Run:
    """A run of a variant: one sequence of tasks of a seed."""

    variant: str
    adapter: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.variant}-{self.adapter}-{self.seed}"

    @property
    def file(self) -> str:
        return f"runs/{self.name}.json"


@dataclass(frozen=True)
class Probe:
    """One more task learned with each candidate, from the state of a variant after `learned` tasks.

    state: strategy of the variant
    tag: part of the name, where seed, `learned` and state do not tell probes apart
    orders: number of row orders that each candidate is trained with
    """

    seed: int
    learned: int
    variant: str
    state: str
    orders: int
    tag: str = ""

    @property
    def name(self) -> str:
        return "-".join(filter(None, [str(self.seed), "after", str(self.learned), self.tag, self.state]))

    @property
    def file(self) -> str:
        return f"probes/{self.name}.json"

    @property
    def run(self) -> Run:
        """The run whose states are probed."""
        return Run(self.variant, ADAPTER, self.seed)


@dataclass(frozen=True)
class Crossed:
    """Four cells, {old tasks' wording} x {last task's}, of a seed's sequence or of a pair of tasks."""

    seed: int
    kind: Literal["pair", "sequence"]

    @property
    def name(self) -> str:
        return f"{self.seed}-{self.kind}"

    @property
    def file(self) -> str:
        return f"crossed/{self.name}.json"


Item = Run | Probe | Crossed
KINDS: dict[str, type[Run] | type[Probe] | type[Crossed]] = {"runs": Run, "probes": Probe, "crossed": Crossed}
