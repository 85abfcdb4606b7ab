"""Files of a run folder on their way between machines: all of a new folder, later those that have changed.

A copy is always one from which the run resumes: a record (of a stage, of the results) is sent after the files
that it is about. Checkpoints stay where they are.
"""

import contextlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.run import paths

_RECORDS = (paths.STAGE, paths.RESULTS)
_LEFT = (paths.CHECKPOINTS, paths.ADAPTER_PARTIAL)


@dataclass(frozen=True)
class FileUpdate:
    """names: all files of the folder; changed: those that differ from the last update, as a tar archive."""

    names: frozenset[str]
    changed: bytes


class FolderSender:
    """Makes the updates of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sent: dict[str, tuple[int, int]] = {}

    def update(self) -> FileUpdate:
        """What has changed since the last call."""
        # First the records: what they are about is complete when they are there.
        found = sorted(self.files(), key=lambda name: Path(name).name in _RECORDS)
        return FileUpdate(frozenset(found), self._archive(found))

    def files(self) -> Iterator[str]:
        """Names of the files that are sent."""
        records = {path for name in _RECORDS for path in self.folder.rglob(name)}
        for path in self.folder.rglob("*"):
            within = path.relative_to(self.folder)
            left = any(part.startswith(".") or part in _LEFT for part in within.parts)
            if not left and path.is_file() and (path.name not in _RECORDS or path in records):
                yield within.as_posix()

    def _archive(self, names: list[str]) -> bytes:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # it was renamed a moment ago
                    stamp = (self.folder / name).stat()
                    if self._sent.get(name) != (stamp.st_mtime_ns, stamp.st_size):
                        archive.add(self.folder / name, name)
                        self._sent[name] = (stamp.st_mtime_ns, stamp.st_size)
        return content.getvalue()


def receive(update: FileUpdate, folder: Path) -> None:
    """Bring a folder to the state of an update. Files appear complete; those that are gone are deleted."""
    with tarfile.open(fileobj=io.BytesIO(update.changed)) as archive:
        for member in archive:
            content = archive.extractfile(member)
            target = folder / member.name
            assert content is not None
            assert target.resolve().is_relative_to(folder.resolve())
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.partial")
            partial.write_bytes(content.read())
            partial.rename(target)
    for name in set(FolderSender(folder).files()) - update.names:
        (folder / name).unlink()
