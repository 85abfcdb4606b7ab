"""What a paraphrase must be before it may compete: pure functions, and a reason for every refusal.

The released SAPO code lets empty answers, lost labels and duplicates into the pool, where they are
scored and can win.
"""

import re
import unicodedata
from collections.abc import Sequence

from sapo_lite.types import Task

_HAN = "㐀-䶿一-鿿豈-﫿\U00020000-\U000323af"
_KANA = "぀-ヿ"
# A letter or digit of a script that separates words. Chinese does not: in 输出A the A is a word.
_WORD_CHARACTER = rf"[^\W{_HAN}{_KANA}]"
_LEFTOVER = re.compile(r"</?\s*(?:start|end|think|thinking)\s*>|<\|[^<>|]*\|>", flags=re.IGNORECASE)
_ARTICLES = {"A", "a", "I"}


def reject_reason(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    """Why `text` cannot stand for the task's instruction, in a short phrase; None if it can.

    `accepted` are the paraphrases accepted so far, without the original.
    """
    plain = normalise(text)
    if not plain:
        return "empty"
    if "\N{REPLACEMENT CHARACTER}" in text:
        return "broken characters"
    if _LEFTOVER.search(text):
        return "markers or tags left over"
    if task.language == "zh" and not re.search(f"[{_HAN}]", text):
        return "not in Chinese"
    for label in required_labels(task):
        if not _names(text, label):
            return f'label "{label}" {"altered" if _names_loosely(text, label) else "missing"}'
    if plain == normalise(task.instruction):
        return "equal to the original"
    if plain in map(normalise, accepted):
        return "equal to another candidate"
    return None


def required_labels(task: Task) -> tuple[str, ...]:
    """The labels that the original instruction names itself: these a paraphrase must name too.

    The others are named by the suffix, which is never paraphrased. Of a scale of whole numbers the
    two ends are enough: "from 1 to 5" names 3 as well as "1, 2, 3, 4 or 5" does.
    """
    named = tuple(label for label in task.labels if _names(task.instruction, label))
    # "A text is given ...": an article alone, not the first of the options A, B and C.
    if _ARTICLES.issuperset(named):
        return ()
    return tuple(label for label in named if not _is_within_scale(label, named))


def _is_within_scale(label: str, labels: Sequence[str]) -> bool:
    """Whether the whole numbers on both sides of this one are labels too."""
    return label.isdecimal() and str(int(label) - 1) in labels and str(int(label) + 1) in labels


def normalise(text: str) -> str:
    """The text without case, white space and punctuation: equal for texts that differ in these only."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "ZPC")


def _names(text: str, label: str, flags: re.RegexFlag = re.NOFLAG) -> bool:
    """Whether the text holds the label as a whole word, letter for letter."""
    before = rf"(?<!{_WORD_CHARACTER})" if re.match(_WORD_CHARACTER, label[:1]) else ""
    after = rf"(?!{_WORD_CHARACTER})" if re.match(_WORD_CHARACTER, label[-1:]) else ""
    return re.search(before + re.escape(label) + after, text, flags) is not None


def _names_loosely(text: str, label: str) -> bool:
    """Whether the label is there in another case or width (right for RIGHT, full-width Ａ for A)."""
    return _names(unicodedata.normalize("NFKC", text), label, re.IGNORECASE)
