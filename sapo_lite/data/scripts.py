"""Writing systems of a text."""

import re
import unicodedata
from collections import Counter

# Escaped: an editor that normalises text would change these characters and so the ranges.
HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
KANA = r"\u3040-\u30ff"
_NAMES = {"CJK": "HAN", "HIRAGANA": "KANA", "KATAKANA": "KANA"}


def scripts(text: str) -> dict[str, float]:
    """Share of each script among the letters, such as {"LATIN": 0.9, "HAN": 0.1}; {} without letters."""
    letters = [character for character in unicodedata.normalize("NFKC", text) if character.isalpha()]
    counts = Counter(_script(letter) for letter in letters)
    return {script: count / len(letters) for script, count in counts.most_common()}


def _script(letter: str) -> str:
    name = re.split("[ -]", unicodedata.name(letter, "UNKNOWN"), maxsplit=1)[0]
    return _NAMES.get(name, name)
