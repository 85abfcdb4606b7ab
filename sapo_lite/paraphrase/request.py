"""What a chat model is asked for, and how its answer is read. The wording is our own.

One paraphrase a request: models number, merge or repeat when asked for a list.
"""

import re

from sapo_lite.paraphrase.gate import required_labels
from sapo_lite.types import Language, Task

# One style a request, in turn: the same request again and again gives the same few wordings.
_STYLES: dict[Language, tuple[str, ...]] = {
    "en": (
        "plain everyday words",
        "formal and precise",
        "a direct command in short sentences",
        "a question to the reader",
        "friendly, as to a colleague",
        "what to produce first, then what is given",
        "one single long sentence",
        "as brief as possible",
        "numbered steps",
        "detailed, every condition spelled out",
        "a description of the task in the third person",
        "technical, like a specification",
    ),
    "zh": (
        "用平实的日常语言",
        "正式而准确",
        "用短句直接下达命令",
        "用向读者提问的方式",
        "友好，像对同事说话",
        "先说要输出什么，再说给出了什么",
        "只用一个长句",
        "尽可能简短",
        "分成编号的步骤",
        "详细，把每个条件都说清楚",
        "用第三人称描述这项任务",
        "像技术规范一样",
    ),
}

_REQUEST: dict[Language, str] = {
    "en": """\
Rewrite the instruction of a task. The task itself must stay exactly the same; only the wording changes.

- Use another style, sentence structure or tone. This time: {style}.
- Keep what is given, what must be produced, every condition and every answer option.
{labels}- Do not carry out the task, give no example and explain nothing.
- Write in English.

The instruction:
{instruction}

Answer with the rewritten instruction only, between <START> and </START>.""",
    "zh": """\
请改写一条任务指令。任务本身必须完全不变，只改变说法。

- 换一种风格、句式或语气。这一次：{style}。
- 保留给出的内容、要输出的内容、每一个条件和每一个选项。
{labels}- 不要执行任务，不要举例，不要解释。
- 用中文书写。

指令：
{instruction}

只回答改写后的指令，放在 <START> 和 </START> 之间。""",
}

_KEEP_LABELS: dict[Language, str] = {
    "en": "- Copy these labels letter for letter, in the same case: {labels}.\n",
    "zh": "- 下列标签必须一字不差地保留，大小写不变：{labels}。\n",
}

_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", flags=re.DOTALL | re.IGNORECASE)
_THOUGHT_BEFORE = re.compile(r"\A.*</think(?:ing)?>", flags=re.DOTALL | re.IGNORECASE)
_MARKED = re.compile(r"<START>((?:(?!<START>).)*?)</START>", flags=re.DOTALL | re.IGNORECASE)


def paraphrase_request(task: Task, attempt: int) -> str:
    """The user turn that asks for one paraphrase; `attempt` (from 0) decides the style."""
    styles = _STYLES[task.language]
    quoted = ", ".join(f'"{label}"' for label in required_labels(task))
    labels = _KEEP_LABELS[task.language].format(labels=quoted) if quoted else ""
    return _REQUEST[task.language].format(
        style=styles[attempt % len(styles)], labels=labels, instruction=task.instruction.strip()
    )


def read_answer(answer: str) -> str | None:
    """The text between the last pair of markers, thinking left aside; None where there is no pair."""
    # Thinking talks about the markers, so it must go first. Some templates open the block in the
    # prompt: then only its end is in the answer. One without an end was cut off.
    spoken = _THOUGHT_BEFORE.sub("", _THINKING.sub("", answer))
    marked = _MARKED.findall(spoken)
    return marked[-1].strip() if marked else None
