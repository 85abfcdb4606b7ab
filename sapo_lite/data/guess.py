"""A first guess of a task from its file: what to read, what to answer, how to ask."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.data.columns import Column, columns_of, find_answer, find_inputs, find_instruction
from sapo_lite.data.hub_rows import PREFIX, hub_rows
from sapo_lite.data.language import language_of
from sapo_lite.data.readers import read_rows
from sapo_lite.support.messages import one_of
from sapo_lite.support.shipped import typed_path

_NAMED_LABELS = 12  # labels that an instruction lists at most
_SAMPLE = 200  # texts whose language is detected
_SIDE = re.compile(r"^(?P<name>.*?)[._-]?(?P<side>train|training|test)$", re.IGNORECASE)


@dataclass(frozen=True)
class Guess:
    """What a task seems to be.

    file, test: paths as typed, or "hf:NAME"; without `test`, the file is to be split
    input: a column, or a template over columns
    labels: in order of their number of rows; empty for free text
    language: of the inputs
    """

    name: str
    file: str
    test: str | None
    rows: int
    input: str
    answer: str
    labels: tuple[str, ...]
    language: str
    instruction: str
    suffix: str


def paired(files: Sequence[str]) -> list[tuple[str, str, str | None]]:
    """(name, file, test file) of each task: `x_train.csv` and `x_test.csv` are one, as are two files of
    one folder called `train` and `test`."""
    sides: dict[tuple[Path, str], dict[str, str]] = {}
    for file in files:
        if match := _SIDE.match(typed_path(file).stem):
            key = (typed_path(file).absolute().parent, match["name"])
            sides.setdefault(key, {})["test" if match["side"].lower() == "test" else "train"] = file
    tests = {both["train"]: (key, both["test"]) for key, both in sides.items() if len(both) == 2}
    found, used = list[tuple[str, str, str | None]](), {test for _, test in tests.values()}
    for file in dict.fromkeys(files):
        if file in tests:
            (folder, name), test = tests[file]
            found.append((name or folder.name, file, test))
        elif file not in used:
            found.append((_name(file), file, None))
    names = [name for name, _, _ in found]
    return [
        (name if names.count(name) == 1 else f"{name}_{number}", file, test)
        for number, (name, file, test) in enumerate(found, start=1)
    ]


def _name(file: str) -> str:
    if file.startswith(PREFIX):
        return file.removeprefix(PREFIX).partition("#")[0].partition(":")[0].rpartition("/")[2]
    return typed_path(file).stem


def guess(name: str, file: str, test: str | None) -> Guess:
    """Guess the task of a file.

    Raises:
        DataError: the file cannot be read, or has no two columns.
    """
    rows = hub_rows(file, "train") if file.startswith(PREFIX) else read_rows(typed_path(file))
    columns = columns_of(rows, file)
    answer = find_answer(columns)
    read = find_inputs(columns, answer)
    labels = _labels(answer)
    language = language_of("\n".join(text for column in read for text in column.texts[:_SAMPLE]))
    ask = _ask_in_chinese if language == "zh" else _ask
    instruction, suffix = ask(labels, answer.name, [column.name for column in read])
    own = find_instruction(columns)
    return Guess(
        name=name,
        file=file,
        test=test,
        rows=len(rows),
        input=_template(read),
        answer=answer.name,
        labels=labels,
        language=language,
        instruction=own or instruction,
        suffix="" if own else suffix,
    )


def _labels(answer: Column) -> tuple[str, ...]:
    if not answer.is_closed:
        return ()
    texts = [text.strip() for text in answer.texts]
    return tuple(sorted(set(texts), key=lambda label: (-texts.count(label), label)))


def _template(read: Sequence[Column]) -> str:
    """A column alone, or several, each on a line."""
    names = [column.name for column in read]
    escaped = [name for name in names if not re.search(r"[{}]", name)]
    if len(escaped) == 1:
        return escaped[0]
    return "\n".join(f"{{{name}}}" for name in escaped)


def _ask(labels: Sequence[str], answer: str, read: Sequence[str]) -> tuple[str, str]:
    """Instruction and suffix in English."""
    if labels:
        listed = one_of(labels)
        if len(labels) <= _NAMED_LABELS:
            return f"Which label fits the text: {listed}?", "Answer with one label."
        return "Which label fits the text?", f"Answer with one of these labels: {listed}."
    known = {name.strip().lower() for name in read}
    if "question" in known:
        return ("Answer the question." if len(known) == 1 else "Answer the question from the text."), ""
    by_answer = {
        "summary": "Summarise the text.",
        "highlights": "Summarise the text.",
        "translation": "Translate the text.",
    }
    return by_answer.get(answer.strip().lower(), "Read the text and write the answer."), ""


def _ask_in_chinese(labels: Sequence[str], answer: str, read: Sequence[str]) -> tuple[str, str]:
    """Instruction and suffix in Chinese."""
    if labels:
        listed = "、".join(labels)
        if len(labels) <= _NAMED_LABELS:
            return f"判断文本属于哪一类:{listed}。", "只回答类别。"
        return "判断文本属于哪一类。", f"从以下类别中选一个回答:{listed}。"
    if "question" in {name.strip().lower() for name in read}:
        return "根据文本回答问题。", ""
    by_answer = {"summary": "概括文本的内容。", "translation": "翻译文本。"}
    return by_answer.get(answer.strip().lower(), "阅读文本并写出答案。"), ""
