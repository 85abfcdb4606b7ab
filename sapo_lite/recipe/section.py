"""The base of all sections of a recipe."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr


class Section(BaseModel):
    """One table of the recipe. Unknown keys are refused; no value is converted except an int to a float."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    # Folder of the recipe file, the base of its relative paths. Not a setting, so it is not dumped.
    _folder: Path = PrivateAttr(default_factory=Path)

    def model_post_init(self, context: Any, /) -> None:
        """Take the recipe's folder, which `load_recipe` passes as validation context."""
        if context is not None:
            self._folder = context

    @property
    def folder(self) -> Path:
        """Folder of the recipe file, the base of its relative paths."""
        return self._folder
