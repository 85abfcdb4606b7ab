"""The wordings of the held-out tasks: the original instruction, and hundreds of others."""

from collections.abc import Iterator
from itertools import islice
from random import Random

from sapo_lite.lab.grammar import REGISTERS, Phrasing, hint, names_label, plainest, wrapped
from sapo_lite.lab.heldout import TASKS

__all__ = ["PHRASINGS", "SUFFIX", "every_wording", "names_label", "original", "worded", "wordings"]

SUFFIX = "answer :"  # closes the prompt of every lab task

PHRASINGS: dict[str, Phrasing] = {name: task.phrasing for name, task in TASKS.items()}


def original(task: str) -> str:
    """The instruction that a lab task is published with: its first core phrase, plainly put."""
    phrasing = PHRASINGS[task]
    wording = f"your task is to {plainest(phrasing.cores[0])} ."
    return f"{wording} {hint(phrasing.labels)}" if phrasing.labels else wording


def wordings(task: str, count: int, seed: int) -> list[str]:
    """`count` different wordings of a lab task's instruction, none of them the original.

    A longer list with the same seed begins with the shorter one.

    Raises:
        ValueError: the grammar has not that many.
    """
    found = list(islice(every_wording(task, seed), count))
    if len(found) < count:
        raise ValueError(
            f"expected {count} different wordings of the lab task {task!r}, "
            f"found {len(found)} in the grammar: ask for fewer"
        )
    return found


def every_wording(task: str, seed: int) -> Iterator[str]:
    """The different wordings of a lab task's instruction, without the original, until no more are found.

    Core phrases and registers are drawn with equal chance, and every wording names all labels of the
    task.
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
    # Where no label is left to name, many wordings go without a hint.
    if all(names_label(wording, label) for label in phrasing.labels) and rng.random() < 0.5:
        return wording
    return f"{wording} {hint(phrasing.labels, rng)}"
