"""Accuracy of a model on examples of the families."""

from collections.abc import Mapping, Sequence
from random import Random

import torch

from pretraining.curriculum import encode
from pretraining.family import Family
from pretraining.mixture import pretrain_example
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import padded
from sapo_lite.model.chat import EncodedRow

_BATCH = 64


def accuracy_by_family(
    backbone: Backbone, families: Mapping[str, Family], count: int, seed: int
) -> dict[str, float]:
    """Share of `count` fresh examples of each family that are answered exactly, by greedy decoding."""
    found = {}
    for name, family in families.items():
        rng = Random(f"accuracy/{name}/{seed}")
        examples = [pretrain_example(family, rng) for _ in range(count)]
        answers = answered(backbone, encode(backbone.chat, examples))
        found[name] = sum(answers) / count
    return found


def answered(backbone: Backbone, examples: Sequence[EncodedRow]) -> list[bool]:
    """Whether greedy decoding gives each example's answer.

    That is so if and only if every answer token is the most likely one after the tokens before it.
    """
    right = torch.ones(len(examples), dtype=torch.bool)
    order = sorted(range(len(examples)), key=lambda n: len(examples[n].ids))
    for start in range(0, len(order), _BATCH):
        batch = padded(examples, order[start : start + _BATCH])
        with backbone.inference():
            states = backbone.answer_states(batch.ids, batch.rows, batch.columns)
            likeliest = backbone.head(states).argmax(-1)
        right[batch.owners[likeliest != batch.targets]] = False
    return right.tolist()
