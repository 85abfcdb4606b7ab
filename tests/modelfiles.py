"""Modelfiles as Ollama reads them, and templates as Go's text/template renders them.

The reader follows Ollama's parser: characters that are not printed are left out, and a value in three
quotation marks ends at a line that ends with three.
"""

import json
import re

ACTION = re.compile(r"\{\{(.*?)\}\}", flags=re.DOTALL)


def read(text: str) -> list[tuple[str, str]]:
    """(command, value) of each instruction; the command of a parameter is its name."""
    found = []
    rest = text.split("\n")
    while rest:
        line = rest.pop(0)
        if not line.strip():
            continue
        name, _, value = line.partition(" ")
        assert name in ("FROM", "TEMPLATE", "PARAMETER")
        if name == "PARAMETER":
            name, _, value = value.partition(" ")
            assert re.fullmatch("[a-z_]+", name)
        value = as_read(value)
        while (whole := unquoted(value.strip(" \t\n"))) is None:
            assert rest, f"the value of {name} does not end"
            value += "\n" + as_read(rest.pop(0))
        found.append((name, whole))
    return found


def as_read(text: str) -> str:
    return "".join(c for c in text if c.isprintable() or c == "\t")


def unquoted(value: str) -> str | None:
    """The value without quotation marks; None if it goes on."""
    for marks in ('"""', '"'):
        if value.startswith(marks):
            whole = len(value) >= 2 * len(marks) and value.endswith(marks)
            return value[len(marks) : -len(marks)] if whole else None
    return value


def rendered(template: str, prompt: str) -> str:
    """What Go's text/template gives; its strings are those of JSON, but for \\U."""

    def value(found: re.Match[str]) -> str:
        action = found[1].strip()
        assert not found[1].startswith("-")
        if action == ".Prompt":
            return prompt
        escapes = re.sub(r"\\U([0-9a-f]{8})", lambda code: chr(int(code[1], 16)), action)
        return str(json.loads(escapes, strict=False))

    plain = ACTION.sub("", template)
    assert "{{" not in plain
    return ACTION.sub(value, template)
