"""The `builtin` backend: wordings of the lab's own instructions, offline and at once."""

from sapo_lite.errors import ParaphraseError
from sapo_lite.lab.wordings import PHRASINGS, original, wordings
from sapo_lite.types import Task


def paraphrase_builtin(task: Task, count: int, seed: int) -> list[str]:
    """`count` wordings of a lab task's instruction from the grammar, without the original."""
    # The instruction is compared too: another suite may have a task that is called "mood".
    if task.id not in PHRASINGS or task.instruction != original(task.id):
        raise ParaphraseError(
            f'paraphrase.backend = "builtin" only knows the lab\'s tasks ({", ".join(PHRASINGS)}), '
            f'not {task.id!r}: use backend = "ollama" or "file" for it.'
        )
    return wordings(task.id, count, seed)
