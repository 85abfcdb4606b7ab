"""Replay: one block for all tasks, trained on the new task's rows mixed with rows of earlier tasks."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from sapo_lite.learning.methods import replayed
from sapo_lite.model.batching import common_prefix
from sapo_lite.types import TrainingSet

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone
    from sapo_lite.recipe import AdapterConfig


def replay(
    backbone: "Backbone",
    config: "AdapterConfig",
    past: Sequence[TrainingSet],
    new: Sequence[TrainingSet],
    seed: int,
) -> list[TrainingSet]:
    """Rows of earlier tasks, drawn with the seed, with the instructions they were trained with.

    In all, there are `replay_share` times as many as new rows, or `replay_rows` for each earlier task (InsCL:
    200). `replay_by` divides them among the tasks; a task that has fewer rows than its part gives all, and
    the others give the rest.

    With `replay_by = "similarity"`, a task's share of the rows is proportional to its distance from the new
    task, so the most different tasks are replayed most. This is InsCL's dynamic replay (arXiv 2403.11435, and
    its released code): sizes proportional to the Wasserstein distance W_1 between instruction embeddings
    under the cosine distance. InsCL's tasks have many instructions each, ours have one, and between single
    points W_1 is their distance. Two things differ from InsCL. The embeddings are the backbone's (InsCL uses
    a sentence encoder). A task's rows are drawn uniformly: InsCL prefers some of a task's instructions, by
    tags from a chat model (InsInfo).
    """
    if not past:
        return []
    by_similarity = config.replay_by == "similarity"
    weights = distances(backbone, past, new) if by_similarity else [1.0] * len(past)
    available = [len(training_set.rows) for training_set in past]
    total = replayed(config, available, sum(len(training_set.rows) for training_set in new))
    sizes = divided(total, weights, available)
    return [
        replace(
            training_set, rows=random.Random(f"{seed}/{training_set.task.id}").sample(training_set.rows, size)
        )
        for training_set, size in zip(past, sizes, strict=True)
        if size
    ]


def divided(total: int, weights: Sequence[float], limits: Sequence[int]) -> list[int]:
    """Divide `total` (or all there is) into whole numbers in proportion to `weights`, none above its limit.

    Rounded by largest remainders; a tie goes to the earlier one. The rest above a limit is divided among the
    others. Shares are equal if all weights are zero.
    """
    total = min(total, sum(limits))
    if not total:
        return [0] * len(limits)
    weights = weights if any(weights) else [1.0] * len(weights)
    quotas = [total * weight / math.fsum(weights) for weight in weights]
    full = {n: limits[n] for n, quota in enumerate(quotas) if quota > limits[n]}
    if full:
        others = [n for n in range(len(limits)) if n not in full]
        left = total - sum(full.values())
        rest = iter(divided(left, [weights[n] for n in others], [limits[n] for n in others]))
        return [full[n] if n in full else next(rest) for n in range(len(limits))]
    sizes = [math.floor(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda n: (sizes[n] - quotas[n], n))
    for n in by_remainder[: total - sum(sizes)]:
        sizes[n] += 1
    return sizes


def distances(backbone: "Backbone", past: Sequence[TrainingSet], new: Sequence[TrainingSet]) -> list[float]:
    """Cosine distance, in [0, 2], of each past task's instruction from that of the new one."""
    (ours,) = (_embedding(backbone, _instruction(training_set)) for training_set in new)
    theirs = [_embedding(backbone, _instruction(training_set)) for training_set in past]
    # For vectors of length 1; exactly 0 for equal ones.
    return [float((ours - other).square().sum() / 2) for other in theirs]


def _instruction(training_set: TrainingSet) -> str:
    """The instruction on all rows; the original one if rows have different ones (prompt.hold_unit "rows")."""
    found = {row.instruction for row in training_set.rows}
    return found.pop() if len(found) == 1 else training_set.task.instruction


def _embedding(backbone: "Backbone", instruction: str) -> Tensor:
    """Embedding of an instruction, a vector of length 1: float64 [hidden size].

    The mean of the last hidden states at the instruction's tokens in a user turn, from the backbone without
    its LoRA, which never changes during a run. For an empty instruction, the mean over the whole turn.
    """
    ids, empty = backbone.chat.encode_turn(instruction), backbone.chat.encode_turn("")
    before, after = common_prefix([ids, empty]), common_prefix([ids[::-1], empty[::-1]])
    columns = torch.tensor(range(before, len(ids) - after) or range(len(ids)), device=backbone.device)
    fed = torch.tensor([ids], device=backbone.device)
    with backbone.inference(), backbone.model.disable_adapter():
        states = backbone.answer_states(fed, torch.zeros_like(columns), columns)
    return F.normalize(states.double().mean(0), dim=0)
