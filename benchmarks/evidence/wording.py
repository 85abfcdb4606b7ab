"""Findings in sentences. A direction is named only where it is told apart from chance."""

import textwrap
from collections.abc import Iterator, Sequence

from benchmarks.evidence.analysis import BASELINE, KINDS, Compared, ProbeTest
from sapo_lite.compare.statistics import bounds
from sapo_lite.support.messages import many, number, p_value

_OUTCOMES = {
    "earlier": "scores of earlier tasks after training",
    "later": "scores of later tasks after training",
    "task": "the score of the task itself",
}
_LEVEL = 0.05


def about_probe(tests: Sequence[ProbeTest]) -> Iterator[str]:
    """A sentence for each test."""
    for test in tests:
        subject = f"Loss before training and {_OUTCOMES[test.what]}, {KINDS[test.kind]} wordings"
        if test.pooled is None or test.p is None:
            yield f"{subject}: nothing to correlate; one of them is the same for all prompts."
            continue
        value, groups = test.pooled.value, test.pooled.groups
        figures = (
            f"pooled rank correlation {number(value, sign=True)} over {many(groups, 'transition')} and "
            f"{test.pooled.pairs} prompts, Holm-corrected p {_is(test.p)}"
        )
        if test.p >= _LEVEL:
            verdict = "no relation that stands out from chance"
        else:
            verdict = f"prompts of lower loss ended with {'higher' if value < 0 else 'lower'} scores"
        yield f"{subject}: {verdict} ({figures})."


def _is(p: float) -> str:
    return p_value(p) if p < 0.0001 else f"= {p_value(p)}"


def about_sequences(found: Sequence[Compared]) -> Iterator[str]:
    """A sentence for each adapter, kind and metric that SAPO is about: sapo against the baseline."""
    for one in found:
        if one.strategy != "sapo" or one.metric == "fwt" or one.difference is None:
            continue
        yield sentence(one)


def sentence(one: Compared) -> str:
    """How one strategy compares with the baseline."""
    difference = one.difference
    assert difference is not None
    subject = f"{one.strategy} on {one.adapter}, {KINDS[one.kind]} wordings"
    metric = one.metric.upper()
    figures = (
        f"{number(difference.mean, 1, sign=True)} points, 95 % {bounds(difference)}, "
        f"higher in {one.higher} of {many(difference.n, 'seed')}"
    )
    if difference.low is None or difference.high is None:
        verdict = f"{metric} on a single seed, which tells nothing of others"
    elif difference.low > 0:
        verdict = f"{metric} above {BASELINE}"
    elif difference.high < 0:
        verdict = f"{metric} below {BASELINE}"
    else:
        verdict = f"{metric} not told apart from {BASELINE}"
    held = ""
    if one.p is not None and (difference.low or 0) * (difference.high or 0) > 0 and one.p >= _LEVEL:
        held = "; it does not hold after Holm's correction"
    return f"{subject}: {verdict} ({figures}{held})."


def wrapped(text: str) -> str:
    """Paragraphs and list items in lines of at most 110 characters; tables, code and images as they are."""
    blocks, code = [], False
    for block in text.split("\n\n"):
        if not code and block[:1].isalnum():
            block = textwrap.fill(block, 110, break_long_words=False, break_on_hyphens=False)
        elif not code and block.startswith("- "):
            block = "\n".join(_item(line) for line in block.splitlines())
        code ^= block.count("```") % 2 == 1
        blocks.append(block)
    return "\n\n".join(blocks)


def _item(line: str) -> str:
    return textwrap.fill(line, 110, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
