"""The wordings of the held-out tasks: the original instruction, and hundreds of others."""

from random import Random

from sapo_lite.errors import ParaphraseError
from sapo_lite.lab.grammar import REGISTERS, Phrasing, hint, names_label, plainest, wrapped
from sapo_lite.lab.heldout import TASKS

__all__ = ["PHRASINGS", "SUFFIX", "names_label", "original", "worded", "wordings"]

SUFFIX = "answer :"  # closes the prompt of every lab task

PHRASINGS: dict[str, Phrasing] = {name: task.phrasing for name, task in TASKS.items()}


def original(task: str) -> str:
    """The instruction that a lab task is published with: its first core phrase, plainly put."""
    phrasing = PHRASINGS[task]
    wording = f"your task is to {plainest(phrasing.cores[0])} ."
    return f"{wording} {hint(phrasing.labels)}" if phrasing.labels else wording


def wordings(task: str, count: int, seed: int) -> list[str]:
    """`count` different wordings of a lab task's instruction, none of them the original.

    Core phrases and registers are drawn with equal chance, and every wording names all labels of the
    task. A longer list with the same seed begins with the shorter one.

    Raises:
        ParaphraseError: the grammar has not that many.
    """
    rng = Random(f"{task}/{seed}")
    unwanted, found = original(task), dict[str, None]()
    tries = 100 * (count + 10)  # small grammars repeat themselves long before this
    for _ in range(tries):
        if len(found) == count:
            break
        wording = worded(task, rng.randrange(len(PHRASINGS[task].cores)), rng)
        if wording != unwanted:
            found[wording] = None
    if len(found) < count:
        raise ParaphraseError(
            f"expected {count} different wordings of the lab task {task!r}, "
            f"found {len(found)} in the grammar: ask for fewer"
        )
    return list(found)


def worded(task: str, core: int, rng: Random) -> str:
    """The task's core phrase of that number in a wrapper of any register, with a hint at its labels."""
    phrasing = PHRASINGS[task]
    wording = wrapped(phrasing.cores[core], phrasing.noun, rng.choice(REGISTERS), rng)
    # Where no label is left to name, many wordings go without a hint.
    if all(names_label(wording, label) for label in phrasing.labels) and rng.random() < 0.5:
        return wording
    return f"{wording} {hint(phrasing.labels, rng)}"
