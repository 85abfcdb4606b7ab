"""Languages of one script told apart by a library (py3langid), which is loaded at the first use."""

from collections.abc import Sequence
from functools import cache
from typing import Any

# Languages of each script that can be told apart, the most common first.
LATIN = tuple(
    """en es fr de pt id tr vi it pl nl ro cs sv hu fi da no sk hr sr bs tl ms ca gl et lt lv sl sq sw af az
    eu ga cy is mt""".split()
)
CYRILLIC = tuple("ru uk bg sr be mk kk ky mn tg tt".split())
ARABIC = tuple("ar fa ur ps ug".split())
DEVANAGARI = tuple("hi mr ne sa".split())

# Languages that a sentence or two may not tell apart.
_CLOSE = (
    "id ms",
    "es pt gl ca",
    "da no sv",
    "hr sr bs sl",
    "cs sk",
    "nl af",
    "tr az",
    "ru uk bg be mk sr",
    "hi mr ne",
)


def probabilities(text: str, languages: Sequence[str]) -> dict[str, float]:
    """Probability of each of the languages for a text that is in one of them."""
    found = dict(_identifier().rank(text))
    total = sum(found.get(language, 0.0) for language in languages) or 1.0
    return {language: found.get(language, 0.0) / total for language in languages}


def close_to(language: str) -> frozenset[str]:
    """The language and those that are hard to tell from it."""
    return frozenset([language]).union(*(group.split() for group in _CLOSE if language in group.split()))


def most_likely(text: str, languages: Sequence[str]) -> tuple[str, float]:
    """The likeliest language, and the probability that it is this one or one that is close to it.

    Of close languages the first of `languages` is taken, unless another one is twice as likely.
    """
    found = probabilities(text, languages)
    best = max(found, key=found.__getitem__)
    close = close_to(best)
    chosen = next(one for one in languages if one in close and 2 * found[one] >= found[best])
    return chosen, sum(found[one] for one in languages if one in close)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
