"""Hooks of MkDocs: links out of docs/, and formulas as MathML, which browsers draw without a script."""

import html
import posixpath
import re
from typing import Any

from latex2mathml.converter import convert

_LINK = re.compile(r"\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)[^)]*\)")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to files of the repository outside of docs/ become their text: the site does not hold them."""
    folder = posixpath.dirname(page.file.src_uri)

    def inside_only(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[2]))
        return match[1] if target.startswith("..") else match[0]

    return _LINK.sub(inside_only, markdown)


def on_page_content(content: str, **_: Any) -> str:
    """`$...$` and `$$...$$`, which arithmatex has marked, as MathML."""

    def formula(match: re.Match[str]) -> str:
        return convert(html.unescape(match[3]), display="inline" if match[2] == "(" else "block")

    return _FORMULA.sub(formula, content)
