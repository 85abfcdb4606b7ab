"""The folder of one stage: values that are made once and then read, and the record that ends it."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True)
class StageRecord:
    """What a finished stage found.

    choices: of the tasks that were learned in it, by their keys; none before any training
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    choices: dict[str, Choice]
    scores: StageScores


@dataclass(frozen=True)
class Stage:
    """One stage's folder. What `cached` has made once is read from then on."""

    path: Path

    @property
    def done(self) -> bool:
        return (self.path / paths.STAGE).exists()

    @property
    def record(self) -> StageRecord:
        """Of a finished stage. Raises RunFolderError: the file is damaged."""
        fix = "Delete the file to have the stage tested again."
        return read_typed(self.path / paths.STAGE, StageRecord, fix)

    def finish(self, record: StageRecord) -> StageRecord:
        """Write the record, last of all. Returns it as it is read."""
        write_json(self.path / paths.STAGE, asdict(record))
        return self.record

    @property
    def adapter(self) -> Path:
        """The trained adapter; the folder exists only once training is complete."""
        return self.path / paths.ADAPTER

    @property
    def checkpoints(self) -> Path:
        return self.path / paths.CHECKPOINTS

    def file(self, name: str) -> Path:
        """Of the value called `name`."""
        return self.path / f"{name}.json"

    def has(self, name: str) -> bool:
        """Whether `cached` has made this value."""
        return self.file(name).exists()

    def cached(self, name: str, make: Callable[[], Any]) -> Any:
        """The JSON value called `name`: read if it is there, else made and written.

        What is returned was read in either case, so a resumed run sees exactly what the first one saw.
        """
        return read_json(self._made(name, make))

    def cached_as(self, kind: type[T], name: str, make: Callable[[], Any]) -> T:
        """`cached`, read as a data class, or a list of them.

        Raises:
            RunFolderError: the file is damaged; says that it can be deleted.
        """
        return read_typed(self._made(name, make), kind)

    def _made(self, name: str, make: Callable[[], Any]) -> Path:
        path = self.file(name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, make())
        return path

    def keep_adapter(self, save: Callable[[Path], None]) -> None:
        """Save the adapter so that a half-written one is never taken for a whole one."""
        partial = self.path / paths.ADAPTER_PARTIAL
        shutil.rmtree(partial, ignore_errors=True)
        save(partial)
        partial.rename(self.adapter)
