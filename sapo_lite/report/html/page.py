"""Pages from templates: style sheet and script inside, every other text escaped."""

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from sapo_lite import __version__
from sapo_lite.support.messages import duration, many, number

_TEMPLATES = Path(__file__).parent / "templates"


def page(template: str, **content: Any) -> str:
    """The page that a template makes of the content. A missing name in it is an error, not a gap."""
    templates = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "duration": duration,
        "many": many,
        "number": number,
        "cut": cut,
        "breakable": breakable,
    }
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return templates.get_template(template).render(
        **content, version=__version__, style=style, script=script, script_hash=_hash(script)
    )


def write_page(path: Path, text: str) -> Path:
    """Write a page under a temporary name, then rename it. Returns its path."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    # A lone surrogate, as a model may answer it, is no character of UTF-8.
    try:
        partial.write_text(text, encoding="utf-8", errors="replace")
        partial.replace(path)
    except OSError:  # a full disk: half a page would fill it further
        partial.unlink(missing_ok=True)
        raise
    return path


def cut(text: str, length: int) -> str:
    """At most `length` characters of a text, and a mark if there are more."""
    return text if len(text) <= length else text[: length - 1] + "…"


def breakable(name: str) -> Markup:
    """A name that a narrow table may break behind its underscores."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _hash(script: str) -> str:
    """Hash by which the page allows its own script, and so no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
