"""The sources by name, as a recipe mixes them: `backend = ["file", "ollama/qwen3:8b"]`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.pool import Source
from sapo_lite.prompts.sources.answer_cache import ChatModel, RememberedModel
from sapo_lite.prompts.sources.backbone import OwnModel
from sapo_lite.prompts.sources.builtin import Builtin
from sapo_lite.prompts.sources.file import FromFile
from sapo_lite.prompts.sources.ollama import ollama_model
from sapo_lite.prompts.sources.openai import OpenAIModel

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone
    from sapo_lite.recipe import ModelConfig, ParaphraseConfig
    from sapo_lite.support.progress import Display


@dataclass(frozen=True)
class SourceContext:
    """What sources need besides the recipe's section `paraphrase`.

    `fresh` forgets what models said in earlier runs, `pull` has Ollama fetch a model that it lacks.
    `own` is the backbone's section and what loads it, for the source "self"; `tasks` is how many are
    paraphrased.
    """

    show: "Display"
    seed: int = 0
    fresh: bool = False
    pull: bool = False
    own: "tuple[ModelConfig, Callable[[], Backbone]] | None" = None
    tasks: int = 1


@contextmanager
def open_source(name: str, config: "ParaphraseConfig", around: SourceContext) -> Iterator[Source]:
    """The source that a recipe calls `name`. What it holds is released at the end of the block.

    Raises ParaphraseError if it cannot be used.
    """
    kind, _, model = name.partition("/")
    if kind == "builtin":
        yield Builtin(around.seed)
    elif kind == "file":
        alone = len(config.backend) == 1
        yield FromFile(
            config.candidates_file(), None if alone else around.show.notice, only=around.tasks == 1
        )
    else:
        with _open_model(kind, model or config.model, config, around) as chat:
            yield RememberedModel(
                chat,
                name,
                seed=around.seed,
                unlike=config.unlike,
                fresh=around.fresh,
                notify=around.show.notice,
            )


def _open_model(
    kind: str, name: str | None, config: "ParaphraseConfig", around: SourceContext
) -> AbstractContextManager[ChatModel]:
    if kind == "self":
        if around.own is None:
            raise ParaphraseError('paraphrase.backend "self" is the model of a recipe: name one.')
        return nullcontext(OwnModel(config, *around.own))
    if name is None:
        raise ParaphraseError(f'paraphrase.backend "{kind}" needs the name of a model in paraphrase.model.')
    if kind == "openai":
        return nullcontext(OpenAIModel(config, name))
    return ollama_model(config, name, around.show, pull=around.pull)
