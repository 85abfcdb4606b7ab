"""The folder of one stage: cached values, the adapter, and the record that marks the stage as finished."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import ConfigDict

from sapo_lite.prompts.choice import Choice
from sapo_lite.run import paths
from sapo_lite.support.checked_json import read_checked, write_checked
from sapo_lite.support.checksums import NAME as SUMS
from sapo_lite.support.checksums import write_checksums
from sapo_lite.support.files import MADE_AGAIN, sha256
from sapo_lite.support.folders import share_weights
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
    files: SHA-256 of the stage's other files, by path in its folder; that of the adapter's checksums alone
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    choices: dict[str, Choice]
    scores: StageScores
    watched: dict[str, Watched] = field(default_factory=dict)
    update: Update | None = None
    wordings: MatrixScores = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """The folder of one stage. `cached` computes a JSON value once; later calls read the file.

    of: the stage's place in the run, by default the name of its folder; a file that is put in the place of
        another stage's is noticed
    """

    path: Path
    of: str = ""

    @property
    def place(self) -> str:
        return self.of or self.path.name

    @property
    def made_again(self) -> str:
        """What to do about a file that cannot be made again alone."""
        return (
            f"Put the file back, or delete {self.path} and the folders of later stages: the same command "
            "then makes them again."
        )

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
        return read_typed(self.path / paths.STAGE, StageRecord, fix, of=self.place_of(paths.STAGE))

    def finish(self, record: StageRecord) -> StageRecord:
        """Write the record, the last file of a stage, and return it as read back."""
        record = replace(record, files=self._files())
        write_checked(self.path / paths.STAGE, asdict(record), self.place_of(paths.STAGE))
        return self.record

    def _files(self) -> dict[str, str]:
        """SHA-256 of the files that the stage was made with, by path in its folder."""
        files = [*self.cached_files(), *self.path.glob(f"{paths.ADAPTER}/{SUMS}")]
        return {str(file.relative_to(self.path).as_posix()): sha256(file) for file in files}

    def cached_files(self) -> list[Path]:
        """Files of cached values, without those of retries."""
        others = (paths.ADAPTER, paths.CHECKPOINTS, paths.FIRST_TRY, paths.RETRY)
        return sorted(
            file
            for file in self.path.rglob("[!.]*.json")
            if file.name not in (paths.STAGE, paths.USAGE)
            and not file.relative_to(self.path).parts[0].startswith(others)
        )

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

        Raises:
            RunFolderError: the file is damaged; the message says that it can be deleted.
        """
        self._make(name, make)
        return read_checked(self.file(name), of=self.place_of(name))

    def cached_as(self, kind: type[T], name: str, make: Callable[[], Any]) -> T:
        """Like `cached`, but returns a data class or a list of data classes."""
        self._make(name, make)
        return self.read(kind, name)

    def read(self, kind: type[T], name: str, fix: str = MADE_AGAIN) -> T:
        """The value called `name`, which is cached.

        Raises:
            RunFolderError: the file is damaged; `fix` says what to do.
        """
        return read_typed(self.file(name), kind, fix, of=self.place_of(name))

    def write(self, name: str, value: Any) -> None:
        """Write the value called `name`, over an older one."""
        path = self.file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_checked(path, value, self.place_of(name))

    def _make(self, name: str, make: Callable[[], Any]) -> None:
        if not self.has(name):
            self.write(name, make())

    def place_of(self, name: str) -> str:
        """The place of a value, which its checksum is also of."""
        return f"{self.place}/{name}"

    def keep_adapter(self, save: Callable[[Path], None]) -> None:
        """Save the adapter under a temporary name, then rename it: an incomplete one is never loaded."""
        partial = self.path / paths.ADAPTER_PARTIAL
        shutil.rmtree(partial, ignore_errors=True)
        save(partial)
        share_weights(partial)
        write_checksums(partial, of=self.place)
        partial.rename(self.adapter)
