"""The `builtin` source: rewordings of any instruction by rules, without a model, offline and at once."""

from collections.abc import Iterator, Sequence
from itertools import islice

from sapo_lite.data.language_names import language_name
from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.sources.rules import rewordings
from sapo_lite.types import Task


class Builtin:
    """Rewordings of English and Chinese in an order drawn from `seed`, until the rules have no more."""

    generated = False

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def answers(self, task: Task, numbers: range, taken: Sequence[str]) -> Iterator[str]:
        if task.language not in ("en", "zh"):
            raise ParaphraseError(
                f'{task.name}: paraphrase.backend "builtin" rewords English and Chinese instructions, found '
                f"{language_name(task.language)} ({task.language}): name another source, such as ollama, or "
                "correct the task's language."
            )
        yield from islice(rewordings(task, self._seed), numbers.start, numbers.stop)
