"""The recipe's section on forgetting that is too much."""

from typing import Literal

from pydantic import Field

from sapo_lite.recipe.section import Section
from sapo_lite.recipe.values import Positive


class GuardConfig(Section):
    """What happens when a task drops by more than `max_drop`, beyond chance, after a stage.

    A task that was learned is compared with itself right after it was learned, a watched one with the
    untrained model. `unit` "standard_errors" takes the drop's own ones instead of points. Without `max_drop`,
    nothing is guarded. "stop" ends the run with exit code 3; "retry" goes back and trains with the candidate
    of the next lowest loss, then also with rows of earlier tasks (adapter.replay_share, replay_rows).
    """

    max_drop: Positive | None = Field(default=None, description="a number above 0")
    unit: Literal["points", "standard_errors"] = "points"
    on: Literal["warn", "stop", "retry"] = "warn"
