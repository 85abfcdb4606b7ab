"""Closed labels, and the one rule by which an answer is one of them.

An answer is a label if it is that label up to case, width and outer punctuation; if it begins with it
("B) cats", "yes, because ..."); if it gives it behind a mark ("Label: positive", "the answer is B"); or if it
is a statement with it ("It sounds positive to me."). A sentence that denies a label, asks about it, names two
of them or has one among its words is none of them.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from sapo_lite.data.scripts import HAN

# Punctuation around a label that is not part of it. The signs of C++, C#, -1 and 50% are not here.
AROUND = ".,;:!?\"'`()[]{}<>*_…。，、；：！？“”‘’（）【】《》「」『』"
# Characters that go on a word: letters, digits, accents, katakana. Han and hiragana stand by themselves.
_IN_WORD = rf"(?:[\u0300-\u036f]|[^\W{HAN}\u3040-\u309f])"
_CLOSING = r"[*_`\"'”’」』】)\]}>]*"
_STOP = r"[.,;:!)\]}。，、；：！）…—]"
_KOREAN = "입니다|이다|이에요|예요"  # "it is", written without a space behind the word
# Words that may follow a label which ends what it says: "It sounds positive to me", "4 stars", "积极的".
_TAIL = (
    rf"(?:\s*(?:的|了|吧|です|だ|である|でした|{_KOREAN})(?=\W|\Z))?"
    r"(?:\s+(?:stars?|sentiment|label|class|category)\b)?"
)
_ENDS = re.compile(
    rf"{_TAIL}{_CLOSING}\s*(?:\Z|\n|{_STOP}|\s[-–]\s|\s(?:because|since|overall|(?:to|for) me)\b)",
    re.IGNORECASE,
)
_STOPPED = re.compile(rf"{_CLOSING}[ \t]*(?:\Z|\n|{_STOP}|[-–]\s|[(（])")
_SENTENCE = re.compile(r"[.!?](?=\s|\Z)|[。！？\n]")
_NEGATION = re.compile(
    r"\b(?:no|not|non|never|neither|nor|none|nothing|nobody|without|cannot|hardly|barely|scarcely|unlikely"
    r"|opposite|lacks?|(?:rather|other) than|instead of|anything but|far from|nicht|kein\w*|nie|ohne|ne|pas"
    r"|jamais|sans|nunca|tampoco|sin|não|sem|niet|geen|inte|ikke|не|ни|нет|без)\b|n't\b|[不没沒非无無未別别否勿]"
    r"|아니|않|ない|ません",
    re.IGNORECASE,
)
_DENIED = re.compile(rf"(?:{_NEGATION.pattern})\s+(?:an?\s+)?\Z", re.IGNORECASE)  # "positive, not negative"
# What follows the last mark in a text is its answer; so is what follows a short opening with a colon.
_MARK = re.compile(
    r".*(?:\banswer\s+(?:is|would\s+be)\b|\b(?:answer|label|output|prediction|class|category|sentiment|option"
    r"|choice)\s*[:：=]|(?:答案|标签|類別|类别|回答|答え|ラベル)\s*[是为は:：])[\s:：*_]*(?P<answer>\S.*)",
    flags=re.IGNORECASE | re.DOTALL,
)
_OPENING = re.compile(r"(?P<opening>[^\n:：]{1,40})[:：]\s*(?P<answer>\S.*)", flags=re.DOTALL)
# Before a label in Chinese characters inside a sentence: "是积极". Others make a longer word of it.
_LINKS = "是为為选選择属屬于於很更偏＝"


def label_of(text: str, labels: Sequence[str]) -> str | None:
    """The label that a text gives as its answer, as `labels` have it; None if it gives none, or not just one.

    Every label is itself, also with white space around it, and with a full stop behind it where no label
    ends in one.
    """
    return _known(tuple(labels)).read(_plain(text)) if labels else None


def default_metric(labels: Sequence[str], answers: Sequence[str]) -> str:
    """The metric of a task of one's own whose recipe names none.

    "accuracy" with closed labels. Free answers: "rougeL", which sees ASCII letters and digits only, and
    "token_f1", which sees the words of any script, if an answer has other letters.
    """
    if labels:
        return "accuracy"
    foreign = any(character.isalpha() and not character.isascii() for text in answers for character in text)
    return "token_f1" if foreign else "rougeL"


@lru_cache(maxsize=256)
def _known(labels: tuple[str, ...]) -> "_Labels":
    exact = {_plain(label): label for label in reversed(labels)}
    folded, bare = _by(_folded, exact), _by(_bare, exact)
    names = sorted(filter(None, exact), key=len, reverse=True)
    alternatives = [_word(name, loosely=len(name) > 1 and _folded(name) in folded) for name in names]
    pattern = "|".join(f"({alternative})" for alternative in alternatives) or r"(?!)"
    return _Labels(exact, folded, bare, [exact[name] for name in names], re.compile(pattern))


@dataclass(frozen=True)
class _Labels:
    """The labels of a task, by their texts.

    exact: by text; folded: without case and width; bare: also without outer punctuation, where these are
        one label's only
    names: labels in the order of the groups of `pattern`, which finds them as whole words
    """

    exact: dict[str, str]
    folded: dict[str, str]
    bare: dict[str, str]
    names: list[str]
    pattern: re.Pattern[str]

    def read(self, text: str) -> str | None:
        """The label that the plain text is, gives behind a mark, begins with, or states."""
        if (found := self.equal(text)) is not None:
            return found
        text = unicodedata.normalize("NFKC", text)
        if (marked := self._marked(text)) is not None:
            return marked
        first = self._first(text)
        return self._stated(text) if first is None else first

    def equal(self, text: str) -> str | None:
        """The label that is the whole text."""
        if text in self.exact:
            return self.exact[text]
        if text[-1:] in (".", "。") and (without := text[:-1].rstrip()) in self.exact:
            return self.exact[without]
        return self.folded.get(_folded(text), self.bare.get(_bare(text)))

    def _marked(self, text: str) -> str | None:
        """The label behind the last mark, or behind an opening that names no label and denies nothing."""
        found = _MARK.match(text)
        if not found and (found := _OPENING.match(text)):
            opening = found["opening"]
            found = None if self._named(opening) or _NEGATION.search(opening) else found
        if not found:
            return None
        answer = found["answer"].strip()
        for way in (self.equal, self._first, self._stated):
            if (label := way(answer)) is not None:
                return label
        return None

    def _first(self, text: str) -> str | None:
        """The label that the text begins with, if none of its lines begins with another one."""
        leading = {label for line in text.splitlines() if (label := self._leading(line)) is not None}
        first = self._leading(text.lstrip())
        return first if len(leading) == 1 else None

    def _leading(self, text: str) -> str | None:
        start = len(text) - len(text.lstrip(AROUND + " \t-•"))
        found = self.pattern.match(text, start) or self.pattern.match(text)
        if not found or not _STOPPED.match(text, found.end()):
            return None
        label = self._label(found)
        # The full stop behind a single letter is that of a list: "A. cats B. dogs".
        end = re.compile("\n") if len(label) == 1 else _SENTENCE
        stop = end.search(text, found.end())
        clause, rest = (text[: stop.end()], text[stop.end() :]) if stop else (text, "")
        later = {given for one in _sentences(rest) for given in (self.equal(_plain(one)), self._stated(one))}
        others = (one for one in self.pattern.finditer(clause) if not _DENIED.search(clause[: one.start()]))
        return label if set(map(self._label, others)) == {label} and later <= {None, label} else None

    def _stated(self, text: str) -> str | None:
        """The only label of the text, if a sentence ends with it and no sentence with it denies it."""
        if len(named := self._named(text)) != 1:
            return None
        ended = False
        for sentence in _sentences(text):
            found = list(self.pattern.finditer(sentence))
            if found and _NEGATION.search(self.pattern.sub(" ", sentence)):
                return None
            ended = ended or any(_links(sentence, one) and _ENDS.match(sentence, one.end()) for one in found)
        return next(iter(named)) if ended else None

    def _named(self, text: str) -> set[str]:
        return {self._label(found) for found in self.pattern.finditer(text)}

    def _label(self, found: re.Match[str]) -> str:
        assert found.lastindex is not None
        return self.names[found.lastindex - 1]


def _plain(text: str) -> str:
    """The text in NFC, with straight apostrophes and without outer white space."""
    return unicodedata.normalize("NFC", text).replace("’", "'").strip()


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _bare(text: str) -> str:
    return _folded(text).strip(AROUND + " \t\r\n")


def _by(key: Callable[[str], str], exact: dict[str, str]) -> dict[str, str]:
    """Labels by a key of their texts, without keys that are empty or several labels'."""
    found = Counter(map(key, exact))
    return {key(text): label for text, label in exact.items() if key(text) and found[key(text)] == 1}


def _word(label: str, *, loosely: bool) -> str:
    """Regular expression for the label as a whole word, in any case if `loosely`.

    "-1", "1st", "1/2" and "14" do not have the label 1, "C++" not C, "non-negative" not negative.
    """
    text = unicodedata.normalize("NFKC", label)
    return _before(text[0]) + (f"(?i:{re.escape(text)})" if loosely else re.escape(text)) + _after(text[-1])


def _before(first: str) -> str:
    if not re.match(_IN_WORD, first):
        return "" if re.match(r"\w", first) else rf"(?<!\w)(?<!{re.escape(first)})"
    digit = r"(?<![-+−.,/])" if first.isdecimal() else ""
    return rf"(?<!{_IN_WORD})(?<!\w[-‐‑'])" + digit


def _after(last: str) -> str:
    if not re.match(_IN_WORD, last):
        return "" if re.match(r"\w", last) else rf"(?!\w)(?!{re.escape(last)})"
    digit = r"(?!\s?[%％]|[.,/:]\d)" if last.isdecimal() else ""
    return rf"(?=(?:{_KOREAN})(?!\w)|(?!{_IN_WORD}))(?![-‐‑']\w)(?![+#])" + digit


def _sentences(text: str) -> list[str]:
    ends = [0, *(found.end() for found in _SENTENCE.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(ends)]


def _links(sentence: str, found: re.Match[str]) -> bool:
    """Whether a label in Chinese characters begins a word where it was found."""
    before = sentence[: found.start()][-1:]
    return not (re.match(f"[{HAN}]", found[0]) and re.match(f"[{HAN}]", before)) or before in _LINKS
