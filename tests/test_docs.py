"""Every path, module and link that the documents name exists."""

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = "|".join(
    sorted(path.name for path in (ROOT / "sapo_lite").iterdir() if (path / "__init__.py").exists())
)
TEXTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "labs/*.md", "benchmarks/**/*.md", "recipes/*.toml", "Makefile")
    for path in ROOT.glob(pattern)
)
CODE = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("sapo_lite", "pretraining", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
_PATH = re.compile(r"(?<![\w/.-])(?:sapo_lite|pretraining|benchmarks|tests|docs|recipes|data)/[\w./*-]*\w")
_MODULE = re.compile(r"python3? -m ((?:sapo_lite|pretraining|benchmarks)[\w.]*\w)")
_NAME = re.compile(r"(?<![\w./-])sapo_lite(?:\.\w+)+")
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
_IN_A_ROOM = re.compile(rf"`((?:{ROOMS})/[\w./]+)`")
# Written when they are needed, or only named as an example.
_MADE = re.compile(
    r"data/(?:SUPERNI|TRACE|lab_long|lab_mixed|mine|my_)|sapo_lite/shipped|tests/\.|data/\w+\.jsonl?$"
)


def missing_paths(text: str) -> list[str]:
    named = {match.rstrip(".") for match in _PATH.findall(text) if not _MADE.search(match)}
    return sorted(path for path in named if not list(ROOT.glob(path)))


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or a name that the text of its module defines."""
    while name:
        path = ROOT / name.replace(".", "/")
        if path.with_suffix(".py").exists() or (path / "__init__.py").exists():
            return True
        name, _, last = name.rpartition(".")
        module = ROOT / name.replace(".", "/")
        source = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        if not source.exists() or not re.search(rf"\b{last}\b", source.read_text(encoding="utf-8")):
            return False
    return False


def prose(path: Path) -> Iterator[str]:
    """Docstrings and comments of a Python file."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            yield ast.get_docstring(node) or ""
    yield from re.findall(r"(?:^|\s)# .*", source)


@pytest.mark.parametrize("name", TEXTS)
def test_every_path_in_a_document_exists(name: str) -> None:
    assert missing_paths((ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", TEXTS)
def test_every_module_in_a_document_exists(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    commands = [module for module in _MODULE.findall(text) if find_spec(module) is None]
    names = [dotted for dotted in _NAME.findall(text) if not is_there(dotted)]
    assert (commands, names) == ([], [])


@pytest.mark.parametrize("name", [name for name in TEXTS if name.endswith(".md")])
def test_every_link_in_a_document_leads_to_a_file(name: str) -> None:
    path = ROOT / name
    links = _LINK.findall(path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_file_of_a_room_in_the_architecture_exists() -> None:
    named = set(_IN_A_ROOM.findall((ROOT / "docs/architecture.md").read_text(encoding="utf-8")))
    assert named
    assert sorted(path for path in named if not (ROOT / "sapo_lite" / path).exists()) == []


@pytest.mark.slow
def test_every_path_and_module_in_docstrings_and_comments_exists() -> None:
    missing = {
        name: found
        for name in CODE
        for text in ["\n".join(prose(ROOT / name))]
        if (found := missing_paths(text) + [dotted for dotted in _NAME.findall(text) if not is_there(dotted)])
    }
    assert missing == {}
