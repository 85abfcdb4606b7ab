"""The pool of a task's candidates: collected from sources, and converted to and from JSON."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.chatter import without_talk
from sapo_lite.prompts.gate import reject_reason
from sapo_lite.prompts.wrapping import unwrapped
from sapo_lite.support.messages import quoted
from sapo_lite.support.strict_json import writable
from sapo_lite.types import Candidate, Task


@dataclass(frozen=True)
class Rejection:
    """A rejected text and the reason in a short phrase. The text is "" if the source gave none."""

    text: str
    reason: str


@dataclass(frozen=True)
class LastRejection(Rejection):
    """The final rejection of a source that can give no more answers, whatever the request."""


@dataclass(frozen=True)
class Pool:
    """Candidates of the task with id `task`; index 0 is the original.

    `rejected` holds every text that did not pass, in order of arrival. `notice` is set if there are fewer
    paraphrases than requested.
    """

    task: str
    candidates: tuple[Candidate, ...]
    rejected: tuple[Rejection, ...] = ()
    notice: str | None = None

    def split(self, held_out: int) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
        """The candidates to choose from, and the last `held_out` paraphrases, which are only for tests."""
        kept = max(1, len(self.candidates) - held_out)
        return self.candidates[:kept], self.candidates[kept:]

    @property
    def texts(self) -> list[str]:
        """The paraphrases, without the original."""
        return [candidate.text for candidate in self.candidates[1:]]


class Source(Protocol):
    """A source of paraphrases. `generated` means that a model wrote the texts, unchecked by a person."""

    generated: bool

    def answers(self, task: Task, numbers: range, taken: Sequence[str]) -> Iterator[str | Rejection]:
        """Yield the texts with these numbers (from 0 for every task), in order, each as soon as it is there.

        It ends early if there are no more. If the source itself knows that it failed to get a text, it yields
        the Rejection. `taken` are the paraphrases accepted before.

        Raises:
            ParaphraseError: the source cannot work at all.
        """
        ...


def original_alone(task: Task) -> Pool:
    """A pool with only the original. A task without an instruction keeps it."""
    return Pool(task.id, (Candidate(0, task.instruction, "original"),))


def top_up(
    pool: Pool,
    task: Task,
    source: Source,
    origin: str,
    *,
    count: int,
    attempts: int,
    at_once: int | None = None,
    gate: bool = True,
    on_answer: Callable[[Pool], None] = lambda pool: None,
) -> Pool:
    """Ask `source` until the pool has `count` paraphrases, or `attempts` times for each missing one.

    A rejected text is requested again. One request batch is never larger than the number of missing texts,
    nor than `at_once`. Without `gate`, every text is accepted as it is, and each that is still missing after
    all attempts is an empty one. `on_answer` gets the pool after every answer.
    """
    asked, limit = 0, attempts * (count - len(pool.texts))
    while asked < limit and (missing := count - len(pool.texts)):
        numbers = range(asked, min(asked + min(missing, at_once or missing), limit))
        asked = numbers.stop
        answers, more = 0, True
        for answer in source.answers(task, numbers, pool.texts):
            answers += 1
            more = more and not isinstance(answer, LastRejection)
            if gate:
                pool = _with(pool, task, answer, origin, source.generated)
            else:
                pool = _ungated(pool, answer, origin)
            on_answer(pool)
        if answers < len(numbers) or not more:
            break
    else:
        for _ in range(0 if gate else count - len(pool.texts)):
            pool = _ungated(pool, "", origin)
            on_answer(pool)
    return pool


def _with(pool: Pool, task: Task, answer: str | Rejection, origin: str, generated: bool) -> Pool:
    """The pool with one more candidate, or one more rejection."""
    if isinstance(answer, str):
        text = writable(answer.strip())
        if generated:
            text = unwrapped(without_talk(text, task.instruction), task.instruction)
        reason = reject_reason(text, task, pool.texts, generated=generated)
        if reason is None:
            candidate = Candidate(len(pool.candidates), text, origin)
            return replace(pool, candidates=(*pool.candidates, candidate))
        answer = Rejection(text, reason)
    return replace(pool, rejected=(*pool.rejected, Rejection(writable(answer.text), answer.reason)))


def _ungated(pool: Pool, answer: str | Rejection, origin: str) -> Pool:
    """The pool with one more candidate, the answer as it is; a call that failed is a rejection."""
    if isinstance(answer, Rejection):
        rejection = Rejection(writable(answer.text), answer.reason)
        return replace(pool, rejected=(*pool.rejected, rejection))
    candidate = Candidate(len(pool.candidates), writable(answer.strip()), origin)
    return replace(pool, candidates=(*pool.candidates, candidate))


def tally(rejected: Sequence[Rejection], most: int | None = None) -> str:
    """The `most` commonest reasons with their counts: "4 x too long, 2 x empty"."""
    counts = Counter(rejection.reason for rejection in rejected).most_common()
    shown = [f"{number} x {reason}" for reason, number in counts[:most]]
    return ", ".join([*shown, "..."] if len(shown) < len(counts) else shown)


def finished(pool: Pool, task: Task, count: int, minimum: int) -> Pool:
    """The pool, with a notice if it has fewer than `count` paraphrases, or empty ones.

    Raises:
        ParaphraseError: it has fewer than `minimum`.
    """
    accepted = len(pool.texts)
    if empty := pool.texts.count(""):
        pool = replace(
            pool,
            notice=f"{task.name}: {empty} of {accepted} paraphrases are empty (paraphrase.gate is false).",
        )
    if accepted >= count:
        return pool
    why = f"not accepted: {tally(pool.rejected)}" if pool.rejected else "the source had no more"
    notice = f"{task.name}: {accepted} of the {count} paraphrases asked for; {why}."
    if accepted >= minimum:
        return replace(pool, notice=notice)
    raise ParaphraseError(
        f"{notice} That is fewer than paraphrase.minimum = {minimum}. Choose another model or source, or "
        "train on the original wording alone with paraphrase.count = 0."
    )


def pool_to_json(pool: Pool) -> dict[str, Any]:
    """The pool as plain dicts and lists, the format of a run folder and of the `file` source."""
    return {
        "task": pool.task,
        "candidates": [asdict(candidate) for candidate in pool.candidates],
        "rejected": [asdict(rejection) for rejection in pool.rejected],
        "notice": pool.notice,
    }


def pool_from_json(data: Any, task: Task) -> Pool:
    """Inverse of `pool_to_json`. Candidates are numbered again, since a person may have edited the data.

    Raises:
        ParaphraseError: the data do not have this format, or belong to another task.
    """
    try:
        listed = _get(data, "candidates", list)
        texts = [(_get(entry, "text", str), _get(entry, "origin", str, "file")) for entry in listed]
        kept = _get(data, "rejected", list, [])
        rejected = tuple(Rejection(_get(e, "text", str), _get(e, "reason", str)) for e in kept)
        notice = _get(data, "notice", str | None)
    except TypeError as error:
        raise ParaphraseError(
            f'{task.name}: expected {{"task": ..., "candidates": [{{"text", "origin"}}, ...], '
            f'"rejected": [{{"text", "reason"}}, ...]}} as candidates; found {error}.'
        ) from None
    found = texts[0][0] if texts else None
    if found != task.instruction:
        raise ParaphraseError(
            f"{task.name}: expected the task's own instruction as first candidate; found {quoted(found)}."
        )
    others = (Candidate(number, *entry) for number, entry in enumerate(texts[1:], start=1))
    return Pool(task.id, (*original_alone(task).candidates, *others), rejected, notice)


def _get(data: Any, key: str, kind: Any, default: Any = None) -> Any:
    """`data[key]`. Raises TypeError, which names the type found, unless the value has the type `kind`."""
    if not isinstance(data, dict):
        raise TypeError(quoted(data))
    value = data.get(key, default)
    if not isinstance(value, kind):
        raise TypeError(f'{quoted(value)} as "{key}"')
    return writable(value) if isinstance(value, str) else value


def pools_to_text(pools: Sequence[Pool]) -> str:
    """The texts, one a line, the original first: a file of prompts for `sapo-lite score`.

    Line breaks within a text become spaces. Several tasks stand under their names.
    """
    blocks = [[" ".join(candidate.text.split()) for candidate in pool.candidates] for pool in pools]
    if len(pools) > 1:
        blocks = [[f"# {pool.task}", *block] for pool, block in zip(pools, blocks, strict=True)]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def candidates_file(pools: Sequence[Pool]) -> str:
    """The text of a candidates file, which `paraphrase.backend = "file"` and `sapo-lite score` read."""
    value = pool_to_json(pools[0]) if len(pools) == 1 else {"pools": [pool_to_json(pool) for pool in pools]}
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
