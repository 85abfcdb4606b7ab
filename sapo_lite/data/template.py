"""Templates of inputs: a column, or a text with columns in braces."""

import re
from collections.abc import Mapping

from sapo_lite.errors import DataError

_PART = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]|[^{}]+")


class Template:
    """`subject`, a column; or `{subject}\\n{body}`, a text around columns. `{{` and `}}` are literal braces.

    columns: the columns in order, each once

    Raises:
        DataError: a brace stands alone, or no column is named.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: list[tuple[str, bool]] = []  # (text, False) or (column, True)
        if not re.search(r"[{}]", text):
            self._parts.append((text, True))
        else:
            for part in _PART.finditer(text):
                if part[0] in "{}":
                    raise DataError(
                        f"a single {part[0]} at character {part.start() + 1}; write {part[0] * 2} for a brace"
                    )
                self._parts.append(
                    (part[1], True) if part[1] else (part[0].replace("{{", "{").replace("}}", "}"), False)
                )
        self.columns = tuple(dict.fromkeys(name for name, is_column in self._parts if is_column))
        if not self.columns:
            raise DataError("a text that names no column in braces")

    @property
    def is_column(self) -> bool:
        """Whether it is a column alone."""
        return self._parts == [(self.text, True)]

    def fill(self, texts: Mapping[str, str]) -> str:
        """The text for the columns' texts."""
        return "".join(texts[part] if is_column else part for part, is_column in self._parts)
