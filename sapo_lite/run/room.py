"""Disk space of a run's folder: how much it needs in all, and whether that much is free."""

from pathlib import Path

from sapo_lite.learning.methods import METHODS
from sapo_lite.model.footprint import ADAM
from sapo_lite.recipe import Recipe
from sapo_lite.support.disk import free_bytes, in_words

# Bytes of an answer in the files of a run, with its input and its score.
_ANSWER = 600


def run_folder_bytes(recipe: Recipe, lora: int, *, tasks: int, answers: int) -> int:
    """Bytes of a run's folder: an adapter for each stage, two checkpoints, and the answers.

    lora: number of weights of the adapter, all blocks
    tasks: number of learned tasks
    answers: number of answers of all stages
    """
    adapter = 4 * lora
    stages = len(METHODS[recipe.adapter.method].groups(range(tasks)))
    checkpoints = 2 * (1 + ADAM) * adapter if recipe.training.checkpoint_every else 0
    return stages * adapter + checkpoints + answers * _ANSWER


def notice_of_room(folder: Path, needed: int) -> str | None:
    """A notice if the disk of the run's folder has not the room for what is not there yet.

    needed: bytes of the whole folder in the end
    """
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    missing, free = needed - written, free_bytes(folder)
    if free is None or missing <= free:
        return None
    return (
        f"{folder}: this run will write about {in_words(missing)} more, and {in_words(free)} are free: "
        "make room, or the run stops when the disk is full (and goes on when there is room)"
    )
