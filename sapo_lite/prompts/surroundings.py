"""What stands around a paraphrase: wrapping, prefixes, words of our request, alternatives, examples.

A pattern that the original matches too is no sign: the task may be about it.
"""

import re
from collections.abc import Sequence

from sapo_lite.prompts.styles import LENGTHS, STYLES

_LEFT_OVER = re.compile(
    r"```|~~~|\A>\s|\\\"|\\n(?![a-z])"
    r"|</?(?:p|br|div|span|b|i|u|em|strong|small|ul|ol|li|h[1-6]|pre|code|html|body|font|blockquote"
    r"|instructions?|paraphrase|prompt|output|response)\b[^<>]{0,200}/?>"
    r"|&(?:quot|amp|lt|gt|apos|nbsp|[lr][sd]quo|#\d{1,7}|#x[0-9a-f]{1,6});"
    r"|\A\s*[{\[]\s*[\"'“][^\n]{0,80}?[\"'”]\s*[:,]",
    flags=re.IGNORECASE,
)

_NUMBER = r"(?:#?\d{1,2}|[A-E]\b|one|two|three)"
_HEAD = r"\A[\W_]{0,20}"
# "Instruction:" and "Output:" also open a specification, which has other headings after them.
_TITLE = re.compile(
    _HEAD + rf"(?:(?:the|my|your|final|new|task|paraphrased|rewritten) ){{0,2}}"
    rf"(?:(?:instructions?|prompt|output|answer|result|text)(?: {_NUMBER})?"
    r"|anweisung|aufgabenstellung|instrucci[oó]n(?:es)?|istruzion[ei]|instruç(?:ão|ões)|consigne|инструкция"
    r"|instruktion(?:er)?|talimat|ohje|instruksi|perintah|panuto|指令|输出|回答|指示|出力|지시(?:문|사항)?|출력)"
    r"(?:[*_\s\"'”\])】]{0,3}[:：]|[*_ ]{0,3}\n|[\])】]|\s?[–—]|\s-\s)",
    flags=re.IGNORECASE,
)
_HEADING = re.compile(
    r"(?:^|[\n.;。；])[\W_]{0,20}(?:(?:the|expected) )?"
    r"(?:input|output|labels?|options?|given|format|text|输入|输出|标签|选项)"
    r"(?:[*_\s]{0,3}[:：]|[*_ ]{0,3}\n)",
    flags=re.IGNORECASE,
)
_PREFIX = re.compile(
    _HEAD + r"(?:(?:here (?:you go|it is|we go)|there you go|as requested|response|reply|rewrite|rewording)\b"
    r"\W{0,3}[:：!\n]"
    r"|(?:回复|改写)\s*[:：])"
    r"|^[\W_]{0,20}(?:user|assistant|system|human|用户|助手|系统)[*_\s]{0,3}(?:[:：]|$)",
    flags=re.IGNORECASE | re.MULTILINE,
)
_PREFIXED_LINE = re.compile(
    r"^[\W_]{0,20}(?:option|version|alternative|variant|variation|candidate|sentence|选项|版本|方案)"
    rf" ?({_NUMBER}|[一二三])\W{{0,3}}[:.：\n]",
    flags=re.IGNORECASE | re.MULTILINE,
)

# Words of our request that no instruction has by chance.
_REQUEST_WORDS = re.compile(
    r"[(（\[【]\s*(?:style|tone|length|风格|语气|长度)\s*[:：]|^\W{0,20}(?:style|tone|风格|语气)\s*[:：]"
    r"|\bthis time[:：]|letter for letter, in the same case|every answer option\b|carry out the task, give no"
    r"|\bwrit(?:e|ten) in english\b|用中文书写\W{0,3}\Z"
    r"|\b(?:style, sentence structure|(?:requested|specific) style|no example|explain nothing)\b"
    r"|\brewritten (?:\w+ )?instructions?\b|\bof the original (?:task|instruction)\b"
    r"|只改变说法|换一种风格|必须一字不差地保留|与它们都不一样",
    flags=re.IGNORECASE | re.MULTILINE,
)
_STYLE_NAMES = [name for table in (STYLES, LENGTHS) for names in table.values() for name in names]

_ITEM = re.compile(r"^[ \t]{0,9}(?:\(?\d{1,2}[.)、:]|[-*•])[ \t]{1,9}", flags=re.MULTILINE)
_BETWEEN_TEXTS = re.compile(
    r"^[ \t]{0,9}(?:[*_]{0,3}(?:or|alternatively|或者?|oder|ou|o|или|または|또는)"
    r"[*_]{0,3}[:：,，.…]{0,3}|-{3,50}|\*{3,50}|={3,50})[ \t]{0,9}$",
    flags=re.IGNORECASE | re.MULTILINE,
)

_EXAMPLE = re.compile(
    r"\b(?:for (?:example|instance)|e\.\s?g\.|zum beispiel|z\.\s?b\.|par exemple"
    r"|por ejemplo|por exemplo|ad esempio|например|misalnya|örneğin|esimerkiksi|halimbawa)"
    r"|例如|比如|譬如|举例|示例|例[:：]|^\W{0,9}examples?(?: \d)?\s*[:：]|たとえば|例えば|예를 들",
    flags=re.IGNORECASE,
)


def left_over(text: str, original: str) -> str | None:
    """The first trace of wrapping that the original does not have."""
    found = (match[0] for match in _LEFT_OVER.finditer(text))
    if trace := next((trace for trace in found if trace not in original), None):
        return trace.strip()
    return _lone_quotation_mark(text)


def _lone_quotation_mark(text: str) -> str | None:
    """A quotation mark at an end of the text that has no partner."""
    curly = "„" not in text and text.count("“") != text.count("”")  # “ also closes „
    lone = ("“”" if curly else "") + ('"' if text.count('"') % 2 else "")
    return next((mark for mark in (text[:1], text[-1:]) if mark and mark in lone), None)


def prefix(text: str, original: str, labels: Sequence[str]) -> str | None:
    """A title, number or speaker's name before the paraphrase, as in "Option 1: ..."."""
    title = _TITLE.search(text)
    if title and not _TITLE.search(original) and not _HEADING.search(text, title.end()):
        return _shown(title)
    if (named := _PREFIX.search(text)) and not _PREFIX.search(original):
        return _shown(named)
    numbered = (line for line in _PREFIXED_LINE.finditer(text) if line[1].lstrip("#") not in labels)
    return next((_shown(line) for line in numbered if not _PREFIXED_LINE.search(original)), None)


def repeats_the_request(text: str, original: str) -> bool:
    """Whether the text has words of our request, such as the style that it asked for."""
    if _REQUEST_WORDS.search(text) and not _REQUEST_WORDS.search(original):
        return True
    plain, known = text.casefold(), original.casefold()
    named = [name for name in _STYLE_NAMES if name in plain and name not in known]
    # One of them alone may be chance; not two, nor one in brackets.
    return len(named) > 1 or any(re.search(rf"[(（\[]{re.escape(name)}[)）\]]", plain) for name in named)


def alternatives(text: str) -> list[str]:
    """The parts of a list, or of texts with "or" or a line between them; the text itself if it is neither."""
    if _BETWEEN_TEXTS.search(text):
        parts = _BETWEEN_TEXTS.split(text)
    elif _ITEM.match(text):
        parts = _ITEM.split(text)
    else:
        parts = [text]
    return [part.strip() for part in parts if part.strip()]


def gives_an_example(text: str, original: str, labels: Sequence[str]) -> bool:
    """Whether the text works an example of the task, which the request forbids."""
    if _EXAMPLE.search(text) and not _EXAMPLE.search(original):
        return True
    if not labels:
        return False
    label = "|".join(re.escape(name) for name in sorted(labels, key=len, reverse=True))
    solved = re.compile(
        r"^[\W_]{0,5}(?:output|answer|label|result|response|答案|输出|标签)\s{0,3}[:：=]\s{0,3}"
        rf"[\"'“*]{{0,3}}(?:{label})[\"'”*.。]{{0,4}}\s{{0,3}}$"
        rf"|(?<!\w)[\"“‘']([^\"”’'\n]{{6,200}})[\"”’']\s{{0,3}}(?:->|=>|→|=|:|is)\s{{0,3}}[\"'“*]{{0,3}}(?:{label})(?!\w)",
        flags=re.IGNORECASE | re.MULTILINE,
    )
    found = (match for match in solved.finditer(text) if match[1] not in labels)
    return any(match[0] not in original for match in found)


def _shown(match: re.Match[str]) -> str:
    return " ".join(match[0].split())[:30]
