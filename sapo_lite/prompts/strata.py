"""Strata of a task's scoring examples: kinds of answer, all of which a race sees in its first round.

Without them, a label that 5 of 250 examples have is missing in half of all first rounds of 32, and the one
candidate that masters it is dropped there. Shares alone do not help: 0.64 of 32 examples would have that
label. To wait until it is seen would cost most of what a race saves. So the order begins with some examples
of every stratum, and the means of a beginning are weighted by the sizes of the strata. Then they estimate the
means of the task again.
"""

import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

# Strata at most: two examples of each fit the first round of a race (sapo_lite.prompts.racing.rounds).
MOST = 16
# Strata by length, of the answers that have no stratum of their own.
LENGTHS = 4


def strata(answers: Sequence[str], lengths: Sequence[int]) -> list[int]:
    """The stratum of every example: its answer if this is a label or frequent, else the answer's length.

    answers, lengths: of every example, the length in tokens
    returns: numbers from 0 on, below 16

    Up to 16 answers are labels. Of more, only those that a sixteenth of the examples have are strata: two
    examples of each rarer one would fill the first round with what is a small part of the task.
    """
    counts = Counter(answers).most_common()
    if len(counts) > MOST:
        counts = [(a, count) for a, count in counts if count >= len(answers) / MOST][: MOST - LENGTHS]
    number = {answer: i for i, (answer, _) in enumerate(counts)}
    rest = [i for i, answer in enumerate(answers) if answer not in number]
    rest.sort(key=lambda i: (lengths[i], i))
    found = [number.get(answer, len(number)) for answer in answers]
    groups = max(1, min(LENGTHS, len(rest) // 2))
    ends = [len(rest) * group // groups for group in range(groups + 1)]
    for group, (start, end) in enumerate(pairwise(ends)):
        for position in rest[start:end]:
            found[position] = len(number) + group
    return found


def stratified_order(strata: Sequence[int], seed: int | str) -> tuple[int, ...]:
    """All positions in a random order of `seed`: first a few of every stratum, then each by its share.

    Of few strata there are more: about half of a first round, and at least the two that a standard deviation
    takes. A rare label is measured in full, then. With one stratum it is a simple random order.
    """
    rng = random.Random(seed)
    drawn = rng.sample(range(len(strata)), len(strata))
    sizes = Counter(strata)
    start = {stratum: rng.random() for stratum in sorted(sizes)}
    seen: Counter[int] = Counter()
    first = max(2, MOST // len(sizes))

    def place(position: int) -> tuple[bool, float]:
        stratum = strata[position]
        seen[stratum] += 1
        return seen[stratum] > first, (seen[stratum] - start[stratum]) / sizes[stratum]

    return tuple(sorted(drawn, key=place))


def weights(strata: Sequence[int], positions: Sequence[int]) -> tuple[float, ...]:
    """For each of these examples, its stratum's share of the task by its share of the examples; 1 on average.

    strata: of all examples
    positions: of those measured, some of every stratum
    """
    sizes, measured = Counter(strata), Counter(strata[position] for position in positions)
    even = len(positions) / len(strata)
    return tuple(even * sizes[strata[p]] / measured[strata[p]] for p in positions)
