"""Input files of `sapo-lite score`: a file of examples, and a file of candidate prompts (text or JSON)."""

import re
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.data.readers import described, is_table, parse_json, read_rows
from sapo_lite.data.row_instructions import settle_instructions
from sapo_lite.data.rows import (
    columns_notice,
    empty_answers_notice,
    examples_from_rows,
    find_columns,
    unread_columns,
)
from sapo_lite.data.text_files import Notify, ignore, lines_of, read_text
from sapo_lite.errors import DataError
from sapo_lite.support.messages import one_of, quoted
from sapo_lite.support.strict_json import HalfCharacterError, require_whole
from sapo_lite.types import Example

# File types that hold texts in another form than one a line.
_NO_PROMPTS = {".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".toml", ".yaml", ".yml"}


@dataclass(frozen=True)
class ExampleFile:
    """The examples of a file, and their columns."""

    examples: list[Example]
    input_name: str
    answer_name: str


def read_examples(
    path: Path, input_name: str | None = None, answer_name: str | None = None, notify: Notify = ignore
) -> ExampleFile:
    """All examples of a file, with the given columns or those with known names.

    `notify` is called with a sentence for everything that is guessed or left out, among it the columns unless
    both are given. Instructions of rows are settled (`settle_instructions`) unless `input_name` is given.

    Raises:
        DataError: the file cannot be read, has no example or a bad row, or its columns are unclear.
    """
    rows = read_rows(path, notify)
    wanted = (input_name, answer_name)
    if input_name is None:
        [rows], _ = settle_instructions([rows], str(path), notify)
    names = find_columns(rows, str(path), wanted=wanted, how="Name it with --input or --answer.")
    if None in wanted:
        notify(columns_notice(path, len(rows), *names, unread_columns(rows, names)))
    examples = examples_from_rows(rows, *names, empty_answers=not is_table(path))
    if said := empty_answers_notice(path, examples):
        notify(said)
    return ExampleFile(examples, *names)


def read_prompts(
    path: Path, task: str | None = None, instruction: str | None = None, notify: Notify = ignore
) -> list[str]:
    """Candidate prompts in order, without repeated ones; `notify` is called if some were left out.

    A .json file has a list of texts (of any number of lines), or candidates as written by a run or
    `paraphrase`. Any other file has one prompt a line, under a heading (`# task`) if it has several tasks. If
    the file has several tasks, the candidates of `task` are used, or else those of the task with this
    `instruction`.

    Raises:
        DataError: the file cannot be read, has another format, or has no prompt.
    """
    if path.suffix.lower() in _NO_PROMPTS:
        raise DataError(
            f"{path}: expected prompts in a text file, one a line, or in a .json file, a list of texts; "
            f"found {quoted(path.suffix)}"
        )
    data = _content(path, notify)
    by_task = _by_task(data, path)
    if by_task is None:
        if task is not None:
            raise DataError(f"--task {task}: expected a candidates file of several tasks, found {path}")
        prompts: object = data
    else:
        prompts = by_task[_choose(path, by_task, task, instruction)]
    if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
        raise DataError(f'{path}: expected a list of texts, ["...", "..."], found {described(data)}')
    if not prompts:
        raise DataError(f"{path}: expected at least one prompt, found none")
    distinct = list(dict.fromkeys(prompts))
    if again := len(prompts) - len(distinct):
        notify(f"{path}: {again} of {len(prompts)} prompts repeat others and are left out")
    return distinct


def _content(path: Path, notify: Notify) -> object:
    text = read_text(path, notify)
    if path.suffix.lower() == ".json":
        return parse_json(text, str(path))
    prompts = prompts_in_text(text, str(path))
    if isinstance(prompts, dict):
        notify(f"{path}: lines such as {quoted(f'# {next(iter(prompts))}')} are headings, not prompts")
    return prompts


def prompts_in_text(text: str, place: str) -> list[str] | dict[str, list[str]]:
    """The lines of a text, one a prompt; or those of each task where these stand under headings.

    A heading is `# ` and the name of a task, as `paraphrase` writes it.

    Raises:
        DataError: a heading is there twice, or not in the first line, or a line has half a character; the
            message names the line.
    """
    by_task: dict[str, list[str]] = {}
    prompts: list[str] = []
    for number, line in enumerate(lines_of(text), start=1):
        line = line.strip()
        try:
            require_whole(line, f"{place}, line {number}")
        except HalfCharacterError as error:
            raise DataError(str(error)) from None
        if heading := re.match(r"#+\s+(.+)", line):
            if heading[1] in by_task or (prompts and not by_task):
                expected = "one heading a task" if by_task else "a heading in the first line, or none"
                raise DataError(f"{place}, line {number}: expected {expected}, found {quoted(line)}")
            prompts = by_task[heading[1]] = []
        elif line:
            prompts.append(line)
    return by_task or prompts


def _by_task(data: object, path: Path) -> dict[str, object] | None:
    """The texts of a candidates file by task, with the original (if any) first; None for a list.

    Raises DataError if a task is there twice.
    """
    match data:
        case {"pools": list(pools)}:
            found: dict[str, object] = {}
            for pool in pools:
                for name, texts in (_by_task(pool, path) or {}).items():
                    if name in found:
                        raise DataError(f"{path}: the task {quoted(name)} is there twice; leave one of them")
                    found[name] = texts
            return found
        case {"candidates": list(candidates), **others}:
            listed = [c.get("text") if isinstance(c, dict) else c for c in candidates]
            return {str(others.get("task", "")): listed}
        case dict() if data and all(isinstance(texts, list) for texts in data.values()):
            return data
    return None


def _choose(path: Path, by_task: dict[str, object], task: str | None, instruction: str | None) -> str:
    """The requested task. Raises DataError if none or more than one matches."""
    found = one_of(map(quoted, by_task)) if by_task else "no task"
    if task is not None:
        for name in by_task:
            if task in (name, name.split("_")[0]):
                return name
        raise DataError(f"--task {task}: expected a task of {path}, which has {found}")
    own = [name for name, texts in by_task.items() if isinstance(texts, list) and instruction in texts[:1]]
    if len(by_task) == 1 or (instruction is not None and len(own) == 1):
        return next(iter(own or by_task))
    raise DataError(
        f"{path}: expected prompts of one task, found {found}. Name the one you mean with --task, or "
        "give its original prompt as --instruction."
    )
