"""The gate: conditions on a paraphrase, as pure functions that give a reason for every rejection.

The released SAPO code accepts empty answers, lost labels and duplicates, which are then scored and can win.
"""

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

from sapo_lite.data.foreign import foreign_to
from sapo_lite.data.language import words_of
from sapo_lite.data.scripts import HAN, KANA
from sapo_lite.prompts.chatter import answers_the_task, is_refusal, is_talk, placeholder
from sapo_lite.prompts.label_lists import other_answer
from sapo_lite.prompts.surroundings import (
    alternatives,
    gives_an_example,
    left_over,
    prefix,
    repeats_the_request,
)
from sapo_lite.types import Task

# Texts with at least this share of common word pairs are near-duplicates: two changed words of thirty give
# 0.76, one of ten gives 0.69. Good paraphrases of one instruction have 0.5 at most.
NEAR_DUPLICATE = 0.7
# Limits of length(paraphrase) / length(original), in characters: below, conditions are lost; above, it is not
# a paraphrase any more. Short originals may still grow by a few sentences.
SHORTEST, LONGEST = 0.1, 4.0
LEEWAY = 300
# Least share of different runs of three words, in a text with so many runs: loops of a small model have 0.65
# at most, good paraphrases 0.8 at least.
VARIETY, FEW_RUNS = 0.7, 20

# A letter or digit of a script that separates words (or an accent on one). Chinese does not: in 输出A
# the A is a word.
_WORD_CHARACTER = rf"(?:[\u0300-\u036f]|[^\W{HAN}{KANA}])"
# Remains of our markers, of thinking, and of chat templates: a model reads them as text or as special tokens.
_LEFTOVER = re.compile(
    r"</?\s?(?:start|end|thinking|think|thought|reasoning|reflection|tool_\w{1,20}|(?:start|end)_of_turn)\s?/?>"
    r"|</\s?(?:start|end|think)\b|</?(?:s|bos|eos|pad|unk)>|<\|[^<>|]{0,40}\|>|<</?SYS>>|◁/?think▷"
    r"|\[/?(?:INST|START|END|THINK)\]",
    flags=re.IGNORECASE,
)
# A range of whole numbers: "1-5", "from 1 to 5", "between 1 and 5".
_RANGE = re.compile(
    rf"(?:\b(between)\s)?(?<!{_WORD_CHARACTER})(?<!\.)(\d{{1,4}})\s?"
    r"(?:[-–—~～…]|\.{2,3}|to|through|till|bis|à|hasta|до|至|到|から|(?(1)and|(?!)))"
    rf"\s?(\d{{1,4}})(?!{_WORD_CHARACTER})",
    flags=re.IGNORECASE,
)
# Labels that count only beside other labels: "A text is given ..." does not name the first of A, B and C.
_ORDINARY = frozenset(["A", "a", "I", "no", "No", "not", "none", "other", "是", "对", "有", "不"])


def reject_reason(text: str, task: Task, accepted: Sequence[str], *, generated: bool = True) -> str | None:
    """The reason, in a short phrase, why `text` cannot replace the task's instruction; None if it can.

    `accepted` are the paraphrases accepted so far, without the original. A text that is not `generated` comes
    from a person or a grammar: it may be long, short or similar to another one.
    """
    checks = (*_FOR_ALL, *_FOR_GENERATED) if generated else _FOR_ALL
    reasons = (check(text, task, accepted) for check in checks)
    return next((reason for reason in reasons if reason is not None), None)


def required_labels(task: Task) -> tuple[str, ...]:
    """The labels that the original instruction names: a paraphrase must name them too.

    The other labels are named by the suffix, which is never paraphrased. Of a range that the instruction
    states, the two ends are enough: "from 1 to 5" includes 3.
    """
    named = _named(task.instruction, task.labels)
    if _ORDINARY.issuperset(named):
        return ()
    ranges = [(int(ends[2]), int(ends[3])) for ends in _RANGE.finditer(task.instruction)]
    return tuple(label for label in named if not _is_within(label, ranges))


@lru_cache(maxsize=8192)  # every new text is compared with all accepted ones
def normalise(text: str) -> str:
    """The text without case, white space and punctuation, for the comparison of texts."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "ZPC")


def overlap(one: str, other: str) -> float:
    """Share of pairs of neighbouring words (in Chinese, characters) that two texts have in common, 0 to 1.

    Pairs and not single words: another order of the same words is another structure.
    """
    pairs, others = _pairs(one), _pairs(other)
    return (pairs & others).total() / (pairs | others).total()


def _unusable(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    if not normalise(text):
        return "empty"
    if any(_is_broken(character) for character in set(text).difference(task.instruction)):
        return "broken characters"
    plain, original = (unicodedata.normalize("NFKC", one) for one in (text, task.instruction))
    leftover = any(found[0] not in original for found in _LEFTOVER.finditer(plain))
    return "markers or tags left over" if leftover else None


def _is_broken(character: str) -> bool:
    """Whether it is a control character, half a surrogate pair, or U+FFFD (an unreadable character)."""
    control = unicodedata.category(character) in ("Cc", "Cs") and character not in "\r\n\t"
    return control or character == "\N{REPLACEMENT CHARACTER}"


def _lost_label(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    for label in required_labels(task):
        if not _names(text, label, task.labels):
            altered = _names_loosely(text, label, task.labels)
            return f'label "{label}" {"altered" if altered else "missing"}'
    return None


def _repetition(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    plain = normalise(text)
    if plain == normalise(task.instruction):
        return "equal to the original"
    return "equal to another candidate" if plain in map(normalise, accepted) else None


def _near_repetition(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    if overlap(text, task.instruction) > NEAR_DUPLICATE:
        return "nearly equal to the original"
    near = any(overlap(text, other) > NEAR_DUPLICATE for other in accepted)
    return "nearly equal to another candidate" if near else None


def _other_language(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    return foreign_to(text, task)


def _other_length(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    length, usual = len(text), len(task.instruction)
    if length < SHORTEST * usual:
        return "too short"
    return "too long" if length > LONGEST * usual + LEEWAY else None


def _beside_the_point(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    if is_talk(text, task.instruction):
        return "talks about the paraphrase"
    if is_refusal(text):
        return "refuses"
    if found := placeholder(text, task.instruction, task.labels):
        return f"placeholder {found} left over"
    # If the task names no labels, a text that names exactly one has chosen an answer. This does not hold for
    # a number ("out of 5") or an article.
    named = () if required_labels(task) else _named(text, task.labels)
    chosen = len(named) == 1 < len(task.labels) and not (named[0].isdecimal() or named[0] in _ORDINARY)
    answer = chosen or answers_the_task(text, task.labels)
    return "answers the task" if answer else None


def _loop(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    """A model that has lost its way says the same again and again."""
    return "repeats itself" if _variety(text) < min(VARIETY, _variety(task.instruction)) else None


def _variety(text: str) -> float:
    """Share of different ones among the runs of three words (in Chinese, characters); 1 for a short text."""
    words = words_of(text)
    runs = list(zip(words, words[1:], words[2:], strict=False))
    return len(set(runs)) / len(runs) if len(runs) >= FEW_RUNS else 1.0


def _surrounded(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    original, labels = task.instruction, task.labels
    if found := left_over(text, original):
        return f"wrapping {found} left over"
    if found := prefix(text, original, labels):
        return f'begins with "{found}"'
    if repeats_the_request(text, original):
        return "repeats words of the request"
    if _are_several(alternatives(text), task):
        return "several texts"
    if gives_an_example(text, original, labels):
        return "gives an example"
    if found := other_answer(text, labels, original):
        return f'names another answer, "{found}"'
    return None


def _are_several(parts: Sequence[str], task: Task) -> bool:
    """Whether each part could be the paraphrase: names all labels, or nearly all words of the original."""
    if len(parts) < 2:
        return False
    if required := required_labels(task):
        return all(_names(part, label, task.labels) for part in parts for label in required)
    content = {word[:5] for word in words_of(task.instruction) if len(word) > 3}
    return bool(content) and all(
        len(content.intersection(word[:5] for word in words_of(part))) > 0.6 * len(content) for part in parts
    )


_Check = Callable[[str, Task, Sequence[str]], str | None]
_FOR_ALL: tuple[_Check, ...] = (_unusable, _lost_label, _repetition)
_FOR_GENERATED: tuple[_Check, ...] = (
    _beside_the_point,
    _surrounded,
    _loop,
    _other_language,
    _other_length,
    _near_repetition,
)


def _is_within(label: str, ranges: Sequence[tuple[int, int]]) -> bool:
    """Whether the label is a whole number between the ends of a range."""
    return label.isdecimal() and any(min(ends) < int(label) < max(ends) for ends in ranges)


@lru_cache(maxsize=64)  # asked for the original instruction with every new text
def _named(text: str, labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(label for label in labels if _names(text, label, labels))


def _names(text: str, label: str, labels: tuple[str, ...], flags: re.RegexFlag = re.NOFLAG) -> bool:
    """Whether the text has the label as a whole word in its exact case, outside longer labels.

    "not entailment" does not name "entailment".
    """
    plain = text.casefold()
    if label.casefold() not in plain:
        return False
    for longer in _longer(label, labels):
        if longer.casefold() in plain:
            text = _whole(longer, flags).sub(" ", text)
    return _whole(label, flags).search(text) is not None


@lru_cache(maxsize=8192)
def _longer(label: str, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels that the label is a part of."""
    return tuple(longer for longer in labels if label != longer and label in longer)


@lru_cache(maxsize=8192)  # `re` keeps 512: fewer than some tasks have labels
def _whole(label: str, flags: re.RegexFlag) -> re.Pattern[str]:
    """Regular expression for the label as a whole word."""
    plain = re.escape(label)
    # What stands before it is looked at afterwards: `re` searches a pattern fast that begins with plain text.
    before = rf"(?<!{_WORD_CHARACTER}{plain})" if re.match(_WORD_CHARACTER, label[:1]) else ""
    after = rf"(?!{_WORD_CHARACTER})" if re.match(_WORD_CHARACTER, label[-1:]) else ""
    return re.compile(plain + before + after, flags)


def _names_loosely(text: str, label: str, labels: tuple[str, ...]) -> bool:
    """Whether the text has the label in another case or width (right for RIGHT, full-width Ａ for A)."""
    return _names(unicodedata.normalize("NFKC", text), label, labels, re.IGNORECASE)


def _pairs(text: str) -> Counter[tuple[str, str]]:
    words = ["", *words_of(text), ""]
    return Counter(itertools.pairwise(words))
