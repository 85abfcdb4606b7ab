"""What a paraphrase must be before it may compete: pure functions, and a reason for every refusal.

The released SAPO code lets empty answers, lost labels and duplicates into the pool, where they are
scored and can win.
"""

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

from sapo_lite.paraphrase.talk import answers_the_task, is_talk, placeholder
from sapo_lite.types import Task

# Share of word pairs that two texts have in common from which they are near-duplicates: one word of
# twenty changed gives 0.83, one of ten 0.69. Real paraphrases of one instruction have 0.4 at most.
NEAR_DUPLICATE = 0.8
# Length of a paraphrase over that of its original, in characters: below, conditions are lost; above,
# it is no paraphrase any more. Short originals may grow by a few sentences all the same.
SHORTEST, LONGEST = 0.1, 4.0
LEEWAY = 300

_HAN = "㐀-䶿一-鿿豈-﫿\U00020000-\U000323af"
_KANA = "぀-ヿ"
# A letter or digit of a script that separates words. Chinese does not: in 输出A the A is a word.
_WORD_CHARACTER = rf"[^\W{_HAN}{_KANA}]"
_LEFTOVER = re.compile(
    r"</?\s*(?:start|end|think|thinking|s)\s*>|<\|[^<>|]*\|>|\[/?INST\]|<<SYS>>", flags=re.IGNORECASE
)
# Words that hardly any English sentence of a dozen words does without, and other languages lack.
_ENGLISH = set("the of and to or is with for if that this which are from by as each what your".split())
_ENGLISH_LENGTH = 12
_ARTICLES = {"A", "a", "I"}


def reject_reason(text: str, task: Task, accepted: Sequence[str], *, generated: bool = True) -> str | None:
    """Why `text` cannot stand for the task's instruction, in a short phrase; None if it can.

    `accepted` are the paraphrases accepted so far, without the original. A text that is not
    `generated` was written by a person, or by a grammar: it may be long, short or much like another.
    """
    checks = (*_FOR_ALL, *_FOR_GENERATED) if generated else _FOR_ALL
    reasons = (check(text, task, accepted) for check in checks)
    return next((reason for reason in reasons if reason is not None), None)


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


def normalise(text: str) -> str:
    """The text without case, white space and punctuation: equal for texts that differ in these only."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "ZPC")


def overlap(one: str, other: str) -> float:
    """Share of the neighbouring words (in Chinese, characters) of two texts that both have, 0 to 1.

    Pairs rather than words: another order of the same words is another structure.
    """
    pairs, others = _pairs(one), _pairs(other)
    return (pairs & others).total() / (pairs | others).total()


def _unusable(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    if not normalise(text):
        return "empty"
    if any(_is_broken(character) for character in text):
        return "broken characters"
    return "markers or tags left over" if _LEFTOVER.search(text) else None


def _is_broken(character: str) -> bool:
    """Control characters, and U+FFFD, which stands for what could not be read."""
    control = unicodedata.category(character) == "Cc" and character not in "\n\t"
    return control or character == "\N{REPLACEMENT CHARACTER}"


def _other_language(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    """A rough look: by script, and for longer English texts by their small words."""
    if task.language == "zh":
        # A Chinese instruction may name English labels, and hardly anything else.
        enough = _share(text, f"[{_HAN}]") >= _share(task.instruction, f"[{_HAN}]") / 2
        return None if enough else "not in Chinese"
    foreign = r"(?![A-Za-zÀ-ɏ])[^\W\d_]"
    if _share(text, foreign) > _share(task.instruction, foreign) + 0.2:
        return "not in English"
    words = _words(text)
    told = len(words) < _ENGLISH_LENGTH or _ENGLISH.isdisjoint(_words(task.instruction))
    return None if told or not _ENGLISH.isdisjoint(words) else "not in English"


def _lost_label(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    for label in required_labels(task):
        if not _names(text, label):
            return f'label "{label}" {"altered" if _names_loosely(text, label) else "missing"}'
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


def _other_length(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    length, usual = len(text), len(task.instruction)
    if length < SHORTEST * usual:
        return "too short"
    return "too long" if length > LONGEST * usual + LEEWAY else None


def _beside_the_point(text: str, task: Task, accepted: Sequence[str]) -> str | None:
    if is_talk(text, task.instruction):
        return "talks about the paraphrase"
    if found := placeholder(text, task.instruction):
        return f"placeholder {found} left over"
    return "answers the task" if answers_the_task(text, task.labels) else None


_Check = Callable[[str, Task, Sequence[str]], str | None]
_FOR_ALL: tuple[_Check, ...] = (_unusable, _lost_label, _repetition)
_FOR_GENERATED: tuple[_Check, ...] = (_beside_the_point, _other_language, _other_length, _near_repetition)


def _is_within_scale(label: str, labels: Sequence[str]) -> bool:
    """Whether the whole numbers on both sides of this one are labels too."""
    return label.isdecimal() and str(int(label) - 1) in labels and str(int(label) + 1) in labels


def _names(text: str, label: str, flags: re.RegexFlag = re.NOFLAG) -> bool:
    """Whether the text holds the label as a whole word, letter for letter."""
    before = rf"(?<!{_WORD_CHARACTER})" if re.match(_WORD_CHARACTER, label[:1]) else ""
    after = rf"(?!{_WORD_CHARACTER})" if re.match(_WORD_CHARACTER, label[-1:]) else ""
    return re.search(before + re.escape(label) + after, text, flags) is not None


def _names_loosely(text: str, label: str) -> bool:
    """Whether the label is there in another case or width (right for RIGHT, full-width Ａ for A)."""
    return _names(unicodedata.normalize("NFKC", text), label, re.IGNORECASE)


def _words(text: str) -> list[str]:
    """Words in lower case; in Chinese, characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.findall(rf"[{_HAN}]|(?:(?![{_HAN}])\w)+", folded)


def _pairs(text: str) -> Counter[tuple[str, str]]:
    words = ["", *_words(text), ""]
    return Counter(itertools.pairwise(words))


def _share(text: str, kind: str) -> float:
    """Share of letters of a kind (a regular expression) among all letters."""
    letters = re.findall(r"[^\W\d_]", text)
    return len(re.findall(kind, text)) / max(1, len(letters))
