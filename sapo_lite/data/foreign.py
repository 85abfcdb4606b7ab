"""Whether a paraphrase is in the language of its task."""

import re
from collections.abc import Iterable, Set

from sapo_lite.data.detection import ARABIC, CYRILLIC, DEVANAGARI, LATIN, close_to, probabilities
from sapo_lite.data.language import words_of
from sapo_lite.data.language_names import language_name
from sapo_lite.data.scripts import HAN, KANA, scripts
from sapo_lite.types import Task

_ACCENTED = "[À-ÖØ-öø-ɏ]"
_NOT_LATIN = r"(?![A-Za-zÀ-ɏ])[^\W\d_]"
# Function words of English, and of other languages in Latin script. Language codes (de, en) and words that
# English has too are in neither.
_ENGLISH = frozenset(
    """a an the of and to or is are be was it its you your i if for that this these which with from by as at
    what how each do does has have not than then""".split()
)
_FOREIGN = frozenset(
    """der das den dem und oder ist sind nicht ein eine einen einer eines mit für auf von zu zum zur sie ob
    wenn dass aus bei nach bitte folgenden folgende le la les des du une et ou est dans que qui sur avec
    cette votre vous sont suivant suivante el los las una del por para su como siguiente il lo gli
    che di è della uma não het een voor niet yang untuk dengan adalah""".split()
)
# More small words of English. A text without any, and with other words of two letters, is not English.
_SMALL = _ENGLISH.union(
    """in out on up no so one who whose where when why there here he she they we me my us our them his her but
    all any both can could should would will may must go am vs ok eg ie""".split()
)

# A text is in another language if the task's own has no more than this probability, from so many letters on.
# In tests/data/test_language.py the least probable good paraphrase has 0.24.
_UNLIKELY, _LETTERS = 0.02, 15
_FEWER = 10  # letters of a text without any small word of English
# Likewise for a text with two small words of English that the original, in another language, does not have.
_UNLIKELY_ENGLISH = 0.3
_GROUPS = (LATIN, CYRILLIC, ARABIC, DEVANAGARI)


def foreign_to(text: str, task: Task) -> str | None:
    """The reason why the text is not in the task's language; None if it seems to be.

    The text may have as much of another script or language as the original.
    """
    original = task.instruction
    if task.language != "en":  # a Chinese instruction may name English labels
        for label in task.labels:
            text = text.replace(label, "")
    match task.language:
        case "en":
            same = _is_english(text, task)
        case "zh":
            same = _is_chinese(text, original)
        case _:
            english = len(_ENGLISH.intersection(words_of(text)).difference(words_of(original))) > 1
            limits = (_UNLIKELY_ENGLISH, _FEWER) if english else (_UNLIKELY, _LETTERS)
            same = _is_in_script(text, original) and not _is_unlikely(text, task, *limits)
    return None if same else f"not in {language_name(task.language)}"


def _is_chinese(text: str, original: str) -> bool:
    japanese = _share(text, f"[{KANA}]") > _share(original, f"[{KANA}]") + 0.1
    return not japanese and _share(text, f"[{HAN}]") >= _share(original, f"[{HAN}]") / 2


def _is_in_script(text: str, original: str) -> bool:
    """Whether the text has enough of the original's main script; Japanese needs kana beside ideographs."""
    shares, usual = scripts(text), scripts(original)
    if usual.get("KANA", 0.0) >= 0.1:
        return shares.get("KANA", 0.0) >= 0.1 or len(text) < _LETTERS
    main = max(usual, key=usual.__getitem__, default=None)
    return main is None or not shares or shares.get(main, 0.0) >= usual[main] / 2


def _is_english(text: str, task: Task) -> bool:
    original = task.instruction
    # A Chinese character is more than a letter: a few in an English sentence are half a sentence.
    for kind, limit in ((f"[{HAN}]", 0.05), (_NOT_LATIN, 0.2), (_ACCENTED, 0.05)):
        if _share(text, kind) > _share(original, kind) + limit:
            return False
    # A word in another script may name a language; so many are a sentence.
    if len(re.findall(f"(?:{_NOT_LATIN})+", text)) > len(re.findall(f"(?:{_NOT_LATIN})+", original)) + 3:
        return False
    usual = set(words_of(original))
    if _foreign_words(usual) > 0:
        return True  # the original is not in English either
    words = words_of(text)
    if _foreign_words(words, usual) > 0:
        return False
    small = sum(word in _SMALL for word in words)
    short = sum(len(word) < 3 and word.isalpha() and word not in usual for word in words) if not small else 0
    if short > 1:
        return False
    if small > max(2, len(words) // 4):
        return True
    return not _is_unlikely(text, task, _UNLIKELY, _LETTERS if small else _FEWER)


def _is_unlikely(text: str, task: Task, limit: float, shortest: int) -> bool:
    """Whether the text is in another language of its script than the original: the library is sure of it."""
    languages = next((group for group in _GROUPS if task.language in group), ())
    known = {*words_of(task.instruction), *(word for label in task.labels for word in words_of(label))}
    rest = " ".join(word for word in words_of(text) if word not in known)
    if not languages or len(re.findall(r"[^\W\d_]", rest)) < shortest:
        return False
    return all(_probability(one, task.language, languages) <= limit for one in (text, rest)) and (
        _probability(task.instruction, task.language, languages) > limit
    )


def _probability(text: str, language: str, languages: tuple[str, ...]) -> float:
    """Probability of the language and of those close to it."""
    found = probabilities(text, languages)
    return sum(found.get(one, 0.0) for one in close_to(language))


def _foreign_words(words: Iterable[str], usual: Set[str] = frozenset()) -> int:
    """Number of function words of other languages minus number of English ones."""
    words = list(words)
    foreign = sum(word in _FOREIGN and word not in usual for word in words)
    return foreign - sum(word in _ENGLISH for word in words)


def _share(text: str, kind: str) -> float:
    """Share of letters of a kind (a regular expression) among all letters."""
    letters = re.findall(r"[^\W\d_]", text)
    return len(re.findall(kind, text)) / max(1, len(letters))
