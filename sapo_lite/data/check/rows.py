"""Checks of single rows and of rows that repeat others."""

from collections.abc import Iterator

from sapo_lite.data.check.finding import Finding, Level, Subject
from sapo_lite.support.messages import quoted

# From this share of repeated rows on, a split is much smaller than its number of rows.
_MANY_REPEATED = 0.1


def empty_texts(subject: Subject) -> Iterator[Finding]:
    """Rows without an input, or without an answer."""
    for split in subject.splits:
        of = len(split.examples)
        inputs = sum(not example.input.strip() for example in split.examples)
        answers = sum(not example.answer.strip() for example in split.examples)
        if inputs:
            level: Level = "unusable" if inputs == of else "fault"
            text = f"{inputs} of {of} {split.name} inputs are empty"
            yield subject.found("empty input", level, text, split.name, rows=inputs, of=of)
        if answers:
            text = f"{answers} of {of} {split.name} answers are empty"
            yield subject.found("empty answer", "caution", text, split.name, rows=answers, of=of)


def repeated_inputs(subject: Subject) -> Iterator[Finding]:
    """Inputs that are in a split more than once."""
    for split in subject.splits:
        of, distinct = len(split.keys), len(set(split.keys))
        if distinct < of:
            level: Level = "fault" if of - distinct >= _MANY_REPEATED * of else "caution"
            text = f"{of} {split.name} rows hold {distinct} different inputs"
            yield subject.found("repeated input", level, text, split.name, rows=of - distinct, of=of)


def contradictions(subject: Subject) -> Iterator[Finding]:
    """Inputs that come with more than one label."""
    for split in subject.splits if subject.classes else ():
        answers: dict[str, set[str]] = {}
        for key, example in zip(split.keys, split.examples, strict=True):
            answers.setdefault(key, set()).add(example.answer.strip())
        unclear = [key for key, several in answers.items() if len(several) > 1]
        if unclear:
            text = (
                f"{len(unclear)} of {len(answers)} different {split.name} inputs come with more than one "
                f"answer, such as {quoted(unclear[0])}"
            )
            numbers = {"rows": len(unclear), "of": len(answers)}
            yield subject.found("contradiction", "fault", text, split.name, **numbers)
