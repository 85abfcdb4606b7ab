"""Errors a user can act on. Each message says what was expected, what was found and how to fix it.

They are raised inside, and printed once, by `sapo_lite.cli`.
"""


class SapoLiteError(Exception):
    """Base of everything the command line prints without a traceback."""


class RecipeError(SapoLiteError):
    """The recipe (or a `--set` override) cannot be used; lists every fault at once."""


class DataError(SapoLiteError):
    """A task's files are missing or malformed."""


class ParaphraseError(SapoLiteError):
    """No usable candidates could be obtained."""


class BackboneError(SapoLiteError):
    """The model is not on disk, or cannot be loaded as asked."""


class RenderError(SapoLiteError):
    """A prompt cannot be rendered within the token budget."""


class TrainingError(SapoLiteError):
    """Training cannot start or has gone wrong (no labels, loss not finite, frozen rows moved)."""


class RunFolderError(SapoLiteError):
    """The run folder is in use, belongs to another recipe, lacks a file, or is not a run folder."""


class GuardError(SapoLiteError):
    """A task was forgotten by more than the recipe's [guard] allows. The command line exits with code 3."""


class WorkerError(SapoLiteError):
    """A worker process ended in the middle of its work."""
