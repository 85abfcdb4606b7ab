"""Other wordings of a task's instruction: where they come from, and which of them may be used.

    with Paraphraser(config, seed=0, notify=print) as paraphraser:
        pools = [paraphraser.candidates(task, on_candidate) for task in tasks]
    # here an Ollama model has left the memory: the backbone can be loaded

A backend only supplies texts; `gate.py` judges every one of them and `pool.py` collects what passes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from sapo_lite.errors import ParaphraseError
from sapo_lite.paraphrase.pool import Pool, Rejection, Supply, fill_pool, pool_from_json, pool_to_json
from sapo_lite.types import Candidate, Task

if TYPE_CHECKING:
    from sapo_lite.recipe import ParaphraseConfig

__all__ = ["Paraphraser", "Pool", "Rejection", "make_candidates", "pool_from_json", "pool_to_json"]

Notify = Callable[[str], None]


class Paraphraser:
    """The recipe's backend, from the first task that needs it to the end of the `with` block.

    The backend is opened (health check) at the first task with something to paraphrase, so a resumed
    run whose candidates are all saved needs no server. At the end it is released: an Ollama model
    is unloaded, and `notify` hears of it (a sentence for the user) if that failed. `path` is the
    file of the `file` backend, if not the recipe's own.
    """

    def __init__(
        self,
        config: ParaphraseConfig,
        *,
        seed: int,
        path: Path | None = None,
        notify: Notify = lambda notice: None,
    ) -> None:
        self._config = config
        self._connect = partial(BACKENDS[config.backend], config, seed, path, notify)
        self._lifetime = ExitStack()
        self._supply: Supply | None = None

    def __enter__(self) -> Paraphraser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lifetime.__exit__(kind, error, traceback)

    def candidates(self, task: Task, on_candidate: Callable[[Candidate], None]) -> Pool:
        """The original and up to `config.count` paraphrases; `on_candidate` sees each as it is accepted.

        Raises ParaphraseError if the backend cannot work, or if not one paraphrase was accepted.
        """

        def answers() -> Iterator[str | Rejection]:
            if self._supply is None:
                self._supply = self._lifetime.enter_context(self._connect())
            yield from self._supply(task)

        config = self._config
        return fill_pool(
            task,
            answers(),
            origin=config.backend,
            count=config.count,
            attempts=config.attempts,
            on_candidate=on_candidate,
        )


def make_candidates(
    task: Task,
    config: ParaphraseConfig,
    *,
    seed: int,
    path: Path | None,
    on_candidate: Callable[[Candidate], None],
    notify: Notify = lambda notice: None,
) -> Pool:
    """The candidates of a single task: a `Paraphraser` opened, used once and released."""
    with Paraphraser(config, seed=seed, path=path, notify=notify) as paraphraser:
        return paraphraser.candidates(task, on_candidate)


def _builtin(
    config: ParaphraseConfig, seed: int, path: Path | None, notify: Notify
) -> AbstractContextManager[Supply]:
    """The lab's wording grammar."""
    from sapo_lite.paraphrase.builtin import paraphrase_builtin

    def supply(task: Task) -> Iterator[str]:
        yield from paraphrase_builtin(task, config.count, seed)
        # A longer list begins with the shorter one, so only its last wording is new.
        for count in itertools.count(config.count + 1):
            try:
                *_, wording = paraphrase_builtin(task, count, seed)
            except ParaphraseError:
                return  # the grammar is exhausted
            yield wording

    return nullcontext(supply)


def _file(
    config: ParaphraseConfig, seed: int, path: Path | None, notify: Notify
) -> AbstractContextManager[Supply]:
    """Paraphrases that the user wrote, or that another run saved."""
    from sapo_lite.paraphrase.file import read_paraphrases

    source = path or config.candidates_file()
    return nullcontext(lambda task: iter(read_paraphrases(source, task)))


def _ollama(
    config: ParaphraseConfig, seed: int, path: Path | None, notify: Notify
) -> AbstractContextManager[Supply]:
    """A chat model on an Ollama server."""
    from sapo_lite.paraphrase.ollama import ollama_supply

    return ollama_supply(config, seed, notify)


Backend = Callable[["ParaphraseConfig", int, Path | None, Notify], AbstractContextManager[Supply]]
BACKENDS: dict[str, Backend] = {"builtin": _builtin, "file": _file, "ollama": _ollama}
