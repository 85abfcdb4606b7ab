"""What a worker process does: it prepares itself once, then one item after another."""

import gc
import os
import threading
import time
from pathlib import Path

from benchmarks.evidence.plan import Cell, Plan, Transition


def begin(log: Path) -> None:
    """One thread, an end when its parent ends, and what libraries say goes to `log`."""
    # Some write from their destructors, past sys.stderr.
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
    import torch

    torch.set_num_threads(1)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # else a killed parent would leave workers behind that hold their folders

    threading.Thread(target=watch, daemon=True).start()
    from trl import SFTTrainer  # noqa: F401

    # The Trainer collects garbage several times a task, among a million objects of imported modules.
    gc.collect()
    gc.freeze()


def do(plan: Plan, item: Cell | Transition) -> float:
    """Finish an item. Returns the seconds that it took, 0 if it was done before."""
    if isinstance(item, Cell):
        from benchmarks.evidence.cells import run_cell

        return run_cell(plan, item)
    from benchmarks.evidence.probe import run_transition

    return run_transition(plan, item)
