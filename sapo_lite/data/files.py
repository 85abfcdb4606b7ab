"""What `sapo-lite score` reads: a file of examples, and one of candidate prompts (text, JSON)."""

from dataclasses import dataclass
from pathlib import Path

from sapo_lite.data.readers import described, lines_of, parse_json, read_rows, read_text
from sapo_lite.data.rows import examples_from_rows, find_columns
from sapo_lite.errors import DataError
from sapo_lite.support.messages import quoted
from sapo_lite.types import Example

# Files that hold texts, but not one a line.
_NO_PROMPTS = {".jsonl", ".ndjson", ".csv", ".tsv", ".toml", ".yaml", ".yml"}


@dataclass(frozen=True)
class ExampleFile:
    """The examples of a file, and the columns they came from."""

    examples: list[Example]
    input_name: str
    answer_name: str


def read_examples(path: Path, input_name: str | None = None, answer_name: str | None = None) -> ExampleFile:
    """All examples of a .jsonl, .json, .csv or .tsv file; columns that are not named are recognised.

    Raises:
        DataError: the file cannot be read, has no example or a bad row, or its columns are unclear.
    """
    rows = read_rows(path)
    wanted = (input_name, answer_name)
    names = find_columns(rows, str(path), wanted=wanted, how="Name it with --input or --answer.")
    return ExampleFile(examples_from_rows(rows, *names), *names)


def read_prompts(path: Path) -> tuple[list[str], str | None]:
    """Candidate prompts in order, and a notice if some are repeated: these are left out.

    A .json file holds a list of texts (of any number of lines), or is a candidates file of a run; any
    other file holds one prompt a line.

    Raises:
        DataError: the file cannot be read, holds something else, or no prompt.
    """
    if path.suffix.lower() in _NO_PROMPTS:
        raise DataError(
            f"{path}: expected prompts in a text file, one a line, or in a .json file, a list of texts; "
            f"found {quoted(path.suffix)}"
        )
    if path.suffix.lower() == ".json":
        prompts = _listed(path)
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


def _listed(path: Path) -> list[str]:
    """The texts of a JSON list, or of the one task of a candidates file."""
    data = parse_json(read_text(path), str(path))
    match data:
        case {"candidates": list(candidates)}:
            texts: object = [c.get("text") if isinstance(c, dict) else c for c in candidates]
        case dict() if len(data) == 1:
            (texts,) = data.values()
        case _:
            texts = data
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return texts
    raise DataError(f'{path}: expected a list of texts, ["...", "..."], found {described(data)}')
