"""Language of an instruction, as an ISO 639-1 code: by script, by function words, and by a library."""

import re
import unicodedata

from sapo_lite.data.detection import ARABIC, CYRILLIC, DEVANAGARI, LATIN, most_likely, probabilities
from sapo_lite.data.scripts import HAN, scripts
from sapo_lite.types import Language

# Scripts of one language, and the languages of the others.
_ONE = {
    "HANGUL": "ko",
    "THAI": "th",
    "GREEK": "el",
    "HEBREW": "he",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
    "BENGALI": "bn",
    "TAMIL": "ta",
    "TELUGU": "te",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "SINHALA": "si",
    "KHMER": "km",
    "LAO": "lo",
    "MYANMAR": "my",
    "ETHIOPIC": "am",
}
_SEVERAL = {"CYRILLIC": CYRILLIC, "ARABIC": ARABIC, "DEVANAGARI": DEVANAGARI}
# An instruction is Chinese if at least this share of its letters are ideographs: well above an English one
# that quotes Chinese labels, well below a Chinese one that quotes English labels. Likewise Korean.
_DENSE_SHARE = 0.3
_KANA_SHARE = 0.15  # a Chinese instruction may quote a Japanese word

# Words that English alone has, of the languages in Latin script: two of them are an English sentence.
_ENGLISH = frozenset(
    """the and you your this that these those which with from what whether each does has have than then if
    following given""".split()
)
# A text in Latin script is in another language if its probability is so high, and that of English so low,
# from so many letters on.
_SURE, _UNLIKELY, _LETTERS = 0.7, 0.05, 12


def words_of(text: str) -> list[str]:
    """Words in lower case; in Chinese, characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.findall(rf"[{HAN}]|(?:(?![{HAN}])\w)+", folded)


def language_of(text: str) -> Language:
    """The language of an instruction; "en" where nothing else is sure."""
    shares = scripts(text)
    han, kana = shares.get("HAN", 0.0), shares.get("KANA", 0.0)
    if han + kana >= _DENSE_SHARE:
        return "ja" if kana >= _KANA_SHARE else "zh"
    main = next(iter(shares), "LATIN")
    if shares.get("HANGUL", 0.0) >= _DENSE_SHARE:
        return "ko"
    if main in _ONE:
        return _ONE[main]
    if main in _SEVERAL:
        return most_likely(text, _SEVERAL[main])[0]
    return _latin(text) if main == "LATIN" else "en"


def _latin(text: str) -> Language:
    if len(_ENGLISH.intersection(words_of(text))) > 1:
        return "en"
    if sum(character.isalpha() for character in text) < _LETTERS:
        return "en"
    language, probability = most_likely(text, LATIN)
    other = probability >= _SURE and probabilities(text, LATIN)["en"] <= _UNLIKELY
    return language if other else "en"
