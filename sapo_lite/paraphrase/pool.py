"""The candidates of one task: collected from a backend, and as the JSON a run folder keeps."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from sapo_lite.errors import ParaphraseError
from sapo_lite.paraphrase.gate import reject_reason
from sapo_lite.types import Candidate, Task


@dataclass(frozen=True)
class Rejection:
    """A text that is no candidate, and the reason in a short phrase. No answer at all has text ""."""

    text: str
    reason: str


# A backend, as the pool sees it: raw texts on demand, endless or not. Where it knows by itself that
# it has failed to get a text, it yields the Rejection.
Supply = Callable[[Task], Iterator[str | Rejection]]


@dataclass(frozen=True)
class Pool:
    """Candidates of the task with id `task`; index 0 is the original. `notice` is set if some are short."""

    task: str
    candidates: tuple[Candidate, ...]
    rejected: tuple[Rejection, ...] = ()
    notice: str | None = None


def fill_pool(
    task: Task,
    answers: Iterable[str | Rejection],
    *,
    origin: str,
    count: int,
    attempts: int,
    on_candidate: Callable[[Candidate], None],
) -> Pool:
    """Take answers until `count` paraphrases passed the gate, at most `count * attempts` of them.

    A task without instruction has nothing to paraphrase: it gets the original alone, and no answer
    is asked for. Raises ParaphraseError if `count > 0` and nothing was accepted.
    """
    candidates = [Candidate(0, task.instruction, "original")]
    on_candidate(candidates[0])
    if not task.instruction.strip() or count == 0:
        return Pool(task.id, tuple(candidates))

    rejected: list[Rejection] = []
    for answer in islice(answers, count * attempts):
        verdict = _judge(answer, task, [candidate.text for candidate in candidates[1:]])
        if isinstance(verdict, Rejection):
            rejected.append(verdict)
            continue
        candidates.append(Candidate(len(candidates), verdict, origin))
        on_candidate(candidates[-1])
        if len(candidates) > count:
            break
    accepted = len(candidates) - 1
    if accepted == 0:
        raise ParaphraseError(
            f"{task.short_id}: none of the {count} paraphrases asked for was accepted; {_why(rejected)}. "
            "Choose another paraphrase.model or paraphrase.backend, or train on the original wording "
            "alone with paraphrase.count = 0."
        )
    short = f"{task.short_id}: {accepted} of the {count} paraphrases asked for; {_why(rejected)}."
    return Pool(task.id, tuple(candidates), tuple(rejected), short if accepted < count else None)


def _judge(answer: str | Rejection, task: Task, accepted: Sequence[str]) -> str | Rejection:
    """The text to accept, or why it is rejected."""
    if isinstance(answer, Rejection):
        return answer
    # JSON can carry half a surrogate pair, which no file can: U+FFFD stands in, and the gate sees it.
    text = answer.strip().encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    reason = reject_reason(text, task, accepted)
    return text if reason is None else Rejection(text, reason)


def _why(rejected: Sequence[Rejection]) -> str:
    """`not accepted: 3 x empty, 1 x label "A" missing`."""
    if not rejected:
        return "the source had no more"
    counts = Counter(rejection.reason for rejection in rejected).most_common()
    return "not accepted: " + ", ".join(f"{count} x {reason}" for reason, count in counts)


def pool_to_json(pool: Pool) -> dict[str, Any]:
    """The pool as plain dicts and lists: what a run folder keeps, and the `file` backend reads."""
    return {
        "task": pool.task,
        "candidates": [asdict(candidate) for candidate in pool.candidates],
        "rejected": [asdict(rejection) for rejection in pool.rejected],
        "notice": pool.notice,
    }


def pool_from_json(data: dict[str, Any]) -> Pool:
    """Inverse of `pool_to_json`. Raises ParaphraseError if the data (edited by hand, say) does not fit."""
    try:
        pool = Pool(
            task=data["task"],
            candidates=tuple(Candidate(**candidate) for candidate in data["candidates"]),
            rejected=tuple(Rejection(**rejection) for rejection in data.get("rejected", [])),
            notice=data.get("notice"),
        )
    except (KeyError, TypeError) as error:
        raise ParaphraseError(
            'A candidates file holds {"task": ..., "candidates": [{"index", "text", "origin"}, ...], '
            f'"rejected": [{{"text", "reason"}}, ...]}}; this one does not ({error}).'
        ) from None
    indices = [candidate.index for candidate in pool.candidates]
    if not indices or indices != list(range(len(indices))):
        raise ParaphraseError(
            f"Candidates of {pool.task} must be numbered 0, 1, 2, ... in order, the original first; "
            f"found {indices}."
        )
    return pool
