"""Checks of the answers: those that are no labels, and labels that nobody has."""

from collections import Counter
from collections.abc import Iterator

from sapo_lite.data.check.finding import Finding, Level, Subject
from sapo_lite.support.messages import many, nearest, quoted

_LISTED = 3  # answers that a finding names
# A label may be a typo of one that is so many times as frequent and as similar (rapidfuzz, 0 to 100).
_RARER = 10
_ALIKE = 85


def answers_outside_labels(subject: Subject) -> Iterator[Finding]:
    """Answers that are none of the labels, letter by letter."""
    labels = subject.task.labels
    for split in subject.splits if labels else ():
        others = {answer: rows for answer, rows in split.answers.items() if answer not in labels}
        if others:
            rows, of = sum(others.values()), len(split.examples)
            named = ", ".join(_named(answer, n, labels) for answer, n in list(others.items())[:_LISTED])
            more = f" and {len(others) - _LISTED} more" if len(others) > _LISTED else ""
            text = f"{rows} of {of} {split.name} answers are none of the labels: {named}{more}"
            yield subject.found("outside labels", "fault", text, split.name, rows=rows, of=of)


def _named(answer: str, rows: int, labels: tuple[str, ...]) -> str:
    like = nearest(answer.strip(), labels)
    return f"{quoted(answer)} ({many(rows, 'row')}{f', like {quoted(like[0])}' if like else ''})"


def labels_like_others(subject: Subject) -> Iterator[Finding]:
    """Rare labels that are a frequent one but for case, white space or a letter or two: likely typos."""
    from rapidfuzz.fuzz import ratio

    rows: Counter[str] = Counter()
    for split in subject.splits:
        for answer, count in split.answers.items():
            rows[answer.strip()] += count
    labels = {label: rows[label] for label in subject.classes if len(label) > 1}
    for rare, few in labels.items():
        for usual, often in labels.items():
            alike = rare.casefold() == usual.casefold() or ratio(rare, usual) >= _ALIKE
            if few and few * _RARER <= often and alike:
                text = f"label {quoted(rare)} ({many(few, 'row')}) may be a typo of {quoted(usual)} ({often})"
                yield subject.found("label like another", "fault", text, None, rows=few)


def labels_without_rows(subject: Subject) -> Iterator[Finding]:
    """Labels that are tested and not trained, or trained and not tested."""
    train, test = subject.split("train"), subject.split("test")
    for split, other in ((train, test), (test, train)):
        missing = [label for label in subject.classes if label not in split.answers]
        wanted = {label: other.answers[label] for label in missing if label in other.answers}
        if split.examples and wanted:
            named = ", ".join(quoted(label) for label in list(wanted)[:_LISTED])
            more = f" and {len(wanted) - _LISTED} more" if len(wanted) > _LISTED else ""
            rows, of = sum(wanted.values()), len(other.examples)
            text = (
                f"none of {many(len(split.examples), f'{split.name} example')} has the answer {named}{more}, "
                f"which {rows} of {of} {other.name} examples have"
            )
            level: Level = "fault" if split is train else "caution"
            yield subject.found("label without rows", level, text, split.name, rows=rows, of=of)


def one_answer(subject: Subject) -> Iterator[Finding]:
    """Splits in which all rows have the same answer."""
    for split in subject.splits:
        if len(split.answers) == 1 and len(split.examples) > 1:
            answer = quoted(next(iter(split.answers)))
            text = f"all {len(split.examples)} {split.name} answers are {answer}"
            yield subject.found("one answer", "fault", text, split.name, rows=len(split.examples))
