"""The core phrase of a lab instruction, recovered from its text."""

import re
from collections.abc import Sequence
from functools import cache

from sapo_lite.lab.wordings import PHRASINGS


def core_of(task: str, text: str) -> int | None:
    """Number of the core phrase of a lab task that the text contains, the longest of several; else None."""
    found = [
        (len(match[0]), -number) for number, pattern in _patterns(task) if (match := pattern.search(text))
    ]
    return -max(found)[1] if found else None


def cores_of(texts: Sequence[str]) -> list[int] | None:
    """Numbers of the core phrases of wordings of one lab task; None if no lab task has all of them."""
    for task in PHRASINGS:
        cores = [core_of(task, text) for text in texts]
        if None not in cores:
            return [core for core in cores if core is not None]
    return None


@cache
def _patterns(task: str) -> list[tuple[int, re.Pattern[str]]]:
    """A pattern for each core phrase: any choice in its slots, "an" where the grammar writes it for "a"."""
    found = []
    for number, core in enumerate(PHRASINGS[task].cores):
        parts = [_slot(part) if part.startswith("[") else re.escape(part) for part in _split(core)]
        text = re.sub(r"(?<!\w)a\\ ", r"an?\\ ", "".join(parts))
        found.append((number, re.compile(rf"(?<!\w){text}(?!\w)")))
    return found


def _split(core: str) -> list[str]:
    return re.split(r"(\[[^\]]*\])", core)


def _slot(part: str) -> str:
    return f"(?:{'|'.join(map(re.escape, part[1:-1].split('|')))})"
