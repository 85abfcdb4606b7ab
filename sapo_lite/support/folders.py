"""What a folder holds on disk: links that lead out of it, and who may read its files."""

import shutil
from pathlib import Path


def is_inside(folder: Path, path: Path) -> bool:
    """Whether a path stays in the folder, links followed."""
    return path.resolve().is_relative_to(folder.resolve())


def share_weights(folder: Path) -> None:
    """Let the weights in a folder be read by whoever may read its JSON files, by the user's umask.

    safetensors writes files for their owner alone; in a shared run or cache, the weights would be closed.
    """
    example = next(folder.glob("*.json"))
    for weights in folder.glob("*.safetensors"):
        shutil.copymode(example, weights)
