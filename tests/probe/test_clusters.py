"""Clusters of candidates: core phrases in the lab, near-duplicates elsewhere."""

import random

import pytest

from sapo_lite.lab.cores import core_of, cores_of
from sapo_lite.lab.wordings import PHRASINGS, original, worded, wordings
from sapo_lite.probe.clusters import clusters_of, near_duplicates


@pytest.mark.parametrize("task", sorted(PHRASINGS))
def test_the_core_phrase_of_a_lab_wording_is_recovered(task: str) -> None:
    cores = PHRASINGS[task].cores
    for core in range(len(cores)):
        for seed in range(40):
            text = worded(task, core, random.Random(seed))
            found = core_of(task, text)
            # "find {the winner of the vote}" is a core phrase of its own, too: the longer one is taken.
            assert found == core or len(cores[found or 0]) > len(cores[core])
    assert core_of(task, original(task)) == 0


def test_lab_wordings_are_clustered_by_their_core_phrases() -> None:
    texts = [original("oldest"), *wordings("oldest", 20, seed=0)]
    assert clusters_of(texts) == cores_of(texts) == [core_of("oldest", text) for text in texts]
    # Also where the original instruction is any other wording.
    assert clusters_of(texts[::-1]) == clusters_of(texts)[::-1]
    assert cores_of([*texts, "Who is the oldest?"]) is None


def test_wordings_that_share_their_words_are_one_cluster() -> None:
    texts = [
        "Classify the tweet as positive or negative.",
        "Please classify the tweet as positive or negative!",
        "Decide whether the author is in a good mood.",
        "PLEASE, classify this tweet as positive or negative.",
        "Does the writer feel well?",
    ]
    assert near_duplicates(texts) == [0, 0, 1, 0, 2]
    assert near_duplicates([]) == []


def test_a_chain_of_near_duplicates_is_one_cluster() -> None:
    words = "a b c d e f g h i j k l".split()
    chain = [" ".join(words[start : start + 8]) for start in (0, 2, 4)]
    assert near_duplicates(chain) == [0, 0, 0]
    assert near_duplicates([chain[0], chain[2]]) == [0, 1]
    assert near_duplicates([chain[0], chain[2], chain[1]]) == [0, 0, 0]


def test_chinese_wordings_are_compared_by_characters() -> None:
    texts = ["请判断这条推文的情感是正面还是负面。", "请判断这条推文的情感是正面或负面。", "作者的心情好吗？"]
    assert near_duplicates(texts) == [0, 0, 1]
