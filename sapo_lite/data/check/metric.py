"""Check of a task's metric: answers that it does not see, labels that it takes for one another."""

from collections.abc import Callable, Iterator
from itertools import islice, permutations

from sapo_lite.data.check.finding import Finding, Level, Subject
from sapo_lite.support.messages import quoted

# (prediction, reference) -> score in [0, 1], as the task's metric gives it.
Score = Callable[[str, str], float]

_MOST_LABELS = 30  # that are compared with one another
_LISTED = 3
_RIGHT = 0.999  # scores are sums of floats


def what_the_metric_sees(
    subject: Subject, score: Score, answers_at_most: int | None = None
) -> Iterator[Finding]:
    """Answers whose score with themselves is not full, and different labels whose score is.

    answers_at_most: number of free test answers that are looked at; None for all
    """
    yield from _unseen(subject, score, answers_at_most)
    yield from _confused(subject, score)


def _unseen(subject: Subject, score: Score, at_most: int | None) -> Iterator[Finding]:
    answers = list(subject.classes or islice(subject.split("test").answers, at_most))
    unseen = [answer for answer in answers if score(answer, answer) < _RIGHT]
    if unseen:
        which = "labels" if subject.classes else "different test answers"
        text = (
            f"{len(unseen)} of {len(answers)} {which} score less than full marks when they are right "
            f"({subject.task.metric}): {_listed(unseen)}"
        )
        level: Level = "unusable" if len(unseen) == len(answers) else "fault"
        yield subject.found("unseen by the metric", level, text, answers=len(unseen), of=len(answers))


def _confused(subject: Subject, score: Score) -> Iterator[Finding]:
    pairs = [
        tuple(sorted(pair))
        for pair in permutations(subject.classes[:_MOST_LABELS], 2)
        if pair[0].strip() != pair[1].strip() and score(*pair) >= _RIGHT
    ]
    distinct = list(dict.fromkeys(pairs))
    if distinct:
        named = "; ".join(f"{quoted(one)} and {quoted(other)}" for one, other in distinct[:_LISTED])
        more = f" and {len(distinct) - _LISTED} more pairs" if len(distinct) > _LISTED else ""
        text = f"labels are one and the same to the metric ({subject.task.metric}): {named}{more}"
        yield subject.found("confused by the metric", "fault", text, pairs=len(distinct))


def _listed(texts: list[str]) -> str:
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return ", ".join(map(quoted, texts[:_LISTED])) + more
