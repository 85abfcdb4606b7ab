"""The request to a chat model, and the parser of its answer. The text of the request is ours.

A request asks for one paraphrase: asked for a list, models number, merge or repeat.
"""

import re
from collections.abc import Sequence

from sapo_lite.prompts.gate import required_labels
from sapo_lite.types import Language, Task

# Each request has one style and one length, in turn: the same request repeated gives the same few
# paraphrases. The numbers of styles and lengths have no common divisor, so every pair is used.
_STYLES: dict[Language, tuple[str, ...]] = {
    "en": (
        "plain everyday words",
        "formal and precise",
        "a direct command in short sentences",
        "a question to the reader",
        "friendly, as to a colleague",
        "what to produce first, then what is given",
        "a description of the task in the third person",
        "technical, like a specification",
        "numbered steps",
        "as in an examination paper",
        "as to somebody who has never seen such a task",
    ),
    "zh": (
        "用平实的日常语言",
        "正式而准确",
        "用短句直接下达命令",
        "用向读者提问的方式",
        "友好，像对同事说话",
        "先说要输出什么，再说给出了什么",
        "用第三人称描述这项任务",
        "像技术规范一样",
        "分成编号的步骤",
        "像考试题目一样",
        "像对从未见过这类任务的人说话",
    ),
}
_LENGTHS: dict[Language, tuple[str, ...]] = {
    "en": ("about as long as the original", "as brief as possible", "longer, every condition spelled out"),
    "zh": ("与原文长度相近", "尽可能简短", "比原文更长，把每个条件都说清楚"),
}

_REQUEST: dict[Language, str] = {
    "en": """\
Rewrite the instruction of a task. The task itself must stay exactly the same; only the wording changes.

- Use another style, sentence structure or tone. This time: {style}; {length}.
- Keep what is given, what must be produced, every condition and every answer option.
{labels}{taken}- Do not carry out the task, give no example and explain nothing.
- Write in English.

The instruction:
{instruction}

Answer with the rewritten instruction only, between <START> and </START>.""",
    "zh": """\
请改写一条任务指令。任务本身必须完全不变，只改变说法。

- 换一种风格、句式或语气。这一次：{style}；{length}。
- 保留给出的内容、要输出的内容、每一个条件和每一个选项。
{labels}{taken}- 不要执行任务，不要举例，不要解释。
- 用中文书写。

指令：
{instruction}

只回答改写后的指令，放在 <START> 和 </START> 之间。""",
}

_KEEP_LABELS: dict[Language, str] = {
    "en": "- Copy these labels letter for letter, in the same case: {labels}.\n",
    "zh": "- 下列标签必须一字不差地保留，大小写不变：{labels}。\n",
}

_TAKEN: dict[Language, str] = {
    "en": "- Write something unlike these wordings, which are taken:\n{listed}\n",
    "zh": "- 下列说法已经用过，请写得与它们都不一样：\n{listed}\n",
}
_TAKEN_ITEM = "  * {text}"
_SHOWN = 8  # paraphrases shown at most: a longer list distracts from the task itself

_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", flags=re.DOTALL | re.IGNORECASE)
_THOUGHT_BEFORE = re.compile(r"\A.*</think(?:ing)?>", flags=re.DOTALL | re.IGNORECASE)
_MARKED = re.compile(r"<START>((?:(?!<START>).)*?)</START>", flags=re.DOTALL | re.IGNORECASE)


def paraphrase_request(task: Task, number: int, taken: Sequence[str] = ()) -> str:
    """The user turn that asks for one paraphrase, in the task's language.

    `number` (from 0) decides style and length. The latest of the `taken` paraphrases are shown, and a
    different one is requested.
    """
    language = task.language
    styles, lengths = _STYLES[language], _LENGTHS[language]
    quoted = ", ".join(f'"{label}"' for label in required_labels(task))
    listed = "\n".join(_TAKEN_ITEM.format(text=" ".join(text.split())) for text in taken[-_SHOWN:])
    return _REQUEST[language].format(
        style=styles[number % len(styles)],
        length=lengths[number % len(lengths)],
        labels=_KEEP_LABELS[language].format(labels=quoted) if quoted else "",
        taken=_TAKEN[language].format(listed=listed) if listed else "",
        instruction=task.instruction.strip(),
    )


def read_answer(answer: str) -> str | None:
    """The text between the last pair of markers outside thinking; None if there is no pair."""
    # Thinking mentions the markers, so it is removed first. Some templates open the block in the prompt: then
    # the answer has only its end. A block without an end was cut off.
    spoken = _THOUGHT_BEFORE.sub("", _THINKING.sub("", answer))
    marked = _MARKED.findall(spoken)
    return marked[-1].strip() if marked else None
