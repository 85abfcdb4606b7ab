"""The recipe's section on experiment trackers."""

from sapo_lite.recipe.section import Section
from sapo_lite.recipe.values import TrackerNames


class TrackingConfig(Section):
    """Trackers that get the curves of each training, and R after each stage.

    `to` lists any of "trackio", "tensorboard" and "wandb", which must be installed. It changes no result: a
    run can go on with other trackers than it began with.
    """

    to: TrackerNames = ()
