"""Signs that a chat model said something else than a paraphrase: talk, gaps to fill in, an answer."""

import re
from collections.abc import Sequence

# Talk at the beginning. "Here is a review." may open an instruction, so what follows must be about
# the paraphrase itself, or the opening must be one that no instruction has.
_ABOUT = (
    r"(?:paraphras\w*|re-?phras\w*|re-?writ\w*|re-?word\w*"
    r"|(?:revised|alternative|new) (?:version|instruction)|改写|重写|转述|换一种说法)"
)
_OPENING = re.compile(
    rf"\A\W*(?:(?:sure|certainly|of course|absolutely|okay|got it|no problem)\b\s*[!,.:\u2014]"
    rf"|(?:好的|当然|没问题|明白了)\s*[!！,，。：:]"
    rf"|[^.!?。！？\n]*\b{_ABOUT}\b[^.!?。！？\n]*[:：]"
    rf"|[^。！？\n]{{0,20}}(?:改写|重写|转述)[^。！？\n]{{0,12}}[:：])",
    flags=re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:\b(?:hope (?:this|it|that) helps|let me know|feel free to (?:ask|adjust)|would you like me)\b"
    r"|希望(?:这|能|对你|对您)|如需|如果(?:你|您)(?:需要|还))[^\n]*\Z",
    flags=re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\A\W*(?:i(?:'m| am) sorry|i can(?:not|'t)|as an ai\b|i am unable"
    r"|抱歉|对不起|很遗憾|作为(?:一个|一名)?(?:AI|人工智能))",
    flags=re.IGNORECASE,
)

# Gaps in a template: {instruction}, {0}, {{text}}, [INSERT TEXT HERE], <your instruction>.
_GAP = re.compile(
    r"\{\{?\s*\w*\s*\}\}?"
    r"|\[[^\[\]]*\b(?:insert|your|placeholder|instruction|task|text|input|label|sentence)s?\b[^\[\]]*\]"
    r"|<[^<>]*\b(?:insert|your|placeholder|instruction|task|text|input|label|sentence)s?\b[^<>]*>"
    r"|[\[<【（(](?:在此|请)?(?:插入|填写)[^\]>】）)]*[\]>】）)]",
    flags=re.IGNORECASE,
)

_ANSWER_OPENING = re.compile(
    r"\A\W*(?:(?:the\s+)?(?:(?:correct|right|final)\s+)?answer\s*(?:is\b|:)|答案\s*(?:是|为|[:：]))",
    flags=re.IGNORECASE,
)
# What may stand between the labels of an answer such as "yes or no".
_FILLER = re.compile(r"\b(?:or|and|either|the|is|it)\b|[或和与、\W\d_]", flags=re.IGNORECASE)


def is_talk(text: str, original: str) -> bool:
    """Whether the text talks about the paraphrase ("Here is ...:"), to its reader, or refuses.

    What the original says too is no talk: some tasks are about paraphrases.
    """
    return any(
        pattern.search(text) and not pattern.search(original) for pattern in (_OPENING, _CLOSING, _REFUSAL)
    )


def placeholder(text: str, original: str) -> str | None:
    """The first gap of a template that the original does not have."""
    return next((gap[0] for gap in _GAP.finditer(text) if gap[0] not in original), None)


def answers_the_task(text: str, labels: Sequence[str]) -> bool:
    """Whether the text gives an answer in place of an instruction: "The answer is ...", or labels alone."""
    if _ANSWER_OPENING.search(text):
        return True
    for label in sorted(labels, key=len, reverse=True):
        text = text.replace(label, " ")
    return bool(labels) and not _FILLER.sub("", text)
