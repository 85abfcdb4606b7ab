"""The sources of paraphrases, by name: what each of them needs, without its implementation.

A source is a file of sapo_lite/paraphrase and an entry in SOURCES that says everything about it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sapo_lite.support.late import late

if TYPE_CHECKING:
    from sapo_lite.prompts.pool import Source
    from sapo_lite.prompts.sources.openers import SourceContext
    from sapo_lite.recipe import ParaphraseConfig


@dataclass(frozen=True)
class SourceKind:
    """Where paraphrases come from.

    open: of (name, section `paraphrase`, context), the source; what it holds is released at the end
    needs: keys of the section `paraphrase` that must be given; a "model" may stand behind a slash instead
    loads_a_model: has a model of its own in this machine's memory while it is open
    backbone: asks the recipe's backbone, which stays in memory from then on
    reads_a_file: gives what a file says at the time, whatever the seed
    """

    open: "Callable[[str, ParaphraseConfig, SourceContext], AbstractContextManager[Source]]"
    needs: tuple[str, ...] = ()
    loads_a_model: bool = False
    backbone: bool = False
    reads_a_file: bool = False

    @property
    def names_a_model(self) -> bool:
        return "model" in self.needs

    @property
    def stands_alone(self) -> bool:
        """Whether it works without a recipe, given the name of a model at most."""
        return set(self.needs) <= {"model"} and not self.backbone


_HERE = "sapo_lite.prompts.sources.openers"

SOURCES: dict[str, SourceKind] = {
    "ollama": SourceKind(late(_HERE, "ollama"), needs=("model",), loads_a_model=True),
    "openai": SourceKind(late(_HERE, "openai"), needs=("model", "base_url")),
    "self": SourceKind(late(_HERE, "own_model"), backbone=True),
    "builtin": SourceKind(late(_HERE, "builtin")),
    "file": SourceKind(late(_HERE, "from_file"), needs=("path",), reads_a_file=True),
    "lab": SourceKind(late(_HERE, "lab")),
}


def kind_of(name: str) -> str:
    """The source of a name in a recipe: "ollama" of "ollama/qwen3:8b"."""
    return name.partition("/")[0]
