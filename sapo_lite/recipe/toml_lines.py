"""Line numbers of the sections and keys of a TOML text (`tomllib` does not report them)."""

import re
from collections.abc import Iterator

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_PATH = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)[ \t]*({_PATH})[ \t]*\]")
_KEY = re.compile(rf"\s*({_PATH})[ \t]*=")

# Tokens that decide where a statement ends. Strings and comments are matched whole, so brackets, quotes, `#`
# and newlines inside them do not count. A multi-line string may close with up to five quotes.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[\]{}\n]",
    re.DOTALL,
)


def line_numbers(text: str) -> dict[str, int]:
    """Line (from 1) of every `[section]` and `key =`, keyed `section` and `section.key`.

    The nth `[[section]]` is keyed `section[n]`, from 1.

    `text` must be valid TOML: only positions are read, nothing is checked. Keys inside inline tables are not
    listed; they are on the line of the table's key, or a little below.
    """
    lines: dict[str, int] = {}
    tables: dict[str, int] = {}
    section = ""
    for line, statement in _statements(text):
        if header := _HEADER.match(statement):
            section = _dotted(header[2])
            if header[1] == "[[":
                tables[section] = tables.get(section, 0) + 1
                section = f"{section}[{tables[section]}]"
            lines.setdefault(section, line)
        elif key := _KEY.match(statement):
            lines.setdefault(".".join(filter(None, (section, _dotted(key[1])))), line)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every header, key with its value, comment or empty line."""
    start = depth = 0
    line = 1
    for token in _TOKEN.finditer(text + "\n"):
        mark = token[0]
        if mark in ("[", "{"):
            depth += 1
        elif mark in ("]", "}"):
            depth -= 1
        elif mark == "\n" and depth == 0:
            statement = text[start : token.start()]
            yield line, statement
            line += statement.count("\n") + 1
            start = token.end()


def _dotted(path: str) -> str:
    """`adapter . "rank"` -> `adapter.rank`."""
    return ".".join(part.strip("\"'") for part in re.findall(_PART, path))
