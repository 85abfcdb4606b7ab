"""What `sapo-lite score` does: files to prompts and examples, a model from disk, a leaderboard."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sapo_lite.data.files import ExampleFile, read_examples, read_prompts
from sapo_lite.errors import BackboneError, DataError, ParaphraseError
from sapo_lite.prompts.sources import SOURCES
from sapo_lite.support.messages import nearest, one_of, quoted
from sapo_lite.support.shipped import typed_path
from sapo_lite.types import Candidate

if TYPE_CHECKING:
    from sapo_lite.leaderboard.board import Leaderboard
    from sapo_lite.prompts.progress import PromptProgress
    from sapo_lite.recipe import ModelConfig

# A file with as many different answers or fewer has labels, which paraphrases must not alter.
_MOST_LABELS = 20


@dataclass(frozen=True)
class Request:
    """The command line. `quantization` and `dtype` are None where model and machine decide."""

    model: str
    examples: Path
    prompts: Path | None
    task: str | None
    instruction: str | None
    generate: int | None
    backend: str
    paraphraser: str | None
    adapter: Path | None
    suffix: str
    limit: int
    race: bool
    max_tokens: int | None
    quantization: Literal["nf4", "none"] | None
    dtype: Literal["bfloat16", "float32"] | None
    loader: Literal["unsloth", "transformers"]
    input_name: str | None
    answer_name: str | None
    seed: int


@dataclass(frozen=True)
class Result:
    """A leaderboard and what it was made from."""

    board: "Leaderboard"
    settings: dict[str, Any]

    def to_json(self) -> str:
        return json.dumps({**self.settings, **self.board.to_json()}, indent=2, ensure_ascii=False) + "\n"


def score(request: Request, progress: "PromptProgress") -> Result:
    """Files are read and prompts generated before the model is loaded: faults come early, and a
    paraphrasing model has left the memory.

    Raises:
        SapoLiteError: anything a user can put right; the message says how.
    """
    _check_adapter(request)
    _check_backend(request)
    file = read_examples(request.examples, request.input_name, request.answer_name)
    if None in (request.input_name, request.answer_name):
        names = f"inputs from column {file.input_name}, answers from column {file.answer_name}"
        progress.notice(f"{request.examples}: {len(file.examples)} examples, {names}")
    pool = _candidates(request, file, progress)
    from sapo_lite.data.language import language_of

    language = language_of(pool[0].text + request.suffix)
    progress.stage(f"loading {request.model}")
    from sapo_lite.leaderboard.api import make_task, rank, unseen_answers
    from sapo_lite.leaderboard.from_disk import load

    loaded = load(request)

    progress.stage(f"scoring {len(pool)} prompts")
    board = rank(
        loaded.model,
        loaded.tokenizer,
        make_task(file.examples, pool[0].text, suffix=request.suffix, language=language, limit=request.limit),
        pool,
        race=request.race,
        seed=request.seed,
        max_tokens=request.max_tokens,
        progress=progress,
        notices=[*loaded.notices, *unseen_answers(file.examples, request.limit)],
    )
    return Result(board, _settings(request, file, loaded.config))


def _check_adapter(request: Request) -> None:
    """Raises BackboneError where no adapter is where one is named, or one is where a model should be."""
    if request.adapter is not None and not (request.adapter / "adapter_config.json").is_file():
        raise BackboneError(f"--adapter {request.adapter}: expected a folder with adapter_config.json")
    if (typed_path(request.model) / "adapter_config.json").is_file():
        raise BackboneError(
            f"{request.model}: expected a model, found an adapter. Name its base model here, and this folder "
            "as --adapter."
        )


def _check_backend(request: Request) -> None:
    """Raises ParaphraseError where a source is named that there is not, or that takes a recipe."""
    names = [name for name, source in SOURCES.items() if source.stands_alone]
    if request.backend not in names:
        close = nearest(request.backend, names)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        raise ParaphraseError(
            f"--backend: expected {one_of(map(quoted, names))}, found {quoted(request.backend)}{hint}"
        )


def _settings(request: Request, file: ExampleFile, config: "ModelConfig") -> dict[str, Any]:
    return {
        "model": request.model,
        "adapter": None if request.adapter is None else str(request.adapter),
        "quantization": config.quantization,
        "dtype": config.dtype,
        "file": str(request.examples),
        "input": file.input_name,
        "answer": file.answer_name,
        "suffix": request.suffix,
        "max_tokens": request.max_tokens,
        "race": request.race,
        "seed": request.seed,
    }


def _candidates(request: Request, file: ExampleFile, progress: "PromptProgress") -> list[Candidate]:
    """The original first: the instruction, where one is given, else the first of the file."""
    if request.generate is not None:
        return _generated(request, request.generate, file, progress)
    if request.prompts is None and request.instruction is None:
        raise DataError(
            "expected prompts, found none: name a file of them, one a line, or let them be generated with "
            "--instruction TEXT --generate N"
        )
    if request.task is not None and request.prompts is None:
        raise DataError(f"--task {request.task}: expected a candidates file to choose from, found none")
    texts = [] if request.instruction is None else [request.instruction]
    if request.prompts is not None:
        listed, notice = read_prompts(request.prompts, request.task, request.instruction)
        if notice:
            progress.notice(notice)
        texts = list(dict.fromkeys([*texts, *listed]))
    return [Candidate(i, text, "file" if i else "original") for i, text in enumerate(texts)]


def _generated(
    request: Request, count: int, file: ExampleFile, progress: "PromptProgress"
) -> list[Candidate]:
    if request.prompts is not None or request.instruction is None or not request.instruction.strip():
        raise DataError(
            "--generate: expected the original prompt as --instruction TEXT, and no file of prompts"
        )
    if SOURCES[request.backend].names_a_model and request.paraphraser is None:
        raise ParaphraseError("--generate: expected an Ollama model as --paraphraser NAME, such as qwen3:8b")
    from sapo_lite.data.language import language_of
    from sapo_lite.prompts.make import make_pools
    from sapo_lite.prompts.sources.openers import SourceContext
    from sapo_lite.recipe import ParaphraseConfig
    from sapo_lite.types import Task

    config = ParaphraseConfig(backend=(request.backend,), count=count, model=request.paraphraser)
    answers = tuple(dict.fromkeys(example.answer for example in file.examples))
    task = Task(
        id="prompts",
        suite="",
        instruction=request.instruction,
        suffix=request.suffix,
        labels=answers if len(answers) <= _MOST_LABELS else (),
        language=language_of(request.instruction + request.suffix),
        train=(),
        test=(),
    )
    (pool,) = make_pools([task], config, SourceContext(progress, seed=request.seed))
    return list(pool.candidates)
