"""Input files of `sapo-lite score`: a file of examples, and a file of candidate prompts (text or JSON)."""

from dataclasses import dataclass
from pathlib import Path

from sapo_lite.data.readers import described, lines_of, parse_json, read_rows, read_text
from sapo_lite.data.rows import examples_from_rows, find_columns
from sapo_lite.errors import DataError
from sapo_lite.support.messages import one_of, quoted
from sapo_lite.types import Example

# File types that hold texts in another form than one a line.
_NO_PROMPTS = {".jsonl", ".ndjson", ".csv", ".tsv", ".toml", ".yaml", ".yml"}


@dataclass(frozen=True)
class ExampleFile:
    """The examples of a file, and their columns."""

    examples: list[Example]
    input_name: str
    answer_name: str


def read_examples(path: Path, input_name: str | None = None, answer_name: str | None = None) -> ExampleFile:
    """All examples of a .jsonl, .json, .csv or .tsv file, with the given columns or those with known names.

    Raises:
        DataError: the file cannot be read, has no example or a bad row, or its columns are unclear.
    """
    rows = read_rows(path)
    wanted = (input_name, answer_name)
    names = find_columns(rows, str(path), wanted=wanted, how="Name it with --input or --answer.")
    return ExampleFile(examples_from_rows(rows, *names), *names)


def read_prompts(
    path: Path, task: str | None = None, instruction: str | None = None
) -> tuple[list[str], str | None]:
    """Candidate prompts in order, without repeated ones; a notice if some were repeated.

    A .json file has a list of texts (of any number of lines), or candidates as written by a run or
    `paraphrase`. Any other file has one prompt a line. If the file has several tasks, the candidates of
    `task` are used, or else those of the task with this `instruction`.

    Raises:
        DataError: the file cannot be read, has another format, or has no prompt.
    """
    if path.suffix.lower() in _NO_PROMPTS:
        raise DataError(
            f"{path}: expected prompts in a text file, one a line, or in a .json file, a list of texts; "
            f"found {quoted(path.suffix)}"
        )
    if path.suffix.lower() == ".json":
        prompts = _listed(path, task, instruction)
    elif task is not None:
        raise DataError(f"--task {task}: expected a candidates file of several tasks, found {path}")
    else:
        prompts = [line.strip() for line in lines_of(read_text(path)) if line.strip()]
    if not prompts:
        raise DataError(f"{path}: expected at least one prompt, found none")
    distinct = list(dict.fromkeys(prompts))
    again = len(prompts) - len(distinct)
    return (
        distinct,
        f"{path}: {again} of {len(prompts)} prompts repeat others and are left out" if again else None,
    )


def _listed(path: Path, task: str | None, instruction: str | None) -> list[str]:
    """The texts of a JSON list, or of one task of a candidates file."""
    data = parse_json(read_text(path), str(path))
    by_task = _by_task(data)
    if by_task is None:
        if task is not None:
            raise DataError(f"--task {task}: expected a candidates file of several tasks, found {path}")
        texts = data
    else:
        texts = by_task[_choose(path, by_task, task, instruction)]
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return texts
    raise DataError(f'{path}: expected a list of texts, ["...", "..."], found {described(data)}')


def _by_task(data: object) -> dict[str, object] | None:
    """The texts of a candidates file by task, with the original (if any) first; None for a list."""
    match data:
        case {"pools": list(pools)}:
            listed = [_by_task(pool) or {} for pool in pools]
            return {name: texts for one in listed for name, texts in one.items()}
        case {"candidates": list(candidates), **others}:
            texts = [c.get("text") if isinstance(c, dict) else c for c in candidates]
            return {str(others.get("task", "")): texts}
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
