"""Instructions of the lab's tasks: the original, and hundreds of paraphrases from the grammar."""

from collections.abc import Iterator
from itertools import islice
from random import Random

from sapo_lite.lab.grammar import REGISTERS, Phrasing, hint, names_label, plainest, wrapped
from sapo_lite.lab.heldout import TASKS

__all__ = ["PHRASINGS", "SUFFIX", "every_wording", "names_label", "original", "worded", "wordings"]

SUFFIX = "answer :"  # closes the prompt of every lab task

PHRASINGS: dict[str, Phrasing] = {name: task.phrasing for name, task in TASKS.items()}


def original(task: str) -> str:
    """The original instruction of a lab task: its first core phrase in the plainest form."""
    phrasing = PHRASINGS[task]
    wording = f"your task is to {plainest(phrasing.cores[0])} ."
    return f"{wording} {hint(phrasing.labels)}" if phrasing.labels else wording


def wordings(task: str, count: int, seed: int) -> list[str]:
    """`count` different paraphrases of a lab task's instruction, without the original.

    A longer list with the same seed begins with the shorter one.

    Raises:
        ValueError: the grammar has fewer.
    """
    found = list(islice(every_wording(task, seed), count))
    if len(found) < count:
        raise ValueError(
            f"expected {count} different wordings of the lab task {task!r}, "
            f"found {len(found)} in the grammar: ask for fewer"
        )
    return found


def every_wording(task: str, seed: int) -> Iterator[str]:
    """Yield different paraphrases of a lab task's instruction, without the original, until none is left.

    Core phrases and registers are drawn uniformly, and every paraphrase names all labels of the task.
    """
    rng = Random(f"{task}/{seed}")
    found = {original(task)}
    tries = 0
    while tries < 100 * (len(found) + 10):  # small grammars repeat themselves long before this
        tries += 1
        wording = worded(task, rng.randrange(len(PHRASINGS[task].cores)), rng)
        if wording not in found:
            found.add(wording)
            yield wording


def worded(task: str, core: int, rng: Random) -> str:
    """The task's core phrase of that number in a wrapper of any register, with a hint at its labels."""
    phrasing = PHRASINGS[task]
    wording = wrapped(phrasing.cores[core], phrasing.noun, rng.choice(REGISTERS), rng)
    # If no label is left to name, many paraphrases have no hint.
    if all(names_label(wording, label) for label in phrasing.labels) and rng.random() < 0.5:
        return wording
    return f"{wording} {hint(phrasing.labels, rng)}"
