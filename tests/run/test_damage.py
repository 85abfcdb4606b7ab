"""A sample of scripts/damage_matrix.py: no damage to a run folder goes unnoticed or ends in a traceback."""

import random
from pathlib import Path

import pytest

from scripts.damage_matrix import DAMAGES, Matrix, Trial

pytestmark = pytest.mark.slow

# One of each damage, and what was once used silently or ended in a traceback.
KNOWN = [
    ("half", "02-odd_one_out/checkpoints/checkpoint-4/scheduler.pt", "delete"),
    ("half", "02-odd_one_out/checkpoints/checkpoint-4/optimizer.pt", "bit"),
    ("half", "02-odd_one_out/wordings.json", "digit"),
    ("tested", "01-oldest/predictions/odd_one_out-original.json", "digit"),
    ("tested", "01-oldest/adapter/memory.safetensors", "half"),
    ("tested", "01-oldest/wordings.json", "delete"),
    ("tested", "02-odd_one_out/losses.json", "shape"),
]


def test_damaged_files_are_made_again_or_refused(tmp_path: Path) -> None:
    matrix = Matrix("rescored", tmp_path)
    every = list(matrix.trials())
    rng = random.Random(0)
    drawn = [rng.choice([trial for trial in every if trial.damage == kind]) for kind in DAMAGES]
    known = [Trial("rescored", *case) for case in KNOWN]
    assert set(known) <= set(every)
    found = {trial: matrix.outcome(trial) for trial in [*known, *drawn]}
    assert {trial: what for trial, what in found.items() if what and what[0].isupper()} == {}
    assert {what[0] for what in found.values() if what} >= {"made again", "refused"}
