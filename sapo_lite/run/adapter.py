"""The adapter of a run, and the self-check of the backbone with it before any work."""

from collections.abc import Mapping, Sequence
from functools import partial

from sapo_lite.errors import BackboneError
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.rank_gradients import learner
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.decoding import check_generation
from sapo_lite.model.ranks import Ranks
from sapo_lite.model.selfcheck import check_batches, check_packs, require_plain_logits
from sapo_lite.prompts.pool import Pool
from sapo_lite.recipe import Recipe
from sapo_lite.run.context import stage_seed
from sapo_lite.support.progress import Progress
from sapo_lite.types import Task, TrainingRow

# Number of a task's rows in the pack of the start-up self-check.
_FIRST = 64


def checked_adapter(
    recipe: Recipe,
    backbone: Backbone,
    tasks: Sequence[Task],
    pools: Mapping[str, Pool],
    progress: Progress,
) -> BlockAdapter:
    """Build the adapter of the recipe's method, and run the start-up self-check."""
    adapter = METHODS[recipe.adapter.method].build(
        backbone, recipe.adapter, tasks=len(tasks), checkpointing=recipe.training.gradient_checkpointing
    )
    # The check needs an open block: without one there are no gradients to compare.
    adapter.open_block(0, seed=stage_seed(recipe, 0))
    if backbone.unusual_targets:
        progress.notice(backbone.unusual_targets)
    _check(backbone, [_extreme_rows(backbone, task, pools[task.id]) for task in tasks], progress)
    if backbone.packs and backbone.dropout and recipe.training.pack == "auto" and not adapter.dropout:
        progress.notice(
            f"this model has dropout of its own ({backbone.dropout}): training uses padded batches, since "
            "the rows of a pack would share its masks"
        )
    return adapter


def share_work(ranks: Ranks, recipe: Recipe, backbone: Backbone, adapter: BlockAdapter) -> None:
    """Have the other ranks load the same backbone; from then on, it shares its work with them."""
    checkpointing = recipe.training.gradient_checkpointing
    ranks.open(
        partial(learner, backbone.config, recipe.adapter, blocks=adapter.blocks, checkpointing=checkpointing),
        backbone,
    )


def _extreme_rows(backbone: Backbone, task: Task, pool: Pool) -> list[EncodedRow]:
    """The shortest, the longest and the first rows of a task, all with its longest candidate."""
    by_length = sorted([*task.train, *task.test], key=lambda e: len(e.input) + len(e.answer))
    instruction = max((candidate.text for candidate in pool.candidates), key=len)
    examples = [*task.train[:_FIRST], by_length[0], by_length[-1]]
    rows = backbone.chat.encode(task, [TrainingRow(instruction, e.input, e.answer) for e in examples])
    return [row for row in rows if row.answer_ids]  # a cut on the right may have taken some answers


def _check(backbone: Backbone, rows: Sequence[Sequence[EncodedRow]], progress: Progress) -> None:
    """Compare packs, batches and generation with plain forward passes; notify if a slower way is used.

    rows: of each task

    Raises:
        BackboneError: a row has another loss in a batch than alone.
    """
    every = [row for own in rows for row in own]
    require_plain_logits(backbone, every)
    if difference := check_batches(backbone, every):
        raise BackboneError(
            f"{type(backbone.causal_lm).__name__} cannot be trained and tested in batches: a row's loss "
            f"changes with the rows beside it ({difference}). Lower model.max_source_tokens and "
            "model.max_answer_tokens until all rows are alike in this, or take another model."
        )
    longest = max(rows, key=lambda own: max(len(row.ids) for row in own))
    unpacked = check_packs(backbone, longest, gradients=True)
    slower = check_generation(backbone, [row.ids[: row.answer_start] for row in longest])
    for warning in (backbone.unused_weights, backbone.notice, unpacked, slower):
        if warning:
            progress.notice(warning)
