"""Openers of the sources that a recipe names: `backend = ["file", "ollama/qwen3:8b"]`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.pool import Source
from sapo_lite.prompts.sources import SOURCES, kind_of
from sapo_lite.prompts.sources.answer_cache import ChatModel, RememberedModel
from sapo_lite.prompts.sources.backbone import OwnModel
from sapo_lite.prompts.sources.builtin import Builtin
from sapo_lite.prompts.sources.file import FromFile
from sapo_lite.prompts.sources.ollama import ollama_model
from sapo_lite.prompts.sources.openai import OpenAIModel

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone
    from sapo_lite.prompts.progress import PromptProgress
    from sapo_lite.recipe import ModelConfig, ParaphraseConfig


@dataclass(frozen=True)
class SourceContext:
    """Input of sources besides the recipe's section `paraphrase`.

    `fresh` ignores the answers that models gave in earlier runs; `pull` lets Ollama download a missing model.
    `own` is the backbone's section and a function that loads it, for the source "self"; `tasks` is the number
    of tasks to paraphrase.
    """

    progress: "PromptProgress"
    seed: int = 0
    fresh: bool = False
    pull: bool = False
    own: "tuple[ModelConfig, Callable[[], Backbone]] | None" = None
    tasks: int = 1


def open_source(
    name: str, config: "ParaphraseConfig", context: SourceContext
) -> AbstractContextManager[Source]:
    """The source with this name in a recipe. Its resources are released at the end of the block.

    Raises:
        ParaphraseError: the source cannot be used.
    """
    return SOURCES[kind_of(name)].open(name, config, context)


@contextmanager
def builtin(_name: str, _config: "ParaphraseConfig", context: SourceContext) -> Iterator[Source]:
    yield Builtin(context.seed)


@contextmanager
def lab(_name: str, _config: "ParaphraseConfig", context: SourceContext) -> Iterator[Source]:
    from sapo_lite.lab.source import LabWordings  # the one place that knows the lab

    yield LabWordings(context.seed)


@contextmanager
def from_file(_name: str, config: "ParaphraseConfig", context: SourceContext) -> Iterator[Source]:
    alone = len(config.backend) == 1
    notify = None if alone else context.progress.notice
    yield FromFile(config.candidates_file(), notify, only=context.tasks == 1)


@contextmanager
def own_model(name: str, config: "ParaphraseConfig", context: SourceContext) -> Iterator[Source]:
    if context.own is None:
        raise ParaphraseError('paraphrase.backend "self" is the model of a recipe: name one.')
    yield _remembered(OwnModel(config, *context.own), name, config, context)


@contextmanager
def openai(name: str, config: "ParaphraseConfig", context: SourceContext) -> Iterator[Source]:
    chat = OpenAIModel(config, _model(name, config))
    if in_clear := chat.key_in_clear():
        context.progress.notice(in_clear)
    yield _remembered(chat, name, config, context)


@contextmanager
def ollama(name: str, config: "ParaphraseConfig", context: SourceContext) -> Iterator[Source]:
    with ollama_model(config, _model(name, config), context.progress, pull=context.pull) as chat:
        yield _remembered(chat, name, config, context)


def _model(name: str, config: "ParaphraseConfig") -> str:
    """The model after the slash of a source's name, or else the section's model."""
    kind, _, model = name.partition("/")
    if not (found := model or config.model):
        raise ParaphraseError(f'paraphrase.backend "{kind}" needs the name of a model in paraphrase.model.')
    return found


def _remembered(
    chat: ChatModel, name: str, config: "ParaphraseConfig", context: SourceContext
) -> RememberedModel:
    return RememberedModel(
        chat,
        name,
        seed=context.seed,
        unlike=config.unlike,
        fixed=config.request == "fixed",
        fresh=context.fresh,
        notify=context.progress.notice,
    )
