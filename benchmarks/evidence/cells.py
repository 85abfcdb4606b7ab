"""One cell of the programme: a run that starts from what the base cells of its seed have done already."""

import time

from benchmarks.evidence.plan import BASE_ADAPTER, Cell, Plan
from sapo_lite.compare.execution import run_cell as run_one
from sapo_lite.report.plain import plain_file
from sapo_lite.support.files import write_json


def run_cell(plan: Plan, cell: Cell) -> float:
    """Run a cell, or go on with it. Returns the seconds that this call took; 0 if it was done.

    Raises:
        SapoLiteError: as a run does; also where its folder holds a run of other settings.
    """
    cpu, path = time.process_time(), plan.folder(cell)
    sources = [cell.base, Cell(cell.strategy, BASE_ADAPTER, cell.seed)]
    took = run_one(plan.load(cell), path, map(plan.folder, sources), plain_file, plan.data)
    if took:
        # Of the last call alone: what an interrupted one had spent is lost.
        write_json(path / "seconds.json", {"cpu": round(time.process_time() - cpu, 1)})
    return took
