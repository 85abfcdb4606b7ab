"""The work of `sapo-lite score`: from files of examples and prompts and a model on disk to a leaderboard."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sapo_lite.data.files import ExampleFile, read_examples, read_prompts
from sapo_lite.data.language import language_of
from sapo_lite.errors import BackboneError, DataError, ParaphraseError, RenderError
from sapo_lite.prompts.sources import SOURCES
from sapo_lite.recipe.values import CHAT_TEMPLATES
from sapo_lite.support.messages import nearest, one_of, quoted
from sapo_lite.support.shipped import typed_path
from sapo_lite.types import Candidate, Task

if TYPE_CHECKING:
    from sapo_lite.leaderboard.board import Leaderboard
    from sapo_lite.leaderboard.from_disk import Loaded
    from sapo_lite.prompts.progress import PromptProgress

# With at most so many different answers, they are labels, which paraphrases must not alter.
_MOST_LABELS = 20


@dataclass(frozen=True)
class Result:
    """A leaderboard and the settings it was made with."""

    board: "Leaderboard"
    settings: dict[str, Any]

    def to_json(self) -> str:
        return json.dumps({**self.settings, **self.board.to_json()}, indent=2, ensure_ascii=False) + "\n"


def score_files(
    model: str,
    examples: Path,
    prompts: Path | None = None,
    *,
    task: str | None = None,
    instruction: str | None = None,
    generate: int | None = None,
    backend: str = "ollama",
    paraphraser: str | None = None,
    adapter: Path | None = None,
    suffix: str = "",
    limit: int = 250,
    race: bool = True,
    input_name: str | None = None,
    answer_name: str | None = None,
    max_tokens: int | None = None,
    quantization: Literal["none", "nf4"] | None = None,
    dtype: Literal["auto", "bfloat16", "float32"] = "auto",
    loader: Literal["transformers", "unsloth"] = "transformers",
    chat_template: str | None = None,
    seed: int = 0,
    progress: "PromptProgress",
) -> Result:
    """Rank the prompts of a file, or generated ones; arguments are the options of `sapo-lite score`.

    Files are read and prompts generated before the model is loaded: errors come early, and the paraphrasing
    model is no longer in memory.

    Raises:
        SapoLiteError: anything that a user can fix; the message says how.
    """
    _check_adapter(model, adapter)
    chat_template = _template(chat_template)
    _check_backend(backend)
    file = read_examples(examples, input_name, answer_name, progress.notice)
    if generate is None:
        pool = _listed(prompts, task, instruction, progress)
    else:
        original = _original(instruction, prompts)
        pool = _generated(original, suffix, generate, backend, paraphraser, file, seed, progress)
    progress.stage(f"loading {model}")
    from sapo_lite.leaderboard.from_disk import load
    from sapo_lite.model.notices import noticed

    loaded = load(model, adapter, quantization, dtype, loader, max_tokens, progress.notice, chat_template)
    progress.stage(f"scoring {len(pool)} prompts")
    with noticed(progress.notice):
        board = _ranked(loaded, file, pool, suffix, limit, race, max_tokens, seed, progress)
    columns = {"file": str(examples), "input": file.input_name, "answer": file.answer_name}
    how = {"suffix": suffix, "max_tokens": max_tokens, "race": race, "seed": seed}
    return Result(board, {**loaded.settings, **columns, **how})


def _ranked(
    loaded: "Loaded",
    file: ExampleFile,
    pool: Sequence[Candidate],
    suffix: str,
    limit: int,
    race: bool,
    max_tokens: int | None,
    seed: int,
    progress: "PromptProgress",
) -> "Leaderboard":
    from sapo_lite.leaderboard.api import rank
    from sapo_lite.leaderboard.prompt_rows import make_task, unseen_answers

    language = language_of(pool[0].text + suffix)
    return rank(
        loaded.model,
        loaded.tokenizer,
        make_task(file.examples, pool[0].text, suffix=suffix, language=language, limit=limit),
        pool,
        race=race,
        seed=seed,
        max_tokens=max_tokens,
        progress=progress,
        notices=[*loaded.notices, *unseen_answers(file.examples, limit)],
    )


def _check_adapter(model: str, adapter: Path | None) -> None:
    """Raises BackboneError if the adapter's folder has no adapter, or the model's folder has one."""
    if adapter is not None and not (adapter / "adapter_config.json").is_file():
        raise BackboneError(f"--adapter {adapter}: expected a folder with adapter_config.json")
    if (typed_path(model) / "adapter_config.json").is_file():
        raise BackboneError(
            f"{model}: expected a model, found an adapter. Name its base model here, and this folder "
            "as --adapter."
        )


def _template(chat_template: str | None) -> str | None:
    """As a value of model.chat_template. Raises RenderError if it is neither a name nor a file."""
    if chat_template is None or chat_template in CHAT_TEMPLATES:
        return chat_template
    file = typed_path(chat_template).absolute()
    if file.is_file():
        return str(file)
    close = nearest(chat_template, CHAT_TEMPLATES)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    raise RenderError(
        f"--chat-template: expected {one_of(map(quoted, CHAT_TEMPLATES))} or a file, found no file "
        f"{quoted(chat_template)}{hint}"
    )


def _check_backend(backend: str) -> None:
    """Raises ParaphraseError if the source is unknown, or needs a recipe."""
    names = [name for name, source in SOURCES.items() if source.stands_alone]
    if backend not in names:
        close = nearest(backend, names)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        raise ParaphraseError(
            f"--backend: expected {one_of(map(quoted, names))}, found {quoted(backend)}{hint}"
        )


def _listed(
    prompts: Path | None, task: str | None, instruction: str | None, progress: "PromptProgress"
) -> list[Candidate]:
    """Candidates from a file; the first, the original, is the instruction if there is one."""
    if prompts is None and instruction is None:
        raise DataError(
            "expected prompts, found none: name a file of them, one a line, or let them be generated with "
            "--instruction TEXT --generate N"
        )
    if task is not None and prompts is None:
        raise DataError(f"--task {task}: expected a candidates file to choose from, found none")
    texts = [] if instruction is None else [instruction]
    if prompts is not None:
        listed = read_prompts(prompts, task, instruction, progress.notice)
        texts = list(dict.fromkeys([*texts, *listed]))
    return [Candidate(i, text, "file" if i else "original") for i, text in enumerate(texts)]


def _original(instruction: str | None, prompts: Path | None) -> str:
    """The instruction to paraphrase. Raises DataError if there is none, or a file of prompts is given too."""
    if prompts is not None or instruction is None or not instruction.strip():
        raise DataError(
            "--generate: expected the original prompt as --instruction TEXT, and no file of prompts"
        )
    return instruction


def _generated(
    instruction: str,
    suffix: str,
    count: int,
    backend: str,
    paraphraser: str | None,
    file: ExampleFile,
    seed: int,
    progress: "PromptProgress",
) -> list[Candidate]:
    """The instruction and up to `count` paraphrases of it."""
    if SOURCES[backend].names_a_model and paraphraser is None:
        raise ParaphraseError("--generate: expected an Ollama model as --paraphraser NAME, such as qwen3:8b")
    from sapo_lite.prompts.make import make_pools
    from sapo_lite.prompts.sources.openers import SourceContext
    from sapo_lite.recipe import ParaphraseConfig

    config = ParaphraseConfig(backend=(backend,), count=count, model=paraphraser)
    stripped = (example.answer.strip() for example in file.examples)
    answers = tuple(dict.fromkeys(filter(None, stripped)))
    task = Task(
        id="prompts",
        suite="",
        instruction=instruction,
        suffix=suffix,
        labels=answers if len(answers) <= _MOST_LABELS else (),
        language=language_of(instruction + suffix),
        train=(),
        test=(),
    )
    (pool,) = make_pools([task], config, SourceContext(progress, seed=seed))
    return list(pool.candidates)
