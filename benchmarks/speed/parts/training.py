"""Training: sapo-lite's steps on packs against TRL's, from the same weights on the same rows.

The learning rate is next to nothing, so that the losses of an epoch do not depend on the order of its rows,
which every trainer shuffles in its own way.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from unittest import mock

from torch import Tensor

from benchmarks.speed.bench import Bench
from benchmarks.speed.line import Line, Measured, alternately, sheet
from benchmarks.speed.parts.sft import laps, train_with_trl
from benchmarks.speed.scoring.clock import Seconds
from benchmarks.speed.scoring.limit import training_operations
from benchmarks.speed.scoring.steps import attach
from benchmarks.speed.sheet import Found
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.rows import RowBatcher
from sapo_lite.learning.trainer import train
from sapo_lite.recipe import TrainingConfig
from sapo_lite.types import Task, TrainingRow, TrainingSet

GOALS = {"task195": 2.5, "task1310": 2.0, "task224": 1.5}
LIMIT_GOALS = {"smollm2": 0.6}
RATE = 1e-12
LIMIT, OURS = "limit", "sapo-lite"
PADDED, PACKED = "SFTTrainer", "SFTTrainer, packing"


def measure(bench: Bench) -> tuple[Found, dict[str, float]]:
    """What was found, and the seconds of a trained row of sapo-lite by task."""
    adapter = attach(bench.backbone)
    lines = [line for task in bench.tasks for line in _lines(bench, adapter, task)]
    rows = bench.sizes.rows
    title = "Training: a LoRA of rank 8 on q and v, of TRL's SFTTrainer and of sapo-lite"
    found = Found(
        [sheet(title, lines, bench.clock)],
        [line.to_json(bench.clock) for line in lines],
        [line.fault for line in lines if line.fault],
    )
    ours = {line.task: median(s.on(bench.clock) for s in line.ours) / rows for line in lines}
    return found, ours


def _lines(bench: Bench, adapter: BlockAdapter, task: Task) -> list[Line]:
    sizes, backbone = bench.sizes, bench.backbone
    encoded = bench.encoded(task, task.instruction, sizes.rows)

    def theirs(_: int, *, packing: bool, rows: int = sizes.rows) -> Measured[float]:
        adapter.open_block(0, seed=0)
        with bench.for_peers():
            return train_with_trl(
                backbone,
                encoded[:rows],
                batch_size=sizes.batch_size,
                rate=RATE,
                packing=packing,
                folder=bench.folder / "trl",
            )

    ways: dict[str, Callable[[int], Measured[float]]] = {
        LIMIT: bench.rate,
        OURS: lambda _: train_with_sapo_lite(bench, adapter, task, sizes.rows),
        PADDED: partial(theirs, packing=False),
        PACKED: partial(theirs, packing=True),
    }
    train_with_sapo_lite(bench, adapter, task, 2)  # the first products also choose kernels
    theirs(0, packing=False, rows=2)
    found = alternately(ways, sizes.rounds)
    adapter.open_block(0, seed=0)
    steps = -(-sizes.rows // sizes.batch_size)
    exact = found[OURS][0][0]
    needed = training_operations(backbone, encoded, steps)
    return [
        Line(
            task=task.name,
            work=f"{sizes.rows} rows, {sizes.batch_size} a step",
            peer=peer,
            theirs=_costs(found[peer]),
            ours=_costs(found[OURS]),
            difference=max(abs(loss - exact) / exact for loss, _ in found[peer]),
            tolerance=bench.same_loss,
            unit="losses",
            goal=GOALS.get(task.name),
            limit=tuple(needed / rate for rate, _ in found[LIMIT]),
            limit_goal=LIMIT_GOALS.get(backbone.config.name),
        )
        for peer in (PADDED, PACKED)
    ]


def train_with_sapo_lite(bench: Bench, adapter: BlockAdapter, task: Task, count: int) -> Measured[float]:
    """As a stage of a run: the summed loss of an epoch in nats, and its cost."""
    sizes = bench.sizes
    rows = [TrainingRow(task.instruction, e.input, e.answer) for e in task.train[:count]]
    config = TrainingConfig(
        epochs=1,
        learning_rate=RATE,
        batch_size=sizes.batch_size,
        micro_batch_size=sizes.batch_size,
        gradient_checkpointing=False,
    )
    summed: list[float] = []
    nll = RowBatcher.nll

    def recorded(batcher: RowBatcher, numbers: Sequence[int]) -> Tensor:
        found = nll(batcher, numbers)
        summed.append(float(found.detach()))
        return found

    adapter.open_block(0, seed=0)
    with mock.patch.object(RowBatcher, "nll", recorded), laps() as lap:
        train(
            bench.backbone,
            adapter,
            [TrainingSet(task, rows)],
            config,
            checkpoints=bench.folder / "steps",
            seed=0,
        )
    return sum(summed), lap.spent


def _costs(measured: Sequence[Measured[float]]) -> tuple[Seconds, ...]:
    return tuple(seconds for _, seconds in measured)
