"""Curves for an experiment tracker: of each training by the Trainer's own callbacks, and R after each stage.

Nothing is sent anywhere unless the tracker is set so: W&B is offline unless WANDB_MODE says otherwise.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sapo_lite.errors import RecipeError
from sapo_lite.support.messages import many

PROJECT = "sapo-lite"
TRACKERS = ("trackio", "tensorboard", "wandb")
UNTRACKED = {"report_to": "none"}


@dataclass(frozen=True)
class Tracking:
    """The trackers of a run.

    to: names out of TRACKERS
    run: name of the run
    folder: for what TensorBoard and W&B write; trackio has a place of its own
    """

    to: tuple[str, ...]
    run: str
    folder: Path

    def require(self) -> None:
        """Raises RecipeError if a tracker is not installed."""
        if missing := [name for name in self.to if find_spec(name) is None]:
            raise RecipeError(
                f"tracking.to: {', '.join(missing)} cannot be imported. Install it with "
                f"`pip install {' '.join(missing)}`, or leave it out."
            )

    @contextmanager
    def training(self, stage: str) -> Iterator[dict[str, Any]]:
        """Settings of the Trainer for one training: a run of its own in each tracker, named RUN/STAGE."""
        with _environment(self._places(stage)):
            try:
                yield {
                    "report_to": list(self.to) or "none",
                    "run_name": f"{self.run}/{stage}",
                    "project": PROJECT,
                }
            finally:
                self._finish()

    def scores(self, rows: Mapping[int, Mapping[str, float]]) -> None:
        """Log R, as the run RUN/R: the last row; to W&B, whose offline runs cannot go on, all rows.

        rows: scores by number of the stage, by task, in percent
        """
        last = max(rows)
        with _environment(self._places("R")):
            if "tensorboard" in self.to:
                from torch.utils.tensorboard import SummaryWriter

                with SummaryWriter(os.environ["TENSORBOARD_LOGGING_DIR"]) as writer:
                    for name, score in rows[last].items():
                        writer.add_scalar(f"R/{name}", score, last)
            if "trackio" in self.to:
                import trackio

                trackio.init(project=PROJECT, name=f"{self.run}/R", resume="allow")
                trackio.log(_named(rows[last]), step=last)
                trackio.finish()
            if "wandb" in self.to:
                import wandb

                after = many(last, "stage")
                with wandb.init(
                    project=os.environ["WANDB_PROJECT"], name=f"{self.run}/R after {after}"
                ) as run:
                    for number, row in rows.items():
                        run.log(_named(row), step=number)

    def _places(self, part: str) -> dict[str, str]:
        """Environment variables that the callbacks read. The user's own W&B settings are kept."""
        places = {
            "TENSORBOARD_LOGGING_DIR": str(self.folder / "tensorboard" / part),
            "WANDB_DIR": str(self.folder),
        }
        if "wandb" not in self.to:  # transformers prints a line wherever it finds W&B's mode
            return places
        own = {"WANDB_MODE": "offline", "WANDB_PROJECT": PROJECT, "WANDB_SILENT": "true"}
        return places | {name: os.environ.get(name, value) for name, value in own.items()}

    def _finish(self) -> None:
        """End the run of W&B: its callback leaves it open, and the next training would be added to it."""
        if "wandb" in self.to:
            import wandb

            wandb.finish()


def _named(row: Mapping[str, float]) -> dict[str, float]:
    return {f"R/{name}": score for name, score in row.items()}


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
