"""The house keeps its shape: imports go down only, and some things are imported in one place alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "sapo_lite"

# From the bottom up. A module may import from its own layer and those before it.
LAYERS = [
    ["types", "errors", "resources", "messages", "checksums"],
    ["recipe", "suites", "tasks", "metrics", "rundir", "tables", "display", "quiet"],
    ["chat", "model_files", "backbone"],
    [
        "racing",
        "certainty",
        "packing",
        "answer_loss",
        "selfcheck",
        "scoring",
        "adapters",
        "training",
        "numbered_rows",
        "generation",
        "evaluation",
        "paraphrase",
        "wordings",
        "rewriting",
        "lab",
    ],
    ["strategies"],
    [
        "choice",
        "robustness",
        "learned",
        "results",
        "usage",
        "learner",
        "pipeline",
        "plan",
        "summary",
        "leaderboard",
        "comparing",
    ],
    ["cli", "__main__"],
]
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """(top-level module or sub-package of sapo_lite, syntax tree) of every file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name != "__init__":
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def without_type_checking(tree: ast.Module) -> ast.Module:
    """The tree less its `if TYPE_CHECKING:` blocks, which import nothing when the program runs."""
    body = [n for n in tree.body if not (isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")]
    return ast.Module(body, [])


def test_every_module_has_a_layer() -> None:
    assert {name for name, _ in modules()} == set(LAYER_OF)


def test_imports_go_down_only() -> None:
    upward = [
        f"{name} imports {imported}"
        for name, tree in modules()
        for imported in imports(without_type_checking(tree))
        if imported.startswith("sapo_lite.") and LAYER_OF[imported.split(".")[1]] > LAYER_OF[name]
    ]
    assert not upward


def test_only_the_backbone_imports_unsloth() -> None:
    importers = {name for name, tree in modules() for i in imports(tree) if i.split(".")[0] == "unsloth"}
    assert importers == {"backbone"}


def test_only_the_ollama_source_imports_the_client_of_ollama() -> None:
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for imported in imports(ast.parse(path.read_text(encoding="utf-8")))
        if imported.split(".")[0] == "ollama"
    }
    assert users == {"paraphrase/ollama.py", "paraphrase/ollama_server.py"}


def test_only_chat_applies_a_chat_template() -> None:
    callers = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "apply_chat_template"
    }
    assert callers == {"chat"}
