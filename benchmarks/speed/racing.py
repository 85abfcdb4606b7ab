"""Racing benchmark: how often a race finds the choice of full scoring, and how much work it saves.

    python -m benchmarks.speed.racing                                       simulate, on recorded losses
    python -m benchmarks.speed.racing --record [NAME ...] [--data FOLDER]   record them again (minutes)

Losses of all candidates on all examples are in `tests/losses/`, one file a matrix: measured ones, of the
embedded backbone before any training, on the lab's tasks and on three of SUPERNI (for which FOLDER must
hold SUPERNI/; the backbone cannot solve these, but its losses serve the simulation). Two kinds are hard for a
race: "endings" are one instruction with different characters at its end, "nearest" the best of many
paraphrases.
No text is kept. A simulation races a matrix in many seeded orders, with the code of a run.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from sapo_lite.data.tasks import load_sequence
from sapo_lite.lab.heldout import TASKS
from sapo_lite.lab.wordings import wordings
from sapo_lite.prompts.racing import leader, race
from sapo_lite.prompts.strata import strata
from sapo_lite.recipe import ModelConfig, SequenceConfig
from sapo_lite.support.shipped import shipped
from sapo_lite.types import Task, TrainingRow

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "losses"
ARRAYS = {"losses": np.float64, "tokens": np.int64, "strata": np.int64}
EXAMPLES = 250  # as published
PUBLISHED = ("task195", "task1310", "task224")
ENDINGS = ("", " ", "  ", "\n", ".", " .", "..", "!", " !", "?", ":", ";", ",", " ,", "-")
DRAWN, KEPT = 100, 15  # paraphrases scored, and those kept (lowest loss), for a "nearest" matrix
LAB = ("stars", "odd_one_out", "translation", "title", "oldest", "mood")
NAMES = (
    *LAB,
    *PUBLISHED,
    *(f"{task}-nearest" for task in ("stars", "translation", "oldest")),
    *(f"{task}-endings" for task in ("stars", "task195", "task1310")),
)


@dataclass(frozen=True)
class Matrix:
    """Losses of all candidates on all examples, summed over answer tokens, in nats.

    losses: float64 [C, N]
    tokens: int64 [N], answer tokens of each example, the same for every candidate
    strata: int64 [N], kinds of answer (sapo_lite.prompts.strata)
    """

    losses: NDArray[np.float64]
    tokens: NDArray[np.int64]
    strata: NDArray[np.int64]

    @property
    def best(self) -> int:
        """The choice of full scoring."""
        return leader(dict(enumerate(self.losses.tolist())))

    @property
    def gap(self) -> float:
        """Difference between the second and the best candidate, in nats per token."""
        first, second = sorted(math.fsum(own) for own in self.losses)[:2]
        return (second - first) / float(self.tokens.sum())


@dataclass(frozen=True)
class Simulation:
    """Races in many orders: how many chose the best candidate, and the work that each saved, 0 to 1."""

    kept: int
    saved: NDArray[np.float64]

    @property
    def share(self) -> float:
        return self.kept / len(self.saved)


def load(name: str) -> Matrix:
    """A recorded matrix."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return Matrix(*(arrays[name].astype(kind) for name, kind in ARRAYS.items()))


def simulate(matrix: Matrix, orders: int) -> Simulation:
    """Race the matrix in the orders of the seeds 0, 1, 2, ..."""
    candidates, examples = matrix.losses.shape

    def measure(candidates: Sequence[int], positions: Sequence[int]) -> list[list[float]]:
        losses: list[list[float]] = matrix.losses[np.ix_(candidates, positions)].tolist()
        return losses

    best, kept, saved, kinds = matrix.best, 0, [], matrix.strata.tolist()
    for seed in range(orders):
        finished = race(range(candidates), examples, measure, seed=seed, strata=kinds)
        kept += finished.winner == best
        done = sum(len(own) for own in finished.losses.values())
        saved.append(1 - done / (candidates * examples))
    return Simulation(kept, np.array(saved))


def table(simulations: Mapping[str, Simulation]) -> Table:
    """One row a matrix."""
    shown = Table(title="Races on recorded losses")
    for heading in ("losses of", "candidates", "examples", "gap, nats/token", "orders", "argmin kept"):
        shown.add_column(heading, justify="left" if heading == "losses of" else "right")
    shown.add_column("work saved: mean", justify="right")
    shown.add_column("min to max", justify="right")
    for name, simulation in simulations.items():
        matrix, saved = load(name), simulation.saved
        counts = (*map(str, matrix.losses.shape), f"{matrix.gap:.5f}", str(len(saved)))
        spread = f"{saved.min():.0%} to {saved.max():.0%}"
        shown.add_row(name, *counts, f"{simulation.share:.1%}", f"{saved.mean():.0%}", spread)
    return shown


def record(name: str, data: Path | None) -> None:
    """Score all candidates of a matrix on all its examples, and save the losses."""
    import torch  # not needed to simulate, nor is the backbone

    from sapo_lite.model.load import load_backbone
    from sapo_lite.model.loss import answer_nll

    torch.set_num_threads(1)
    config = ModelConfig(
        name="lab",
        quantization="none",
        dtype="float32",
        loader="transformers",
        max_source_tokens=480,
        max_answer_tokens=32,
    )
    backbone = load_backbone(config)
    task_id, _, kind = name.partition("-")
    suite = "lab" if task_id in TASKS else "SUPERNI"
    (task,) = load_sequence(SequenceConfig(suite=suite, tasks=(task_id,), train_examples=EXAMPLES), data)
    instructions = candidates(task, kind)
    task = backbone.chat.fit(task, instructions)
    losses: list[tuple[float, ...]] = []
    tokens: tuple[int, ...] = ()
    for instruction in instructions:
        rows = [TrainingRow(instruction, e.input, e.answer) for e in task.train]
        nll_sum, tokens = answer_nll(backbone, backbone.chat.encode(task, rows))
        losses.append(nll_sum)
    if kind == "nearest":
        losses = sorted(losses, key=math.fsum)[:KEPT]
    FOLDER.mkdir(exist_ok=True)
    kinds = strata([example.answer for example in task.train], tokens)
    arrays = {
        "losses": np.array(losses, np.float32),
        "tokens": np.array(tokens, np.int16),
        "strata": np.array(kinds, np.int8),
    }
    np.savez_compressed(FOLDER / f"{name}.npz", **arrays)  # type: ignore[arg-type]


def candidates(task: Task, kind: str) -> list[str]:
    """The instructions of a matrix, the original first."""
    if kind == "endings":
        return [task.instruction + ending for ending in ENDINGS]
    if task.suite == "lab":
        return [task.instruction, *wordings(task.id, DRAWN if kind == "nearest" else 20, seed=0)]
    path = shipped("data") / "candidates" / "ni_seq_c1.json"
    return [task.instruction, *json.loads(path.read_text(encoding="utf-8"))[task.id]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.racing")
    parser.add_argument("--record", nargs="*", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="folder that holds SUPERNI/")
    parser.add_argument("--orders", type=int, default=1000, help="races of each matrix (1000)")
    options = parser.parse_args()
    console = Console()
    if options.record is None:
        names = [name for name in NAMES if (FOLDER / f"{name}.npz").is_file()]
        console.print(table({name: simulate(load(name), options.orders) for name in names}))
        return
    here = [name for name in NAMES if options.data or not name.startswith("task")]
    for name in options.record or here:
        record(name, options.data)
        console.print(f"{name}: recorded")


if __name__ == "__main__":
    main()
