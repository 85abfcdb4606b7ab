"""Paths of shipped files, of the user's cache, and of files that a user names."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(kind: str) -> Path:
    """Path of what is shipped; `kind` is "recipes", "data" or "CITATION.cff".

    The wheel packs them into `sapo_lite/shipped`; in a clone they stand at the root.
    """
    inside = _PACKAGE / "shipped" / kind
    return inside if inside.exists() else _PACKAGE.parent / kind


def cache_folder() -> Path:
    """SAPO_LITE_CACHE, or else `sapo-lite` in the user's cache folder.

    Raises:
        RuntimeError: the user has no home folder, as in some containers.
    """
    if own := os.environ.get("SAPO_LITE_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sapo-lite"


def typed_path(text: str | os.PathLike[str]) -> Path:
    """The path that a user typed. `~` is the home folder; a shell does not expand it in `--out=~/x`."""
    return Path(os.path.expanduser(text))
