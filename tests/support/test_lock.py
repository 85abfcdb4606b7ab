"""Locks: one process at a time; who holds them; those that killed processes left."""

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sapo_lite.errors import RunFolderError
from sapo_lite.run.lock import locked
from sapo_lite.support.lock import HeldError, Holder, exclusive, owned, this_process

HOLDING = """\
import sys, time
from pathlib import Path
from sapo_lite.support.lock import owned
with owned(Path(sys.argv[1])):
    print(flush=True)
    time.sleep(600)
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / ".lock"


@contextlib.contextmanager
def another(lock: Path) -> Iterator[int]:
    """A process that holds the lock; its number. It is killed at the end."""
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(lock)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGKILL)


def left_by(lock: Path, **parts: object) -> None:
    """The lock as a process leaves it that was killed."""
    lock.write_text(json.dumps({**this_process()._asdict(), **parts}))


def no_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_a_lock_says_who_holds_it_and_is_empty_afterwards(lock: Path) -> None:
    with owned(lock):
        assert json.loads(lock.read_text()) == this_process()._asdict()
        assert this_process()[:2] == (os.getpid(), socket.gethostname())
    assert lock.read_text() == ""


def test_a_lock_of_another_process_is_refused_with_its_number_until_it_is_killed(lock: Path) -> None:
    with another(lock) as pid:
        with pytest.raises(HeldError) as refused, owned(lock):
            pass
        assert (refused.value.who, refused.value.elsewhere) == (f"process {pid} on this host", "")
        assert json.loads(lock.read_text())["pid"] == pid  # the holder's name is left alone
    assert json.loads(lock.read_text())["pid"] == pid  # it was killed
    with owned(lock):
        assert json.loads(lock.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("parts", [{"boot": "earlier"}, {"host": "container"}, {"pid": os.getppid()}])
def test_a_lock_that_was_left_on_this_machine_is_taken_over(lock: Path, parts: dict[str, object]) -> None:
    """Restarted since; in a container, whose host name was another; its number is another process's now."""
    left_by(lock, **parts)
    with owned(lock):
        assert json.loads(lock.read_text()) == this_process()._asdict()


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1}', '{"pid": "1", "host": 2, "boot": 3}', "[]", "\0\0"])
def test_a_lock_whose_holder_is_not_readable_is_taken_over(lock: Path, text: str) -> None:
    lock.write_text(text)
    with owned(lock):
        assert json.loads(lock.read_text())["pid"] == os.getpid()


def test_a_lock_of_another_host_is_refused_by_its_content(tmp_path: Path, lock: Path) -> None:
    """Locks of a network file system may not reach other hosts: nothing but the content shows them."""
    left_by(lock, pid=4711, host="node3", boot="other")
    with pytest.raises(RunFolderError) as refused, locked(tmp_path):
        pass
    assert str(refused.value) == (
        f"{tmp_path} is in use by another sapo-lite process (process 4711 on node3). Whether it still runs "
        f"cannot be seen from host {socket.gethostname()}. If it does not, delete {lock} and repeat the "
        "command. Or choose another folder with --out."
    )
    lock.unlink()
    with locked(tmp_path):
        assert json.loads(lock.read_text())["pid"] == os.getpid()


def test_without_locks_of_the_file_system_the_content_counts(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with owned(lock), pytest.raises(HeldError, match=f"pid={os.getpid()}"), owned(lock):
        pass
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left_by(lock, pid=ended.pid)
    with owned(lock):
        assert json.loads(lock.read_text())["pid"] == os.getpid()


def test_a_lock_that_was_deleted_meanwhile_is_taken_anew(lock: Path) -> None:
    """Else two processes hold one lock: the file of the first has no name any more."""
    entered = threading.Event()

    def second() -> None:
        with exclusive(lock):
            entered.set()
            assert lock.exists()

    with exclusive(lock):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not entered.wait(0.2)
        lock.unlink()
    waiting.join()
    assert entered.is_set()


def test_a_link_is_never_followed(tmp_path: Path, lock: Path) -> None:
    (tmp_path / "mine").write_text("text")
    lock.symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic links"), owned(lock):
        pass
    assert (tmp_path / "mine").read_text() == "text"


def test_a_container_on_this_machine_is_here() -> None:
    here = this_process()
    assert here.here
    assert not Holder(here.pid, "node3", "other").here
    assert not Holder(here.pid, "node3", "").here
