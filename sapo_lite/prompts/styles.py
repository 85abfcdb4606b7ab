"""Styles and lengths of paraphrases, one of each in every request to a chat model.

A request is written in Chinese for Chinese instructions, and in English for all others.
"""

from typing import Literal

Written = Literal["en", "zh"]

# Each request has one style and one length, in turn: the same request repeated gives the same few
# paraphrases. The numbers of styles and lengths have no common divisor, so every pair is used.
STYLES: dict[Written, tuple[str, ...]] = {
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
LENGTHS: dict[Written, tuple[str, ...]] = {
    "en": ("about as long as the original", "as brief as possible", "longer, every condition spelled out"),
    "zh": ("与原文长度相近", "尽可能简短", "比原文更长，把每个条件都说清楚"),
}
