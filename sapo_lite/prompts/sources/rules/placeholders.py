"""Placeholders for text that no rule may change, while the rules are applied."""

import re
from collections.abc import Sequence
from itertools import groupby

_HAN = "㐀-鿿"
# No part that may be tried at many places of a text is without a limit: the time stays proportional to its
# length.
_UNCHANGED = (
    r"https?://\S+",
    r"(?<!\S)\(?[Aa1][.)]\s(?=.{0,2000}?(?<!\S)\(?[Bb2][.)]\s).*",  # options A. ... B. ..., to the end
    r"\n\s{0,99}(?:[-*+•·–—]|\w[.)、])\s{0,99}\S.*",  # a list, to the end
    r"`[^`]*`|`.*",
    r'"[^"]*"|".*|“[^”]*”|“.*|「[^」]{0,999}」|『[^』]{0,999}』|《[^》]{0,999}》|〈[^〉]{0,999}〉|<[^<>]*>',
    r"(?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w))+'(?!\w)|‘(?:[^’]|(?<=\w)’(?=\w)){0,999}’",
    r"\((?:[^()]|\([^()]*\))*\)|（[^（）]*）|\[[^\[\]]*\]|【[^【】]*】",  # or, if nested or unclosed,
    r"[({\[（【].*",
    r"(?:e\.g|i\.e|etc|vs|cf|approx)\.|(?:[A-Za-z]\.){2,}",  # full stops that do not end a sentence
    r"(?<![A-Za-z_])[A-Za-z_]*[\d_](?:[A-Za-z\d_]|[.,:/%-](?=\d))*%?",
    r"[:：].*",
    r"[\U000F0000-\U0010FFFF]+",  # a text with our placeholders in it
)
_PLACEHOLDER = re.compile(r"[\U000F0000-\U0010FFFF]")


def hide(text: str, labels: Sequence[str]) -> tuple[str, list[str]]:
    """The text with a placeholder for each passage that must not change, and these passages."""
    words = {word for label in labels for word in (label, *label.split())}
    # A one-letter option counts only in its own case: "a review" does not name option A.
    letters = label_pattern([w for w in words if len(w) == 1])
    longer = label_pattern([w for w in words if len(w) > 1], any_case=True)
    patterns = "|".join([*_UNCHANGED, letters.pattern, longer.pattern])
    spans: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        spans.append(match[0])
        return chr(0xF0000 + len(spans) - 1)

    return re.sub(patterns, placeholder, text, flags=re.DOTALL), spans


def show(text: str, spans: Sequence[str]) -> str:
    return _PLACEHOLDER.sub(lambda match: spans[ord(match[0]) - 0xF0000], text)


def label_pattern(labels: Sequence[str], *, any_case: bool = False) -> re.Pattern[str]:
    """Pattern of any label as a whole word (in Chinese, which has no spaces, as any characters)."""
    letter = rf"[^\W{_HAN}]"
    by_length = sorted(filter(None, labels), key=len, reverse=True)
    parts = []
    # Labels of one kind together: a class of characters beside each of them would be slow to compile.
    for (starts, ends), kind in groupby(
        by_length, lambda label: tuple(bool(re.match(letter, end)) for end in (label[0], label[-1]))
    ):
        words = "|".join(map(re.escape, kind))
        before, after = rf"(?<!{letter})" if starts else "", rf"(?!{letter})" if ends else ""
        parts.append(f"{before}(?{'i' * any_case}:{words}){after}")
    return re.compile("|".join(parts) or r"(?!)")
