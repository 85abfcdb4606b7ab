"""The JSON files of a run folder: their values without the checksum, and values put there as a run would."""

import json
from pathlib import Path
from typing import Any

from sapo_lite.support.checked_json import write_checked


def value_of(path: Path) -> Any:
    """The value that a file keeps, whatever its checksum."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        content.pop("checksum", None)
        return content["value"] if content.keys() == {"value"} else content
    return content


def put(path: Path, value: Any) -> None:
    """Write a value in a run folder with its checksum, as the run itself would."""
    write_checked(path, value, _place(path))


def _place(path: Path) -> str:
    run = next((p for p in path.parents if (p / "recipe.json").exists()), path.parent)
    inside = path.relative_to(run).as_posix()
    if inside in ("chat.json", "usage.json"):
        return f"run/{path.stem}"
    return inside if inside == path.name or path.name == "stage.json" else inside.removesuffix(".json")
