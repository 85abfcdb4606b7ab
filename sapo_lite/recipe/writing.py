"""The text of a new recipe, with comments, from guesses about the files of its tasks."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Table

from sapo_lite.data.guess import Guess
from sapo_lite.data.hub_rows import PREFIX
from sapo_lite.data.own_tasks import TEST_SHARE
from sapo_lite.model.hub import EMBEDDED
from sapo_lite.support.foreign_text import visible
from sapo_lite.support.shipped import typed_path

# (key, value, comment): settings of the embedded backbones, which are tiny, and of all others.
Settings = list[tuple[str, Any, str]]
_TINY: dict[str, Settings] = {
    "model": [
        ("quantization", "none", ""),
        ("dtype", "float32", ""),
        ("max_source_tokens", 256, "longer inputs are cut at their end"),
        ("max_answer_tokens", 16, ""),
    ],
    "adapter": [
        ("method", "lorainc", "or olora, sequential, ewc, replay; see docs/methods.md"),
        ("dropout", 0.0, "so small a model needs none"),
    ],
    "training": [
        ("epochs", 3, ""),
        ("learning_rate", 4e-3, ""),
        ("batch_size", 8, ""),
        ("micro_batch_size", 8, ""),
        ("gradient_checkpointing", False, ""),
    ],
    "evaluation": [("max_new_tokens", 16, "tokens of an answer at most"), ("batch_size", 50, "")],
}
_LARGE: dict[str, Settings] = {
    "model": [
        ("quantization", "nf4", 'weights in 4 bits; "none" for 16'),
        ("max_source_tokens", 1536, "longer inputs are cut at their end"),
        ("max_answer_tokens", 128, ""),
    ],
    "adapter": [("method", "lorainc", "or olora, sequential, ewc, replay; see docs/methods.md")],
    "training": [
        ("epochs", 5, ""),
        ("learning_rate", 1e-4, ""),
        ("batch_size", 16, ""),
        ("micro_batch_size", 2, "rows at once; more if memory allows"),
        ("checkpoint_every", 40, "steps; a run that is stopped goes on from there"),
    ],
    "evaluation": [("max_new_tokens", 128, "tokens of an answer at most"), ("batch_size", 8, "")],
}


_TEST = "share of the rows to test with; or a number, or a file"


def recipe_for(guesses: Sequence[Guess], target: Path, model: str, paraphraser: str | None) -> str:
    """The text of a recipe that learns the guessed tasks.

    target: the recipe's file, to which the paths of the tasks are made relative
    model: hub name, local folder, or "lab"
    paraphraser: a model of the Ollama server that is here; None for rewording by rules
    """
    own = _TINY if model in EMBEDDED else _LARGE
    document = tomlkit.document()
    for line in (
        f"{', '.join(task.name for task in guesses)}: tasks of your own, learned one after another.",
        "",
        f"Look at it:  sapo-lite data show {target}",
        f"Run it:      sapo-lite run {target}    (--dry-run shows the plan)",
        "",
        "Columns, labels and instructions were guessed from the files: edit what is wrong.",
    ):
        document.add(tomlkit.comment(_one_line(line)))
    _add(document, "model", [("name", model, ""), *own["model"]])
    counts: Settings = [
        ("train_examples", 1000, "of each task at most"),
        ("test_examples", 200, "of each task at most; every task is tested after every task"),
    ]
    sequence = _add(document, "sequence", counts)
    tables = tomlkit.aot()
    for number, task in enumerate(guesses):
        tables.append(_task(task, target, explained=number == 0))
    sequence.append("task", tables)
    _add(document, "prompt", [("strategy", "sapo", '"fixed" trains with your own wording')])
    _add(document, "paraphrase", _paraphrase(paraphraser))
    for section in ("adapter", "training", "evaluation"):
        _add(document, section, own[section])
    return tomlkit.dumps(document)


def _paraphrase(model: str | None) -> Settings:
    if model is not None:
        return [("backend", "ollama", ""), ("model", model, "of the Ollama server that runs here")]
    said = 'rewords by rules, in English and Chinese only; a model is better: "ollama" and model = "qwen3:8b"'
    return [("backend", "builtin", said)]


def _task(task: Guess, target: Path, *, explained: bool) -> Table:
    """Table of a task; what its keys mean is said once."""
    whole = task.test is None
    settings: Settings = [
        ("name", task.name, ""),
        ("file", _relative(task.file, target), f"{task.rows:,} rows"),
        (
            "test",
            TEST_SHARE if task.test is None else _relative(task.test, target),
            _TEST * (whole and explained),
        ),
        ("input", task.input, "a column, or a template over columns" * explained),
        ("answer", task.answer, ""),
        ("instruction", task.instruction, "a guess: say what you want; it is paraphrased" * explained),
        ("suffix", task.suffix, "ends every prompt; never paraphrased" * explained),
    ]
    if task.labels:
        shown = ", ".join(task.labels)
        settings.append(
            ("labels", "auto", shown if len(shown) <= 60 else f"{len(task.labels)} different answers")
        )
    return _fill(tomlkit.table(), settings)


def _relative(file: str, target: Path) -> str:
    if file.startswith(PREFIX):
        return file
    return Path(os.path.relpath(typed_path(file).absolute(), target.absolute().parent)).as_posix()


def _add(document: tomlkit.TOMLDocument, name: str, settings: Settings) -> Table:
    document.add(tomlkit.nl())
    table = _fill(tomlkit.table(), settings)
    document.add(name, table)
    return table


def _fill(table: Table, settings: Settings) -> Table:
    for key, value, comment in settings:
        table.add(key, value)
        if comment:
            table[key].comment(_one_line(comment))
    return table


def _one_line(comment: str) -> str:
    """The comment without line ends, behind which names of files and labels would be read as settings."""
    return visible(comment.replace("\n", " ").rstrip())
