"""The sources of paraphrases: a table by name, without the implementations.

A source is a file of sapo_lite/prompts/sources and an entry in SOURCES that describes it in full.
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
    """A kind of source of paraphrases.

    open: context manager of the source, from (name, section `paraphrase`, SourceContext)
    needs: required keys of the section `paraphrase`; a "model" may follow a slash in the name instead
    loads_a_model: whether it keeps a model of its own in this machine's memory while it is open
    backbone: whether it uses the recipe's backbone, which then stays in memory
    reads_a_file: whether its texts come from a file and do not depend on the seed
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
        """Whether it works without a recipe, with at most a model's name."""
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
    """The kind of source of a name in a recipe: "ollama" for "ollama/qwen3:8b"."""
    return name.partition("/")[0]
