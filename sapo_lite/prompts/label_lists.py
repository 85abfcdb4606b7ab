"""Lists of answers in a text ("positive, negative or neutral"), and answers in them that are no labels."""

import re
from collections.abc import Iterator, Sequence

from sapo_lite.data.language import words_of
from sapo_lite.data.scripts import HAN

_QUOTE = r"[\"'“”‘’„«»「」『』*`]{0,3}"
_OR = r"(?:(?:or|oder|ou|atau|tai|veya|или)\b)"
_BETWEEN = rf"(?:\s{{0,3}}[,;/|、，]\s{{0,3}}(?:{_OR}\s{{1,3}})?|\s{{1,3}}{_OR}\s{{1,3}}|(?:或者?|还是))"
_LAST = rf"(?:\s{{0,3}}[/|、]\s{{0,3}}|\s{{0,3}}[,，]?\s{{0,3}}{_OR}\s{{1,3}}|[,，]?(?:或者?|还是))"
_ITEM = rf"(?P<item>[{HAN}]{{1,6}}|[^\W_][\w-]{{0,30}})"
_GROUP = re.compile(
    r"[\[{(（]([^\[\](){}（）\n]{1,300})[\])}）]|[:：]\s{0,3}([^.:：。\n]{1,300})(?:[.。\n]|\Z)"
)
_BULLET = re.compile(r"^\s{0,8}(?:[-*•·]|\(?\w[.)])\s{1,3}([^\n]{1,60})", flags=re.MULTILINE)
_HEAD = re.compile(r"[*_\"'“`]{0,3}([^\n:：=\"'”*_`–—,;.]{1,30})")
# Words that go on with the sentence where another label could stand.
_NO_LABEL = frozenset(
    """rather else otherwise instead simply just perhaps possibly maybe is are was were does do did has if
    when not a an the in to at with that this these it you they one whether which how why what only
    please even say write give answer respond output use choose exactly respectively lowercase uppercase
    nothing than as""".split()
)
_NO_LABEL_ZH = re.compile("[二两三四选任等说是者只请如要]|其中")


def other_answer(text: str, labels: Sequence[str], original: str) -> str | None:
    """An answer in a list of labels that is no label itself, and that the original does not have."""
    if len(labels) < 2:
        return None
    known = {word for one in (original, *labels) for word in words_of(one)}
    for item in (*_in_sentences(text, labels), *_in_groups(text, labels), *_in_bullets(text, labels)):
        if item[:1] and re.match(f"[{HAN}]", item):
            new = (
                not _NO_LABEL_ZH.match(item)
                and item[:2] not in original
                and not item.startswith(tuple(labels))
            )
        else:
            new = not _NO_LABEL.union(known).intersection(words_of(item))
        if new:
            return item
    return None


def _in_sentences(text: str, labels: Sequence[str]) -> Iterator[str]:
    """Words between two labels of a list, and after the last one."""
    label = rf"{_QUOTE}(?<![^\W{HAN}])(?:{_any_of(labels)})"
    inside = rf"{label}{_QUOTE}{_BETWEEN}{_QUOTE}{_ITEM}{_QUOTE}{_BETWEEN}(?={label})"
    after = rf"{label}(?:{_QUOTE}{_BETWEEN}{label}){{1,20}}{_QUOTE}{_LAST}{_QUOTE}{_ITEM}"
    for pattern in (inside, after):
        yield from (found["item"] for found in re.finditer(pattern, text))


def _in_groups(text: str, labels: Sequence[str]) -> Iterator[str]:
    """Items of lists in brackets, or between a colon and the end of the sentence."""
    for group in _GROUP.finditer(text):
        items = [item.strip(" \"'“”‘’「」*`") for item in re.split(r"[,;/|、，]", group[1] or group[2])]
        yield from _strangers(items, labels)


def _in_bullets(text: str, labels: Sequence[str]) -> Iterator[str]:
    heads = (_HEAD.match(line[1]) for line in _BULLET.finditer(text))
    yield from _strangers([head[1].strip() for head in heads if head], labels)


def _strangers(items: Sequence[str], labels: Sequence[str]) -> Iterator[str]:
    """Brief items beside at least two labels."""
    folded = {label.casefold() for label in labels}
    if sum(item.casefold() in folded for item in items) >= 2:
        yield from (i for i in items if i and i.casefold() not in folded and len(i.split()) < 3)


def _any_of(labels: Sequence[str]) -> str:
    """Pattern of the labels as whole words; one-letter labels only in their own case."""
    words = sorted((label for label in labels if label), key=len, reverse=True)
    # One group for all: `re` then looks for what they have in common first.
    longer = "|".join(re.escape(word) for word in words if len(word) > 1)
    letters = [re.escape(word) for word in words if len(word) == 1]
    parts = [*[f"(?i:{longer})"] * bool(longer), *letters]
    return rf"(?:{'|'.join(parts)})(?![^\W{HAN}])"
