"""Language of a text: a rough check by script and by function words."""

import re
import unicodedata
from collections.abc import Iterable, Set

from sapo_lite.types import Language, Task

# Escaped: an editor that normalises text would change these characters and so the ranges.
HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
KANA = r"\u3040-\u30ff"
_ACCENTED = "[À-ÖØ-öø-ɏ]"

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


def words_of(text: str) -> list[str]:
    """Words in lower case; in Chinese, characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.findall(rf"[{HAN}]|(?:(?![{HAN}])\w)+", folded)


def foreign_to(text: str, task: Task) -> str | None:
    """The reason why the text is not in the task's language; None if it seems to be.

    The text may have as much of another script or language as the original.
    """
    if task.language == "en":
        return None if _is_english(text, task.instruction) else "not in English"
    for label in task.labels:  # Chinese instructions may name English ones
        text = text.replace(label, "")
    return None if _is_chinese(text, task.instruction) else "not in Chinese"


def _is_chinese(text: str, original: str) -> bool:
    japanese = _share(text, f"[{KANA}]") > _share(original, f"[{KANA}]") + 0.1
    return not japanese and _share(text, f"[{HAN}]") >= _share(original, f"[{HAN}]") / 2


def _is_english(text: str, original: str) -> bool:
    # A Chinese character is more than a letter: a few in an English sentence are half a sentence.
    for kind, limit in ((f"[{HAN}]", 0.05), (r"(?![A-Za-zÀ-ɏ])[^\W\d_]", 0.2), (_ACCENTED, 0.05)):
        if _share(text, kind) > _share(original, kind) + limit:
            return False
    usual = set(words_of(original))
    if _foreign_words(usual) > 0:
        return True  # the original is not in English either
    return _foreign_words(words_of(text), usual) <= 0


def _foreign_words(words: Iterable[str], usual: Set[str] = frozenset()) -> int:
    """Number of function words of other languages minus number of English ones."""
    words = list(words)
    foreign = sum(word in _FOREIGN and word not in usual for word in words)
    return foreign - sum(word in _ENGLISH for word in words)


def _share(text: str, kind: str) -> float:
    """Share of letters of a kind (a regular expression) among all letters."""
    letters = re.findall(r"[^\W\d_]", text)
    return len(re.findall(kind, text)) / max(1, len(letters))


# An instruction is Chinese if at least this share of its letters are ideographs: well above an English one
# that quotes Chinese labels, well below a Chinese one that quotes English labels.
_CHINESE_SHARE = 0.3


def language_of(text: str) -> Language:
    """ "zh" where a clear share of the letters are Chinese ideographs, else "en"."""
    letters = [character for character in text if character.isalpha()]
    ideographs = sum(unicodedata.name(letter, "").startswith("CJK") for letter in letters)
    return "zh" if letters and ideographs / len(letters) >= _CHINESE_SHARE else "en"
