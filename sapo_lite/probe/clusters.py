"""Clusters of candidates that are nearly the same wording: the units of a probe's tests.

Candidates that share most of their words have nearly the same loss and nearly the same effect. In the lab,
the grammar says which these are: those of one core phrase. Elsewhere they are found by their words.
"""

import itertools
import re
from collections.abc import Sequence

from sapo_lite.lab.cores import cores_of

# Two wordings are near-duplicates if they share this part of all words and pairs of words of both. On pools
# of 21 wordings of the lab's twelve tasks, whose core phrases are known, 64 % of the pairs of one core phrase
# came together with it, and 9 % of the others.
THRESHOLD = 0.4
# A word, or one character of a script that is written without spaces between words.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


def clusters_of(texts: Sequence[str]) -> list[int]:
    """Number of the cluster of every wording of one task, from 0.

    Of the lab's wordings it is the number of the core phrase; of others, that of `near_duplicates`.
    """
    cores = cores_of(texts)
    return near_duplicates(texts) if cores is None else cores


def near_duplicates(texts: Sequence[str]) -> list[int]:
    """Clusters numbered in the order of their first texts.

    A text belongs to a cluster if it is a near-duplicate of any of its texts (single linkage): the Jaccard
    index of their sets of words and pairs of neighbouring words is at least THRESHOLD. Case and punctuation
    do not count.
    """
    grams = [_grams(text) for text in texts]
    cluster = list(range(len(texts)))
    for later, own in enumerate(grams):
        for earlier in range(later):
            if overlap(own, grams[earlier]) >= THRESHOLD:
                old, new = sorted((cluster[later], cluster[earlier]), reverse=True)
                cluster = [new if number == old else number for number in cluster]
    numbers = {number: place for place, number in enumerate(dict.fromkeys(cluster))}
    return [numbers[number] for number in cluster]


def overlap(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    """Jaccard index of two sets of words and pairs; 1 if both are empty."""
    return len(a & b) / len(a | b) if a | b else 1.0


def _grams(text: str) -> frozenset[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return frozenset([*((word,) for word in words), *itertools.pairwise(words)])
