"""How the sources are opened that a recipe names: `backend = ["file", "ollama/qwen3:8b"]`."""

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
    """What sources need besides the recipe's section `paraphrase`.

    `fresh` forgets what models said in earlier runs, `pull` has Ollama fetch a model that it lacks.
    `own` is the backbone's section and what loads it, for the source "self"; `tasks` is how many
    are paraphrased.
    """

    progress: "PromptProgress"
    seed: int = 0
    fresh: bool = False
    pull: bool = False
    own: "tuple[ModelConfig, Callable[[], Backbone]] | None" = None
    tasks: int = 1


def open_source(
    name: str, config: "ParaphraseConfig", around: SourceContext
) -> AbstractContextManager[Source]:
    """The source that a recipe calls `name`. What it holds is released at the end of the block.

    Raises ParaphraseError if it cannot be used.
    """
    return SOURCES[kind_of(name)].open(name, config, around)


@contextmanager
def builtin(_name: str, _config: "ParaphraseConfig", around: SourceContext) -> Iterator[Source]:
    yield Builtin(around.seed)


@contextmanager
def lab(_name: str, _config: "ParaphraseConfig", around: SourceContext) -> Iterator[Source]:
    from sapo_lite.lab.source import LabWordings  # the one place that knows the lab

    yield LabWordings(around.seed)


@contextmanager
def from_file(_name: str, config: "ParaphraseConfig", around: SourceContext) -> Iterator[Source]:
    alone = len(config.backend) == 1
    notify = None if alone else around.progress.notice
    yield FromFile(config.candidates_file(), notify, only=around.tasks == 1)


@contextmanager
def own_model(name: str, config: "ParaphraseConfig", around: SourceContext) -> Iterator[Source]:
    if around.own is None:
        raise ParaphraseError('paraphrase.backend "self" is the model of a recipe: name one.')
    yield _remembered(OwnModel(config, *around.own), name, config, around)


@contextmanager
def openai(name: str, config: "ParaphraseConfig", around: SourceContext) -> Iterator[Source]:
    yield _remembered(OpenAIModel(config, _model(name, config)), name, config, around)


@contextmanager
def ollama(name: str, config: "ParaphraseConfig", around: SourceContext) -> Iterator[Source]:
    with ollama_model(config, _model(name, config), around.progress, pull=around.pull) as chat:
        yield _remembered(chat, name, config, around)


def _model(name: str, config: "ParaphraseConfig") -> str:
    """The model behind the slash of a source's name, or that of the section."""
    kind, _, model = name.partition("/")
    if not (found := model or config.model):
        raise ParaphraseError(f'paraphrase.backend "{kind}" needs the name of a model in paraphrase.model.')
    return found


def _remembered(
    chat: ChatModel, name: str, config: "ParaphraseConfig", around: SourceContext
) -> RememberedModel:
    return RememberedModel(
        chat, name, seed=around.seed, unlike=config.unlike, fresh=around.fresh, notify=around.progress.notice
    )
