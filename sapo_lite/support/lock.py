"""Locks: one process at a time, on one machine or on several that share a disk.

The system's lock of a file ends with its process, but many network file systems keep it on one machine only.
So the holder also writes who it is into the file, and empties it at the end.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Of network file systems without locks; EBADF, without those of folders.
_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF)
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Holder(NamedTuple):
    """The process that holds a lock. `boot` identifies one start of a machine; "" where that is unknown."""

    pid: int
    host: str
    boot: str

    @property
    def here(self) -> bool:
        """Whether it is, or was, a process of this machine. A container has a host name of its own."""
        now = this_process()
        return self.host == now.host or (self.boot != "" and self.boot == now.boot)


class HeldError(Exception):
    """A lock is held. `holder` is None if it has not said who it is."""

    def __init__(self, path: Path, holder: Holder | None) -> None:
        self.path, self.holder = path, holder
        super().__init__(f"{path} is held by {holder or 'another process'}")

    @property
    def elsewhere(self) -> str:
        """For a holder on another host, what to do if it was killed there; else ""."""
        if self.holder is None or self.holder.here:
            return ""
        return (
            f"Whether it still runs cannot be seen from host {socket.gethostname()}. If it does not, delete "
            f"{self.path} and repeat the command."
        )

    @property
    def who(self) -> str:
        """Such as "process 4711 on this host"; "another process" if that is all that is known."""
        if self.holder is None:
            return "another process"
        return f"process {self.holder.pid} on {'this host' if self.holder.here else self.holder.host}"


def this_process() -> Holder:
    boot = ""
    with contextlib.suppress(OSError):
        boot = _BOOT.read_text(encoding="ascii").strip()
    return Holder(os.getpid(), socket.gethostname(), boot)


@contextlib.contextmanager
def owned(path: Path) -> Iterator[None]:
    """Hold the lock `path`, a file, and name this process in it.

    A lock whose process was killed on this machine is taken over. One of another machine is not.

    Raises:
        HeldError: another process holds the lock, or was killed on another machine while it did.
    """
    with _opened(path, wait=False) as (file, locked):
        holder = _read(file)
        if holder and not (holder.here and (locked or not _runs(holder.pid))):
            raise HeldError(path, holder)
        _write(file, json.dumps(this_process()._asdict()))
        try:
            yield
        finally:
            _write(file, "")


@contextlib.contextmanager
def exclusive(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock `path`, a file or folder, among the processes of this machine.

    For work that may be done twice: other machines that share the disk may hold it, too.

    Raises:
        HeldError: another process holds it, and this one does not `wait`.
    """
    with _opened(path, wait=wait):
        yield


@contextlib.contextmanager
def _opened(path: Path, *, wait: bool) -> Iterator[tuple[int, bool]]:
    """The file, and whether the system has locked it: some file systems have no locks."""
    while True:
        flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
        file = os.open(path, flags | os.O_NOFOLLOW, 0o666)
        try:
            locked = _lock(file, wait)
            if locked is None:
                raise HeldError(path, _read(file))
            if _is(path, file):
                yield file, locked
                return
        finally:
            os.close(file)  # which unlocks it
        # Another process deleted the file after it was opened here: what was locked is not what others see.


def _lock(file: int, wait: bool) -> bool | None:
    """True if the lock was taken, False if the file system has none, None if another process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def _is(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _read(file: int) -> Holder | None:
    """The holder; None if there is none, or its name is incomplete, since it was killed as it wrote."""
    try:
        found = Holder(**json.loads(os.pread(file, 4096, 0)))
    except (ValueError, TypeError):
        return None
    return found if [type(part) for part in found] == [int, str, str] else None


def _write(file: int, text: str) -> None:
    """Write to the disk at once: other machines read it."""
    os.ftruncate(file, 0)
    os.pwrite(file, text.encode(), 0)
    os.fsync(file)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True
