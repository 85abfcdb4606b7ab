"""Counts of a split: rows, answers, lengths."""

from collections.abc import Sequence
from dataclasses import dataclass

from sapo_lite.data.check.finding import Split, Subject


@dataclass(frozen=True)
class SplitFacts:
    """What there is in one split.

    distinct: number of different inputs
    classes: number of rows by label or, in a task without labels, by answer if there are few; empty for free
        answers
    tokens: length of the prompts in the model's tokens, by percentile ("50", "95", "100"); None if no
        model is named
    """

    split: str
    rows: int
    distinct: int
    classes: dict[str, int]
    tokens: dict[str, int] | None


def facts_of(subject: Subject, split: Split, lengths: Sequence[int] | None) -> SplitFacts:
    """Facts of a split. lengths: of its prompts, in tokens"""
    classes = {label: split.answers.get(label, 0) for label in subject.classes}
    tokens = None if lengths is None else {str(p): _percentile(lengths, p) for p in (50, 95, 100)}
    return SplitFacts(split.name, len(split.examples), len(set(split.keys)), classes, tokens)


def _percentile(lengths: Sequence[int], percent: int) -> int:
    """The smallest length that at least this share of the rows do not exceed."""
    ordered = sorted(lengths)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
