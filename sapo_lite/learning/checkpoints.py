"""Checkpoints of a training: taken only if every file is as it was written."""

import re
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from sapo_lite.support.checksums import changed_file, write_checksums


class WriteChecksums(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Writes the checksums of a checkpoint once the Trainer has saved it; without them it is not taken."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        checkpoints = Path(args.output_dir)
        write_checksums(checkpoints / f"checkpoint-{state.global_step}", of=_place(checkpoints))


def latest_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that is as it was written; those that are not are removed."""
    found = {
        int(path.name.removeprefix("checkpoint-")): path
        for path in folder.glob("checkpoint-*")
        if re.fullmatch("checkpoint-[0-9]+", path.name) and path.is_dir() and not path.is_symlink()
    }
    whole = {step: path for step, path in found.items() if changed_file(path, _place(folder)) is None}
    for step in found.keys() - whole.keys():
        shutil.rmtree(found[step])
    return str(whole[max(whole)]) if whole else None


def _place(checkpoints: Path) -> str:
    """What a checkpoint is of: the folder of its stage."""
    return checkpoints.absolute().parent.name
