"""The house keeps its shape: imports go down only, and some things are imported in one room alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "sapo_lite"

# A room may import from itself and from those further left. Rooms with a comma between do not import others.
RULE = """errors < support < types < lab, data < model < prompts < evaluation < learning < recipe < run
    < compare, leaderboard, probe < report < cli < __main__"""
FLOOR = {room.strip(): floor for floor, rooms in enumerate(RULE.split("<")) for room in rooms.split(",")}


def files() -> Iterator[tuple[Path, ast.Module]]:
    """(path within the package, syntax tree) of every file in a room."""
    for path in sorted(PACKAGE.rglob("*.py")):
        within = path.relative_to(PACKAGE)
        if within != Path("__init__.py"):
            yield within, ast.parse(path.read_text(encoding="utf-8"))


def room_of(within: Path) -> str:
    return within.parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Modules that are imported when the program runs: not those in `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from imports(node)


def importers(package: str) -> set[str]:
    """Rooms that import a package from elsewhere, at any place of their code."""
    return {room_of(path) for path, tree in files() for i in imports(tree) if i.split(".")[0] == package}


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path, _ in files()} == set(FLOOR)


def test_imports_go_down_only() -> None:
    upward = []
    for path, tree in files():
        room = room_of(path)
        for imported in imports(tree):
            other = imported.split(".")[1] if imported.startswith("sapo_lite.") else room
            if other != room and FLOOR[other] >= FLOOR[room]:
                upward.append(f"{path} imports {imported}")
    assert not upward


def test_no_import_goes_in_a_circle() -> None:
    graph = {
        "sapo_lite." + ".".join(path.with_suffix("").parts).removesuffix(".__init__"): set(imports(tree))
        for path, tree in files()
    }
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above, module))
        if module not in done:
            # A package that imports its own modules names itself.
            for imported in (graph[module] & graph.keys()) - {module}:
                visit(imported, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_at_most_six_modules_stand_at_the_top() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 6


def test_only_report_and_the_command_line_draw() -> None:
    assert importers("rich") == {"report", "cli"}


def test_only_figures_of_reports_import_matplotlib() -> None:
    users = {path.parent.as_posix() for path, tree in files() for i in imports(tree) if "matplotlib" in i}
    assert users == {"report/figures"}


def test_only_the_model_room_imports_unsloth() -> None:
    assert importers("unsloth") == {"model"}


def test_only_the_ollama_source_imports_the_client_of_ollama() -> None:
    users = {path.as_posix() for path, tree in files() for i in imports(tree) if i.split(".")[0] == "ollama"}
    assert users == {"prompts/sources/ollama.py", "prompts/sources/ollama_server.py"}


def test_only_the_model_room_applies_a_chat_template() -> None:
    callers = {
        room_of(path)
        for path, tree in files()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "apply_chat_template"
    }
    assert callers == {"model"}
