"""The request to a chat model, and the reader of its answer. The text of the request is ours.

A request asks for one paraphrase: asked for a list, models number, merge or repeat. It asks for the bare
text: small models ignore markers, and held to JSON they end the text at the first quotation mark in it. The
fixed request (paraphrase.request) asks for markers, since the released code does.
"""

import re
from collections.abc import Sequence

from sapo_lite.data.language_names import language_name
from sapo_lite.prompts.gate import required_labels
from sapo_lite.prompts.pool import Rejection
from sapo_lite.prompts.styles import LENGTHS, STYLES, Written
from sapo_lite.types import Task

_REQUEST: dict[Written, str] = {
    "en": """\
Rewrite the instruction of a task. The task itself must stay exactly the same; only the wording changes.

- Use another style, sentence structure or tone. This time: {style}; {length}.
- Keep what is given, what must be produced, every condition and every answer option.
{labels}{taken}- Do not carry out the task, give no example and explain nothing.
- Write in {language}.

The instruction:
{instruction}

Answer with the rewritten instruction only.""",
    "zh": """\
请改写一条任务指令。任务本身必须完全不变，只改变说法。

- 换一种风格、句式或语气。这一次：{style}；{length}。
- 保留给出的内容、要输出的内容、每一个条件和每一个选项。
{labels}{taken}- 不要执行任务，不要举例，不要解释。
- 用中文书写。

指令：
{instruction}

只回答改写后的指令。""",
}

# The same every time, except for the instruction.
_FIXED: dict[Written, str] = {
    "en": """\
The following instruction tells a language model what to do. Write an instruction of your own that makes it \
do exactly the same. Choose any style, structure, tone and length.

Copy every answer label that the instruction names letter for letter, in the same case. Write in {language}. \
Do not say that you have rewritten anything. Put <START> before your instruction and </START> behind it.

The instruction:
{instruction}""",
    "zh": """\
下面这条指令告诉语言模型要做什么。请自己写一条指令，让它做完全相同的事。风格、结构、语气和长短不限。

原指令提到的每一个答案标签都要一字不差地照抄，大小写不变。用中文书写。不要说明你做了改动。
在你的指令前面写 <START>，后面写 </START>。

原指令：
{instruction}""",
}

_KEEP_LABELS: dict[Written, str] = {
    "en": "- Copy these labels letter for letter, in the same case: {labels}.\n",
    "zh": "- 下列标签必须一字不差地保留，大小写不变：{labels}。\n",
}

_TAKEN: dict[Written, str] = {
    "en": "- Write something unlike these wordings, which are taken:\n{listed}\n",
    "zh": "- 下列说法已经用过，请写得与它们都不一样：\n{listed}\n",
}
_TAKEN_ITEM = "  * {text}"
_SHOWN = 8  # paraphrases shown at most: a longer list distracts from the task itself


def paraphrase_request(task: Task, number: int, taken: Sequence[str] = ()) -> str:
    """The user turn that asks for one paraphrase in the task's language; it is Chinese or English itself.

    `number` (from 0) decides style and length. The latest of the `taken` paraphrases are shown, and a
    different one is requested.
    """
    written: Written = "zh" if task.language == "zh" else "en"
    styles, lengths = STYLES[written], LENGTHS[written]
    quoted = ", ".join(f'"{label}"' for label in required_labels(task))
    listed = "\n".join(_TAKEN_ITEM.format(text=" ".join(text.split())) for text in taken[-_SHOWN:])
    return _REQUEST[written].format(
        style=styles[number % len(styles)],
        length=lengths[number % len(lengths)],
        labels=_KEEP_LABELS[written].format(labels=quoted) if quoted else "",
        taken=_TAKEN[written].format(listed=listed) if listed else "",
        language=_named_language(task.language),
        instruction=task.instruction.strip(),
    )


def fixed_request(task: Task) -> str:
    """The user turn that asks for one paraphrase in the same words every time."""
    written: Written = "zh" if task.language == "zh" else "en"
    language = _named_language(task.language)
    return _FIXED[written].format(language=language, instruction=task.instruction.strip())


def _named_language(code: str) -> str:
    return "English" if code == "en" else f"{language_name(code)} ({code}), the language of the instruction"


# Enough for an instruction and its paraphrase, and for the thinking of a model that always thinks.
MAX_TOKENS = 2048

_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", flags=re.DOTALL | re.IGNORECASE)
_THOUGHT_BEFORE = re.compile(r"\A.*</think(?:ing)?>", flags=re.DOTALL | re.IGNORECASE)
_END_OF_TEXT = re.compile(r"""(?:[.!?。！？…:：]["'”’」』）)\]*`}]*|</?(?:START|END)>)\s*\Z""")
_START, _ENDS = "<START>", re.compile(r"</START>|</?END>")


def read_answer(answer: str) -> str:
    """The answer without its thinking; "" if there is nothing else, as when it was cut off while thinking."""
    # Some templates open the block in the prompt: then the answer has only its end.
    return _THOUGHT_BEFORE.sub("", _THINKING.sub("", answer)).strip()


def between_markers(text: str) -> str:
    """The text between the markers of the fixed request; from its start, or to its end, where one is missing.

    As in the released code, the first end marker counts, and `<END>` and `</END>` are taken for it too.
    """
    before, start, behind = text.partition(_START)
    return _ENDS.split(behind if start else before, maxsplit=1)[0].strip()


def cut_answer(answer: str) -> str | Rejection:
    """An answer that ended at the limit of length (`finish_reason` or `done_reason` "length").

    It is taken as it is if its text ends as a sentence does, and is a Rejection otherwise. For the servers: a
    call that ended so answers with this.
    """
    text = read_answer(answer)
    whole = not text or _END_OF_TEXT.search(text)  # without a text there is another reason to reject it
    return answer if whole else Rejection(text, "cut off at the limit of length")
