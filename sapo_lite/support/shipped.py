"""Where the shipped recipes and data are: inside the installed package, or beside it in a clone."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(kind: str) -> Path:
    """Folder of shipped files; `kind` is "recipes" or "data".

    The wheel packs both folders into `sapo_lite/shipped`; in a clone they stand at the root.
    """
    inside = _PACKAGE / "shipped" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind
