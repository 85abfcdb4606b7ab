"""Start of a worker process, which another one has started and uses."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path


def begin_worker(log: Path, prepare: Callable[[], None], parent: int) -> None:
    """Start of a worker process: send stderr to `log`, and end the process if its parent ends."""
    # By file descriptor: some libraries write from destructors and bypass sys.stderr.
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # else workers of a killed parent would keep the locks of their folders

    threading.Thread(target=watch, daemon=True).start()
    prepare()
