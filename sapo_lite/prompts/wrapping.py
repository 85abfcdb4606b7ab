"""Wrapping of a paraphrase: what a model puts around the whole text is taken off.

Only a wrapper of the whole text is taken off, one layer after another. What is left of any wrapping is found
by `sapo_lite.prompts.surroundings`.
"""

import html
import json
import re

_LAYERS = 6  # deeper nesting is no paraphrase
_FENCED = re.compile(r"\A(`{3,}|~{3,})[ \t]*[\w+-]*[ \t]*\n(.*?)\n?[ \t]*\1\Z", flags=re.DOTALL)
_ELEMENT = re.compile(r"\A<([A-Za-z][\w-]{0,30})(?:\s[^<>]{0,200})?>(.*)</\1\s*>\Z", flags=re.DOTALL)
_ENTITY = re.compile(
    r"&(?:quot|amp|lt|gt|apos|nbsp|[lr][sd]quo|hellip|[mn]dash|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});"
)
_EMPHASIS = re.compile(r"([*_`])\1*")
_STRAIGHT = ('"', "'")
_QUOTES = ("“”", "„“", "„”", "«»", "»«", "‘’", "‚‘", "‹›", "「」", "『』", "＂＂", "()", "（）")
_OPENING = "([{<>:—“‘«„「『"  # before an opening quotation mark
_LONE_ITEM = re.compile(
    r"\A(?:1[.)]|\(1\)|[-*•]|#{1,6})[ \t]+(?!.*(?:\d[.)]|\n[-*•#]{1,6})[ \t])", flags=re.DOTALL
)
_BLOCK_QUOTE = re.compile(r"^> ?", flags=re.MULTILINE)


def unwrapped(text: str, original: str) -> str:
    """The text without wrappers of the whole of it.

    Wrappers are code fences, JSON with one text, quotation marks, brackets, emphasis, block quotes, the mark
    of a list's only item, HTML elements and entities. Elements and entities stay if the original has them.
    """
    text = text.strip()
    for _ in range(_LAYERS):
        inner = _without_one(text, original).strip()
        if inner == text or not inner:
            break
        text = inner
    return text


def unfenced(text: str) -> str:
    """The content of a text that is one code block, else the text."""
    found = _FENCED.match(text)
    return found[2] if found and found[1] not in found[2] else text


def json_text(text: str) -> str | None:
    """The text in a JSON object or list that holds one text and nothing else; None for other texts."""
    if text[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(text, strict=False)  # models write line breaks as they are
    except (ValueError, RecursionError):
        return None
    while isinstance(value, dict | list) and len(value) == 1:
        value = next(iter(value.values())) if isinstance(value, dict) else value[0]
    return value if isinstance(value, str) else None


def _without_one(text: str, original: str) -> str:
    """The text without its outermost wrapper."""
    inner = unfenced(text)
    if inner != text:
        return inner
    if (value := json_text(text)) is not None:
        return value
    if all(line.startswith(">") for line in text.splitlines()):
        return _BLOCK_QUOTE.sub("", text)
    if item := _LONE_ITEM.match(text):
        return text[item.end() :]
    element = _ELEMENT.match(text)
    if element and f"<{element[1]}" not in original and f"</{element[1]}" not in element[2]:
        return element[2]
    inner = _unquoted(_without_emphasis(text))
    if inner == text and not _ENTITY.search(original):
        return _ENTITY.sub(lambda entity: html.unescape(entity[0]).replace("\xa0", " "), text)
    return inner


def _without_emphasis(text: str) -> str:
    mark = _EMPHASIS.match(text)
    if mark is None:
        return text
    inner = text[mark.end() : -len(mark[0])]
    return inner if text.endswith(mark[0]) and mark[1] not in inner else text


def _unquoted(text: str) -> str:
    """The text without quotation marks around all of it. Those of `"yes" or "no"` are not."""
    inner = text[1:-1]
    if len(text) < 3:
        return text
    if text[0] == text[-1] == '"' and "\\" in inner:
        try:
            return str(json.loads(text, strict=False))
        except ValueError:
            return text
    if text[0] == text[-1] and text[0] in _STRAIGHT:
        return inner if _is_balanced(_straight_marks(inner, text[0])) else text
    if text[0] + text[-1] in _QUOTES:
        opening, closing = text[0], text[-1]
        marks = [character == opening for character in inner if character in (opening, closing)]
        return inner if _is_balanced(marks) else text
    return text


def _straight_marks(text: str, mark: str) -> list[bool]:
    """For each straight quotation mark whether it opens; apostrophes within words are left out."""
    padded = f" {text} "
    around = [(padded[n - 1], padded[n + 1]) for n, character in enumerate(padded) if character == mark]
    marks = [(before, after) for before, after in around if not (before.isalnum() and after.isalnum())]
    return [
        before.isspace() or before in _OPENING or (before in "*_" and after.isalnum())
        for before, after in marks
    ]


def _is_balanced(marks: list[bool]) -> bool:
    """Whether marks (True: opening) close in the end and never before they open."""
    depth = 0
    for opens in marks:
        depth += 1 if opens else -1
        if depth < 0:
            return False
    return depth == 0
