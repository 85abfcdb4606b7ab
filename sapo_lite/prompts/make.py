"""Making of the pools: paraphrases of each task's instruction from the recipe's sources.

    pools = make_pools(tasks, recipe.paraphrase, SourceContext(progress))

A source only supplies texts; `gate` checks each of them and `pool` collects those that pass. One source after
another works through all tasks. Each is released before the next is opened, so that a GPU never holds two
models at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sapo_lite.prompts.pool import Pool, finished, original_alone, pool_from_json, pool_to_json, top_up
from sapo_lite.prompts.sources.openers import SourceContext, open_source
from sapo_lite.types import Task

if TYPE_CHECKING:
    from sapo_lite.prompts.progress import PromptProgress
    from sapo_lite.recipe import ParaphraseConfig
    from sapo_lite.support.progress import Meter

__all__ = ["Pool", "SourceContext", "make_pools", "original_alone", "pool_from_json", "pool_to_json"]


def make_pools(tasks: Sequence[Task], config: "ParaphraseConfig", context: SourceContext) -> list[Pool]:
    """The original and up to `config.wanted` paraphrases for each task.

    Answers of chat models are saved even if this fails, and reused the next time.

    Raises:
        ParaphraseError: a source cannot work, or a task has fewer than `config.minimum` paraphrases.
    """
    context = replace(context, tasks=len(tasks))
    pools = {task.id: original_alone(task) for task in tasks}
    # A task without an instruction has nothing to paraphrase.
    spoken = [task for task in tasks if task.instruction.strip() and config.wanted]
    if not spoken:
        return list(pools.values())
    context.progress.stage(f"paraphrasing with {', '.join(config.backend)}")
    with context.progress.work("paraphrases", len(spoken) * config.wanted, "paraphrases") as meter:
        for turn, name in enumerate(config.backend, start=1):
            last = turn == len(config.backend)
            with open_source(name, config, context) as source:
                for task in spoken:
                    pool = top_up(
                        pools[task.id],
                        task,
                        source,
                        name,
                        count=config.wanted * turn // len(config.backend),
                        attempts=config.attempts,
                        at_once=config.parallel if config.unlike else None,
                        gate=config.gate,
                        on_answer=_on_answer(task, pools[task.id], config.wanted, meter, context.progress),
                    )
                    pools[task.id] = finished(pool, task, config.wanted, config.minimum) if last else pool
                    if notice := pools[task.id].notice:
                        context.progress.notice(notice)
    return list(pools.values())


def _on_answer(
    task: Task, before: Pool, wanted: int, meter: "Meter", progress: "PromptProgress"
) -> Callable[[Pool], None]:
    """A callback that shows a task's pool after every answer."""
    accepted = len(before.texts)

    def on_answer(pool: Pool) -> None:
        nonlocal accepted
        meter.advance(len(pool.texts) - accepted, task.name)
        accepted = len(pool.texts)
        progress.pool(task.name, pool.candidates, pool.rejected, wanted)

    return on_answer
