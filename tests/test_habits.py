"""The habits of CONTRIBUTING.md that a machine can check: tests assert, functions and files stay short."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
Function = ast.FunctionDef | ast.AsyncFunctionDef

LONGEST_FUNCTION = 60  # lines; CONTRIBUTING.md asks for about 40
LONGEST_FILE = 300  # lines; CONTRIBUTING.md asks for about 250


def functions(folder: str, pattern: str = "*.py") -> Iterator[tuple[Path, Function]]:
    for path in sorted((ROOT / folder).rglob(pattern)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                yield path, node


def asserts(function: Function) -> bool:
    """Whether it has an assert, expects an error or warning, or calls a helper that asserts by its name."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            if name in ("raises", "warns") or name.startswith(("assert_", "check")):
                return True
    return False


def test_every_test_asserts_something() -> None:
    tests = [(p, f) for p, f in functions("tests", "test_*.py") if f.name.startswith("test_")]
    assert len(tests) > 900
    assert [f"{path.name}:{test.lineno} {test.name}" for path, test in tests if not asserts(test)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("assert f()", True),
        ("with pytest.raises(ValueError): f()", True),
        ("torch.testing.assert_close(f(), 1)", True),
        ("check_the_same(f())", True),
        ("f()", False),
        ("with quiet(): f()", False),
    ],
)
def test_a_test_without_an_assertion_is_found(source: str, found: bool) -> None:
    [function] = ast.parse(f"def test_f():\n    {source}").body
    assert isinstance(function, ast.FunctionDef)
    assert asserts(function) == found


def test_functions_of_the_package_are_short() -> None:
    long = {
        f"{path.name}:{function.name}"
        for path, function in functions("sapo_lite")
        if (function.end_lineno or 0) - function.lineno >= LONGEST_FUNCTION
    }
    assert long == set()


def test_files_of_the_package_are_short() -> None:
    lines = {
        path: path.read_text(encoding="utf-8").count("\n") for path in (ROOT / "sapo_lite").rglob("*.py")
    }
    assert {path.name: count for path, count in lines.items() if count > LONGEST_FILE} == {}
