"""Sentences that docs/troubleshooting.md explains are sentences of the program."""

import ast
import functools
import re
from collections.abc import Iterator

import pytest

from small import ROOT

PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^> (.+)$", PAGE, re.MULTILINE)


@functools.cache
def texts() -> list[str]:
    return list(texts_of_the_package())


def texts_of_the_package() -> Iterator[str]:
    """All texts of the package, with … for values in them, on one line."""
    for path in (ROOT / "sapo_lite").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            values = [part.value if isinstance(part, ast.Constant) else "…" for part in parts]
            if all(isinstance(value, str) for value in values) and values != ["…"]:
                yield " ".join("".join(map(str, values)).split())


def test_the_page_explains_sentences() -> None:
    assert len(QUOTED) > 15
    assert len(set(QUOTED)) == len(QUOTED)


@pytest.mark.parametrize("sentence", QUOTED)
def test_the_program_says_it(sentence: str) -> None:
    assert any(sentence in text for text in texts())
