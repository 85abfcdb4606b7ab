"""Signs that a chat model's text is not a paraphrase: talk, an unfilled placeholder, an answer to the task.

Every pattern looks at one end of a text or at a bounded stretch of it, so that all are fast.
"""

import re
from collections.abc import Sequence

from sapo_lite.data.language import words_of
from sapo_lite.data.scripts import HAN

_END = 300  # characters at each end of a text that are searched for talk
_INTRODUCTION = 150  # characters in which an introduction ends
_LEAD = 12  # characters before talk that opens a paragraph, as in "(Note: I kept ..."

# Tasks about rewording, such as "Decide whether these are paraphrases": the patterns below do not apply
# there.
_ABOUT = re.compile(
    r"paraphras|re-?phras|re-?writ|re-?word|restat|改写|重写|转述|改述|换一种说法", re.IGNORECASE
)
_REWORDED = r"(?:paraphrased|re-?phrased|re-?written|re-?worded|revised|restated|reformulated)"
_REWORDING = r"(?:(?<!to )(?:paraphrase|rephrase|rewrite)|rephrasing|rewording|reformulation)"
_VERSION = r"(?:versions?|instructions?|prompts?|wordings?|phrasings?)"
_REWORDED_ZH = "(?:改写|重写|转述|改述)"
# "Here is a review." and "Rewrite the paragraph in plain German:" open instructions; these do not.
_REWORDING_TALK = re.compile(
    rf"\b(?:here(?:'s| is| are)|(?:this|below|following) is)\b[^.!?\n]{{0,60}}"
    rf"\b(?:{_REWORDED} (?:\w+ ){{0,2}}(?:{_VERSION}|task)|(?:alternative|new) {_VERSION}|{_REWORDING})\b"
    rf"|\A\W*(?:the |my |a )?(?:{_REWORDED}(?: \(?\w+\)?){{0,3}}|(?:alternative|new|final) {_VERSION})"
    r"(?: \d+)?\W{0,3}[:：\n]"
    rf"|\A\W*(?:a |the )?{_REWORDING}(?: \d+| of [^:\n]{{0,40}}| \([^)\n]{{0,30}}\))?\W{{0,3}}:"
    r"|\b(?:I(?:'ve| have|'ll| will| need to| should)|let me|allow me to|let's) (?:\w+ )?"
    r"(?:rewrit|rewrote|rephras|paraphras|reword|restat)"
    rf"|{_REWORDED_ZH}(?:后|过|之后)?(?:的)?(?:指令|任务|版本|版|结果|内容)?(?:如下|为|是)?\s*\d*\s*[：:]"
    rf"|(?:以下|下面|这)(?:就)?是[^。！？\n]{{0,20}}{_REWORDED_ZH}(?:后|过|版|结果|的(?:指令|版本|任务))"
    rf"|我(?:已经?|会|将|来|需要|要)[^。你您\n]{{0,8}}{_REWORDED_ZH}|换一种说法[^。\n]{{0,6}}[：:]",
    flags=re.IGNORECASE,
)
_OPENING = re.compile(
    r"\A\W*(?:(?:sure|certainly|of course|absolutely|got it|no problem)(?: thing)?\s*[!,.:\u2014]"
    r"|(?:okay|ok|alright)\s*[!.:\u2014]"  # with a comma, a friendly instruction may follow
    r"|(?:(?:okay|ok|alright|so|hmm|well|first),? )*the user (?:wants|asks|asked|needs|is asking|has asked)"
    r"\b[^.\n]{0,10} (?:me|us|for)\b"
    r"|(?:the |your )?(?:text|instruction|paraphrase)s?(?: goes)? here\W*\Z"
    r"|(?:好的|当然可以|当然|没问题|明白了?|收到)\s*[!！,，。：:]"
    r"|(?:好的?，|嗯，|首先，)*用户(?:想|要|希望|让|要求|需要)[^。\n]{0,6}我)"
    rf"|\b(?:{_REWORDED}|original) (?:\w+ ){{0,2}}(?:instruction|prompt)\b"
    r"|\b(?:rewrit|rephras|paraphras|reword)\w* (?:the |this |an? )?(?:\w+ )?(?:instruction|prompt)\b"
    rf"|{_REWORDED_ZH}[^。\n]{{0,8}}指令|原(?:始|来的)?指令",
    flags=re.IGNORECASE,
)
# The model asks for input, as if the instruction were addressed to it.
_ASKING = re.compile(
    r"\A\W*(?:(?:please|could you|can you|kindly) ){0,2}(?:provide|share|send|paste|give me)\b[^.?!\n]{0,80}"
    r"\b(?:you(?:'d| would)? (?:like|want|need) me|so (?:that )?I can|and (?:then )?I(?:'ll| will| can))\b"
    r"|\b(?:I'd be|I would be|I'm|I am) (?:happy|glad|ready|here) to (?:be able to )?"
    r"(?:help|assist|support)\b"
    r"|请(?:您|你)?(?:提供|发送|输入|发给我)[^。\n]{0,30}(?:我(?:会|将|来|可以|就|才能)|以便我)"
    r"|我(?:很乐意|可以帮(?:你|您|助))",
    flags=re.IGNORECASE,
)
_CLOSING = re.compile(
    r"\b(?:hope (?:this|it|that) helps|let me know if (?:you(?:'d| would| need| want| have)|anything|I can)"
    r"|feel free to (?:ask|adjust|modify|reach)|(?:would you like|do you want) me to)\b"
    r"|\bI(?:'ve| have)? (?:also )?(?:kept|preserved|retained|maintained|made sure|ensured|replaced)\b"
    r"|\bthis (?:\w+ )?(?:paraphrase|rewrite|rewording|version|phrasing|wording) (?:\w+ )?"
    r"(?:keeps|maintains|preserves|retains|conveys|uses|ensures|captures)\b"
    r"|希望(?:这[^。\n]{0,10}|对[你您]|能|有所?)(?:有?所?帮助|有用|满意|帮到)|随时(?:告诉|告知|联系|提问|问)|欢迎(?:随时|继续)"
    r"|需要[^。，\n]{0,8}(?:修改|调整|改写|帮助)[^。\n]{0,6}(?:请|告诉|吗)|[（(]注[:：][^）)\n]{0,80}(?:改写|保留|保持|原文|原意)"
    rf"|(?:以上|该|此|这个){_REWORDED_ZH}",
    flags=re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\A\W*(?:(?:I'm|I am) (?:(?:so |very )?sorry|afraid I|unable|not able)|sorry\b(?! to )|I apologi[sz]e"
    r"|(?:unfortunately, )?I (?:cannot|can't|can not|won't|am unable to) (?:help|assist|fulfil|provide"
    r"|rewrite|rephrase|paraphrase|do|create|generate|complete|comply|answer|continue|process|access|engage)"
    r"|I (?:don't|do not) have (?:access|enough|any|the)\b|as an? (?:AI|(?:large )?language model)\b"
    r"|it (?:seems|looks|appears)(?: that| like)? (?:you|there (?:is|was) no)\b"
    r"|(?:n/a|none|null|undefined)\W*\Z"
    r"|(?:非常|很|十分)?抱歉|对不起|很遗憾|我(?:无法|不能)(?:帮|回答|提供|完成|改写|生成|协助|满足)"
    r"|作为(?:一个|一名|一款)?(?:AI|人工智能|大?语言模型))",
    flags=re.IGNORECASE,
)

# Text in brackets is a placeholder if it holds such a word, text in braces if it is one word:
# [INSERT TEXT HERE], <your instruction>, {0}, {{text}}, {}. Not {yes, no}, array[i], <b> or [Link].
_BRACKETED = re.compile(r"(\[{1,2}|\{{1,2}|<{1,2}(?! ))([\w '’.-]{0,60})(?:\]{1,2}|\}{1,2}|>{1,2})")
_GAP_WORDS = frozenset(
    """insert your placeholder here instruction task text input label sentence tweet review passage question
    article conversation dialogue paragraph document story abstract title answer content message 文本 输入文本
    指令 句子 推文 评论 内容""".split()
)
_GAP_ZH = re.compile(
    r"[\[<{【（(](?:请|在此处?|此处|这里){0,2}(?:插入|填写|填入)[^\]>}】）)\n]{0,30}[\]>}】）)]"
)

_ANSWER_OPENING = re.compile(
    r"\A\W*(?:the )?(?:(?:correct|right|final|most \w+|best) )?(?:answer|output|label|option|choice|result)"
    r"(?: to (?:the|this|that) (?:question|task))?(?: is\b|\W{0,3}[:=])"
    r"|\A\W*(?:正确)?(?:答案|输出|标签|选项)\s*(?:应该|应)?(?:是|为|[:：])",
    flags=re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{2}|[\u3400-\u9fff]")  # in Chinese, one character
_FEW = 3  # words: an answer, hardly an instruction
# Text between the labels of an answer such as "yes or no".
_FILLER = re.compile(r"\b(?:or|and|either|the|is|it)\b|[或和与、者\W\d_]", flags=re.IGNORECASE)


def is_talk(text: str, original: str) -> bool:
    """Whether the text talks about the paraphrase ("Here is ...:") or to its reader.

    A phrase that the original has too is not talk: some tasks are about paraphrases.
    """
    head, tail = _straight(text[:_END]), _straight(text[-_END:])
    if not _ABOUT.search(original) and _REWORDING_TALK.search(head):
        return True
    places = ((_OPENING, head), (_ASKING, head), (_CLOSING, tail))
    return any(pattern.search(place) and not pattern.search(_straight(original)) for pattern, place in places)


def without_talk(text: str, original: str) -> str:
    """The text without an introduction ("Here is a paraphrase:") and without a last paragraph of talk."""
    head, colon, rest = text[:_INTRODUCTION].partition(":")
    if colon and rest.strip() and is_talk(head + colon, original):
        text = text[len(head) + 1 :].lstrip("*_ ").lstrip()
    body, _, last = text.rpartition("\n\n")
    talk = _CLOSING.search(_straight(last))
    is_talk_alone = talk is not None and talk.start() < _LEAD and talk[0] not in original
    return body if is_talk_alone and body.strip() else text


def is_refusal(text: str) -> bool:
    return _REFUSAL.search(_straight(text[:_END])) is not None


def placeholder(text: str, original: str, labels: Sequence[str]) -> str | None:
    """The first placeholder that the original does not have and that is not a label in brackets."""
    gaps = [gap[0] for gap in _BRACKETED.finditer(text) if _is_gap(gap[1], gap[2].strip(), labels)]
    gaps += [gap[0] for gap in _GAP_ZH.finditer(text)]
    return next((gap for gap in gaps if gap not in original), None)


def answers_the_task(text: str, labels: Sequence[str]) -> bool:
    """Whether the text is an answer, no instruction: only labels or numbers, or "The answer is ..."."""
    if not _WORD.search(text):
        return True
    if text.rstrip().endswith(("?", "？")):
        return False  # "Positive or negative?" asks for one
    if len(words_of(text)) < (3 if re.search(f"[{HAN}]", text) else 2):  # words, or characters in Chinese
        return True
    opening = _ANSWER_OPENING.search(text)
    rest = text[opening.end() :] if opening else text
    if opening and any(
        re.match(rf"\W*{re.escape(label)}[\"'”’*]*(?:[.!。！\n]|\Z)", rest) for label in labels
    ):
        return True  # The answer is "positive".
    for label in sorted(labels, key=len, reverse=True):
        rest = rest.replace(label, " ")
    if labels and not _FILLER.sub("", rest):
        return True
    return opening is not None and len(re.findall(r"\w+", rest)) <= _FEW


def _straight(text: str) -> str:
    """The text with straight apostrophes: models write both kinds."""
    return text.replace("’", "'")


def _is_gap(bracket: str, content: str, labels: Sequence[str]) -> bool:
    if content in labels and content:
        return False
    if bracket[0] == "{" and re.fullmatch(r"\w*", content):
        return True
    return not _GAP_WORDS.isdisjoint(re.split(r"[\W_]+", content.casefold()))
