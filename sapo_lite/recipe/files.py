"""Recipe files: the shipped ones, and the search for a path or name from the command line."""

from pathlib import Path

from sapo_lite.errors import RecipeError
from sapo_lite.support.messages import nearest, quoted
from sapo_lite.support.shipped import shipped, typed_path


def shipped_recipes() -> list[Path]:
    """The recipes that come with sapo-lite, in alphabetical order."""
    return sorted(shipped("recipes").glob("*.toml"))


def find_recipe(spec: str | Path) -> Path:
    """The file of a path or a shipped recipe's name. Raises RecipeError with the nearest name."""
    by_name = {path.stem: path for path in shipped_recipes()}
    if str(spec) in by_name:
        return by_name[str(spec)]
    path = typed_path(spec)
    if path.suffix == ".toml" and path.is_file():
        return path
    matches = nearest(path.stem, by_name)
    hint = f'; did you mean "{matches[0]}"?' if matches else ""
    raise RecipeError(
        f"{spec}: no such recipe. Expected a path to a .toml file, or the name of a shipped recipe: "
        f"{', '.join(by_name)}{hint}"
    )


def recipe_text(name: str) -> str:
    """The text of a shipped recipe (or of a path). Raises RecipeError if there is none."""
    return find_recipe(name).read_text(encoding="utf-8")


def describe(path: Path) -> str:
    """A recipe's purpose: the comment in its first line, or ""."""
    first, *_ = path.read_text(encoding="utf-8").splitlines() or [""]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def found_file(key: str, name: str, *folders: Path) -> Path:
    """Absolute path of a file in the first of the folders that has it. Raises RecipeError if none has."""
    places = list(dict.fromkeys(folder.absolute() for folder in folders))
    for place in places:
        if (place / typed_path(name)).is_file():
            return place / typed_path(name)
    raise RecipeError(f"{key}: no file {quoted(name)}; looked in {', '.join(map(str, places))}")
