"""The folder of one stage: cached values, the adapter, and the record that marks the stage as finished."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import ConfigDict

from sapo_lite.prompts.choice import Choice
from sapo_lite.run import paths
from sapo_lite.support.files import read_json, write_json
from sapo_lite.support.typed_json import read_typed

T = TypeVar("T")

# Scores of one stage: by kind of prompt ("chosen", "original"), by task in order, by metric, in percent.
StageScores = dict[str, list[dict[str, float]]]
MatrixScores = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Watched:
    """Scores of one watched set or task in percent, by the named metric; parts are categories."""

    metric: str
    score: float
    parts: dict[str, float]


@dataclass(frozen=True)
class Update:
    """Size of what the training of a stage has changed.

    gradient_norm: of the mean loss (nats per answer token) of all new rows before the first step, with
        respect to the open block; None unless training.gradient_norm is true
    update: Frobenius norm of the change of the weights, scale * B A of a new block, over all layers
    layers: the same by layer
    """

    gradient_norm: float | None
    update: float
    layers: dict[str, float]


@dataclass(frozen=True)
class StageRecord:
    """Record of a finished stage.

    choices: by key, of the tasks that were learned in this stage; empty in the zero-shot stage
    watched: scores of watched sets and tasks, by name
    update: None in the zero-shot stage, and in stages of earlier versions
    wordings: scores under the further kinds of prompt of the test matrix: by kind, by task key, by metric
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    choices: dict[str, Choice]
    scores: StageScores
    watched: dict[str, Watched] = field(default_factory=dict)
    update: Update | None = None
    wordings: MatrixScores = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """The folder of one stage. `cached` computes a JSON value once; later calls read the file."""

    path: Path

    @property
    def done(self) -> bool:
        return (self.path / paths.STAGE).exists()

    @property
    def record(self) -> StageRecord:
        """The record of a finished stage.

        Raises:
            RunFolderError: the file is damaged.
        """
        fix = "Delete the file to have the stage tested again."
        return read_typed(self.path / paths.STAGE, StageRecord, fix)

    def finish(self, record: StageRecord) -> StageRecord:
        """Write the record, the last file of a stage, and return it as read back."""
        write_json(self.path / paths.STAGE, asdict(record))
        return self.record

    @property
    def adapter(self) -> Path:
        """Folder of the trained adapter; it exists only once training is complete."""
        return self.path / paths.ADAPTER

    @property
    def checkpoints(self) -> Path:
        return self.path / paths.CHECKPOINTS

    def file(self, name: str) -> Path:
        """File of the cached value called `name`."""
        return self.path / f"{name}.json"

    def has(self, name: str) -> bool:
        """Whether the value called `name` is cached."""
        return self.file(name).exists()

    def cached(self, name: str, make: Callable[[], Any]) -> Any:
        """The JSON value called `name`: read if its file exists, else made and written.

        The returned value is read from the file in both cases, so a resumed run gets exactly the same value.
        """
        return read_json(self._made(name, make))

    def cached_as(self, kind: type[T], name: str, make: Callable[[], Any]) -> T:
        """Like `cached`, but returns a data class or a list of data classes.

        Raises:
            RunFolderError: the file is damaged; the message says that it can be deleted.
        """
        return read_typed(self._made(name, make), kind)

    def _made(self, name: str, make: Callable[[], Any]) -> Path:
        path = self.file(name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, make())
        return path

    def keep_adapter(self, save: Callable[[Path], None]) -> None:
        """Save the adapter under a temporary name, then rename it: an incomplete one is never loaded."""
        partial = self.path / paths.ADAPTER_PARTIAL
        shutil.rmtree(partial, ignore_errors=True)
        save(partial)
        partial.rename(self.adapter)
