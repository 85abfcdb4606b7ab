"""Check of inputs that are cut to a model's budget of tokens, and of what is lost with the cut."""

import re
from collections.abc import Iterator, Sequence

from sapo_lite.data.check.finding import Finding, Subject
from sapo_lite.support.messages import quoted
from sapo_lite.types import Example

# Labels in at least this share of the whole inputs are options that the input lists.
_OPTION = 0.5


def cut_inputs(subject: Subject, fitted: Subject) -> Iterator[Finding]:
    """Inputs that are shorter in `fitted` than in `subject`, and labels or answers that are lost with it."""
    for whole, cut in zip(subject.splits, fitted.splits, strict=True):
        pairs = list(zip(whole.examples, cut.examples, strict=True))
        shorter = sum(before != after for before, after in pairs)
        if shorter:
            lost, numbers = _lost(subject.task.labels, pairs)
            text = f"{shorter} of {len(pairs)} {whole.name} inputs are cut at their end{lost}"
            counts = {"rows": shorter, "of": len(pairs), **numbers}
            yield subject.found("cut input", "fault" if lost else "caution", text, whole.name, **counts)


def _lost(labels: Sequence[str], pairs: Sequence[tuple[Example, Example]]) -> tuple[str, dict[str, float]]:
    """What the cut takes away, as the end of a sentence; empty if it is neither an option nor an answer."""
    if not labels:
        lost = sum(
            _holds(whole.input, whole.answer) > _holds(cut.input, whole.answer) for whole, cut in pairs
        )
        return (f"; {lost} of them lose their answer with it", {"answers_lost": lost}) if lost else ("", {})
    worst: tuple[float, str, int, int] | None = None
    for label in labels:
        before = sum(_holds(whole.input, label) for whole, _ in pairs)
        after = sum(_holds(cut.input, label) for _, cut in pairs)
        if after < before and before >= _OPTION * len(pairs):
            worst = min(worst or (1.0, label, before, after), (after / before, label, before, after))
    if worst is None:
        return "", {}
    _, label, before, after = worst
    return f"; {quoted(label)} is left in {after} of the {before} that had it", {"left": after, "had": before}


def _holds(text: str, answer: str) -> bool:
    """Whether a text has an answer as words of its own, in the same case: the option D is not in `Do`."""
    answer = answer.strip()
    return bool(answer) and re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text) is not None
