"""The request to a chat model, and the parser of its answer. The text of the request is ours.

A request asks for one paraphrase: asked for a list, models number, merge or repeat.
"""

import re
from collections.abc import Sequence
from typing import Any

from sapo_lite.data.language_names import language_name
from sapo_lite.prompts.gate import required_labels
from sapo_lite.prompts.pool import Rejection
from sapo_lite.prompts.styles import LENGTHS, STYLES, Written
from sapo_lite.prompts.wrapping import json_text, unfenced
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

{answer}""",
    "zh": """\
请改写一条任务指令。任务本身必须完全不变，只改变说法。

- 换一种风格、句式或语气。这一次：{style}；{length}。
- 保留给出的内容、要输出的内容、每一个条件和每一个选项。
{labels}{taken}- 不要执行任务，不要举例，不要解释。
- 用中文书写。

指令：
{instruction}

{answer}""",
}

# How to answer, by whether the server holds the model to ANSWER_SCHEMA.
_ANSWER: dict[Written, dict[bool, str]] = {
    "en": {
        False: "Answer with the rewritten instruction only, between <START> and </START>.",
        True: 'Answer with the rewritten instruction only, as JSON: {"instruction": "..."}',
    },
    "zh": {
        False: "只回答改写后的指令，放在 <START> 和 </START> 之间。",
        True: '只回答改写后的指令，写成 JSON：{"instruction": "……"}',
    },
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


def paraphrase_request(
    task: Task, number: int, taken: Sequence[str] = (), *, structured: bool = False
) -> str:
    """The user turn that asks for one paraphrase in the task's language; it is Chinese or English itself.

    `number` (from 0) decides style and length. The latest of the `taken` paraphrases are shown, and a
    different one is requested. With `structured`, the answer is to be JSON, as in ANSWER_SCHEMA.
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
        answer=_ANSWER[written][structured],
    )


def _named_language(code: str) -> str:
    return "English" if code == "en" else f"{language_name(code)} ({code}), the language of the instruction"


# The answer of a server that can be held to a form (Ollama `format`, OpenAI `response_format`).
ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"instruction": {"type": "string"}},
    "required": ["instruction"],
    "additionalProperties": False,
}

_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", flags=re.DOTALL | re.IGNORECASE)
_THOUGHT_BEFORE = re.compile(r"\A.*</think(?:ing)?>", flags=re.DOTALL | re.IGNORECASE)
_MARKED = re.compile(r"<START>((?:(?!<START>).)*?)</START>", flags=re.DOTALL | re.IGNORECASE)
# The line before a marker that a sentence mentions: it ends with a word, and perhaps a quotation mark.
_MENTIONING = re.compile(r"""[\w,，、][ \t]*[`"'“‘「]?\Z""")
_QUOTED_MARKER = re.compile(r"""[`"'“‘「]\Z""")
_WORD_BEFORE_TEXT = re.compile(r"\w[ \t]+\Z")  # as in: or <START>Second.</START>
_END_OF_TEXT = re.compile(r"""[.!?。！？…:：]["'”’」』）)\]*`]*\s*\Z""")


def read_answer(answer: str) -> str | None:
    """The text of a JSON answer, or between the last well-formed pair of markers; None if there is neither.

    Thinking is left out. A pair that a sentence only mentions ("between <START> and </START>") is not
    well-formed.
    """
    # Thinking mentions the markers, so it is removed first. Some templates open the block in the prompt: then
    # the answer has only its end. A block without an end was cut off.
    spoken = _THOUGHT_BEFORE.sub("", _THINKING.sub("", answer))
    structured = json_text(unfenced(spoken.strip()))
    marked = [pair[1] for pair in _MARKED.finditer(structured or spoken) if _is_well_formed(pair)]
    text = marked[-1] if marked else structured
    return None if text is None else text.strip()


def cut_answer(answer: str) -> str | Rejection:
    """An answer that ended at the limit of length (`finish_reason` or `done_reason` "length").

    It is taken as it is if its text ends as a sentence does, and is a Rejection otherwise. For the servers: a
    call that ended so answers with this.
    """
    text = read_answer(answer)
    whole = text is None or _END_OF_TEXT.search(text)  # without a text there is another reason to reject it
    return answer if whole else Rejection(text or "", "cut off at the limit of length")


def _is_well_formed(pair: re.Match[str]) -> bool:
    before = pair.string[: pair.start()].rpartition("\n")[2]
    if _QUOTED_MARKER.search(before) and pair[1][:1] in tuple("`\"'”’」"):
        return False
    if not _MENTIONING.search(before):
        return True
    # A word may stand before a text, but not right before it, nor with a blank (or a quotation mark) inside.
    return bool(_WORD_BEFORE_TEXT.search(before)) and not pair[1][:1].isspace()
