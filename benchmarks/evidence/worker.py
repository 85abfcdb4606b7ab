"""What a worker process does: it prepares itself once, then one item after another."""

import gc

from benchmarks.evidence.plan import Cell, Plan, Transition


def prepare() -> None:
    """One thread, and the libraries."""
    import torch

    torch.set_num_threads(1)
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
