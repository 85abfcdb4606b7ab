"""Results of one probe. This is the only module that writes and reads `probe.json`."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from sapo_lite.support.checked_json import write_checked
from sapo_lite.support.typed_json import read_typed

FILE = "probe.json"

# By kind of test prompt ("chosen", "original", "unseen", "other"), then by task key: its own metric in %.
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class ProbedCandidate:
    """One candidate of the probed task, before any training with it.

    cluster: number of its group of near-equal wordings, from 0; a core phrase in the lab
    loss: mean loss in nats per answer token in the probed state, on all scoring examples, no race
    accuracy: score of greedy answers to the scoring examples in the probed state, in percent; None if it was
        not measured
    length: tokens of the instruction
    """

    index: int
    text: str
    cluster: int
    loss: float
    accuracy: float | None
    length: int


@dataclass(frozen=True)
class ProbeTraining:
    """One training with one candidate, from the probed state.

    order: number of the order of the rows, from 0; other orders tell the noise of a training
    gradient_norm: of the open block at step 0, over all training rows; None if it was not measured
    update: Frobenius norm of the block's product scale x B A after training, over all its layers; None if it
        was not measured
    scores, watched: after training; watched in percent, by name
    """

    candidate: int
    order: int
    gradient_norm: float | None
    update: float | None
    scores: Scores
    watched: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ProbeResults:
    """Contents of `probe.json`: one task, probed in one state of one seed.

    state: the strategy that the earlier tasks were learned with
    tasks: keys of all tasks in order; the first `learned` were learned, then `task` is probed
    before, watched_before: scores in the probed state
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    schema_version: int = 1
    recipe: str
    adapter: str
    state: str
    seed: int
    learning_rate: float
    tasks: list[str]
    learned: int
    before: Scores
    watched_before: dict[str, float]
    candidates: list[ProbedCandidate]
    trainings: list[ProbeTraining]

    @property
    def task(self) -> str:
        """Key of the probed task."""
        return self.tasks[self.learned]


def write_probe(folder: Path, results: ProbeResults) -> None:
    """Write the results of a probe to its folder."""
    write_checked(folder / FILE, asdict(results))


def read_probe(folder: Path) -> ProbeResults:
    """Read the results of a finished probe.

    Raises:
        RunFolderError: there is no such file, or it is damaged or of another version.
    """
    fix = "Delete the file and repeat the probe with the same --out, which makes it again."
    return read_typed(folder / FILE, ProbeResults, fix, version="schema_version")
