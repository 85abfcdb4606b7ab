"""How many lessons of a family a model answers right."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import torch

from sapo_lite.chat import ChatFormat, Encoded
from sapo_lite.lab.curriculum import encode
from sapo_lite.lab.family import Family
from sapo_lite.lab.mixture import lesson
from sapo_lite.packing import padded

_BATCH = 64


def accuracy_by_family(
    model: Any, chat: ChatFormat, families: Mapping[str, Family], count: int, seed: int
) -> dict[str, float]:
    """Share of `count` fresh lessons of each family that are answered exactly, by greedy decoding."""
    found = {}
    for name, family in families.items():
        rng = Random(f"accuracy/{name}/{seed}")
        answers = answered(model, encode(chat, [lesson(family, rng) for _ in range(count)]))
        found[name] = sum(answers) / count
    return found


@torch.no_grad()
def answered(model: Any, examples: Sequence[Encoded]) -> list[bool]:
    """Whether greedy decoding gives each example's answer.

    It does exactly if every token of the answer is the likeliest after those before it.
    """
    right = torch.ones(len(examples), dtype=torch.bool)
    order = sorted(range(len(examples)), key=lambda n: len(examples[n].ids))
    for start in range(0, len(order), _BATCH):
        batch = padded(examples, order[start : start + _BATCH])
        hidden = model.base_model(input_ids=batch.ids, use_cache=False).last_hidden_state
        likeliest = model.get_output_embeddings()(hidden[batch.rows, batch.columns]).argmax(-1)
        right[batch.owners[likeliest != batch.targets]] = False
    return right.tolist()
