"""Write the generated pages and schemas of the documentation: `python scripts/reference.py`.

docs/keys.md                        every key of a recipe
docs/commands.md                    every command, from its help
docs/schema/recipe.schema.json      JSON schemas
docs/schema/results.schema.json
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import TypeAdapter

from sapo_lite.cli import app
from sapo_lite.recipe.schema import DIALECT, recipe_schema
from sapo_lite.run.results import Results
from sapo_lite.support.messages import as_toml

DOCS = Path(__file__).resolve().parents[1] / "docs"
NOTE = "<!-- Written by scripts/reference.py. -->\n"
ABOUT_KEYS = """\
Every key of a recipe, with its values and its default. Unknown keys are refused, and all faults are reported
at once, with their lines. `--set SECTION.KEY=VALUE` changes one for a single run. Paths are relative to the
recipe.

An editor that knows JSON schemas for TOML (Taplo, Even Better TOML) completes and checks keys, if a recipe's
first line is `#:schema ./recipe.schema.json`, and `sapo-lite recipes schema > recipe.schema.json` has written
[the schema](schema/recipe.schema.json) beside it.
"""


def generated() -> dict[str, str]:
    """Texts of the generated files, by their path in docs/."""
    return {
        "keys.md": keys_page(recipe_schema()),
        "commands.md": commands_page(),
        "schema/recipe.schema.json": _as_json(recipe_schema()),
        "schema/results.schema.json": _as_json(results_schema()),
    }


def results_schema() -> dict[str, Any]:
    """Schema of results.json. Its checksum is that of the other keys."""
    schema = TypeAdapter(Results).json_schema()
    schema["properties"]["checksum"] = {"type": "string", "description": "SHA-256 of the other keys"}
    return {"$schema": DIALECT, **schema, "title": "results.json of a run of sapo-lite"}


def _as_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


# --- keys of a recipe


def keys_page(schema: Mapping[str, Any]) -> str:
    """Every section of a recipe: its docstring, and a table of its keys."""
    top = {name: prop for name, prop in schema["properties"].items() if not _section(prop)}
    parts = [
        "# Recipe keys\n\n" + NOTE,
        ABOUT_KEYS,
        "## At the top\n",
        _docstring(schema.get("description", "")),
        _keys(top, schema),
    ]
    for name, prop in schema["properties"].items():
        if section := _section(prop):
            parts += _section_parts(f"[{name}]", schema["$defs"][section], schema)
            if name == "sequence":
                parts += _section_parts("[[sequence.task]]", schema["$defs"]["TaskConfig"], schema)
    return "\n".join(parts)


def _section_parts(heading: str, found: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    keys = {name: prop for name, prop in found["properties"].items() if name != "task"}
    return [
        f"## {heading}\n",
        _docstring(found["description"]),
        _keys(keys, schema, found.get("required", ())),
    ]


def _section(prop: Mapping[str, Any]) -> str:
    """Name of the section that a property refers to; empty for a key."""
    return str(prop.get("$ref", "")).rpartition("/")[2]


def _docstring(text: str) -> str:
    """A docstring as Markdown: paragraphs, in which names are code already."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")) + "\n"


def _keys(properties: Mapping[str, Any], schema: Mapping[str, Any], required: Any = ()) -> str:
    rows = ["| key | value | default |", "| --- | --- | --- |"]
    for name, prop in properties.items():
        default = "required" if name in required else _code(as_toml(prop.get("default")))
        default = "–" if default == "`nothing`" else default
        rows.append(f"| `{name}` | {_value(prop).replace('|', chr(92) + '|')} | {default} |")
    return "\n".join(rows) + "\n"


def _value(prop: Mapping[str, Any]) -> str:
    """What a key takes: its choices, or its description."""
    if "enum" in prop:
        return ", ".join(_code(as_toml(value)) for value in prop["enum"])
    return re.sub(
        r'"[^"]*"|\[[^\]]*\]', lambda found: _code(found[0]), prop.get("description", "a text in quotes")
    )


def _code(text: str) -> str:
    return f"`{text}`"


# --- commands


def commands_page() -> str:
    """Every command: what it does, its arguments and options by group, examples."""
    root = typer.main.get_command(app)
    parts = [
        "# Commands\n\n" + NOTE,
        "Every command answers `-h`. Exit codes are in [reliability](reliability.md#exit-codes). "
        "`sapo-lite --install-completion` makes the shell complete commands and options.\n",
    ]
    for words, command in _commands(root, "sapo-lite"):
        parts += [f"## {words}\n", *_command(words, command)]
    return "\n".join(parts)


def _commands(group: Any, words: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield f"{words} {name}", command
            yield from _commands(command, f"{words} {name}")
        else:
            yield f"{words} {name}", command


def _command(words: str, command: Any) -> Iterator[str]:
    yield inspect.cleandoc(command.help or "") + "\n"
    shown = [
        param for param in command.params if not getattr(param, "hidden", False) and param.name != "help"
    ]
    arguments = [param for param in shown if param.param_type_name == "argument"]
    usage = " ".join(_argument(param) for param in arguments)
    options = [param for param in shown if param.param_type_name == "option"]
    yield f"```text\n{words}{' [OPTIONS]' if options else ''}{' ' + usage if usage else ''}\n```\n"
    if shown:
        yield "\n".join(["| | | default |", "| --- | --- | --- |", *map(_row, [*arguments, *options])]) + "\n"
    if command.epilog:
        examples = [line for line in command.epilog.split("\n\n") if line.startswith("sapo-lite")]
        yield "```sh\n" + "\n".join(examples) + "\n```\n"


def _argument(param: Any) -> str:
    name = param.metavar or param.name.upper()
    return name if param.required else f"[{name}]"


def _row(param: Any) -> str:
    help_text = (param.help or "").replace("|", r"\|")
    return f"| {_name(param)} | {help_text} | {_default(param)} |"


def _name(param: Any) -> str:
    if param.param_type_name == "argument":
        return _code(_argument(param).strip("[]")).replace("|", r"\|")
    names = "/".join([*param.opts, *param.secondary_opts])
    if param.is_flag or param.secondary_opts:
        return _code(names)
    value = param.metavar or _type(param.type_descriptor.annotation)
    return _code(f"{names} {value}").replace("|", r"\|")


def _type(annotation: Any) -> str:
    """`INT`; the choices of a Literal."""
    if isinstance(annotation, type):
        return {"str": "TEXT", "int": "N", "float": "NUMBER"}.get(annotation.__name__, "PATH")
    inner = [part for part in get_args(annotation) if part is not type(None)]
    return _type(inner[0]) if get_origin(annotation) is not Literal else "|".join(map(str, inner))


def _default(param: Any) -> str:
    if isinstance(param.show_default, str):
        return param.show_default.replace("|", r"\|")
    if param.required:
        return "required"
    shown = not isinstance(param.default, bool) and param.default not in (None, "")
    return _code(str(param.default)) if shown else ""


if __name__ == "__main__":
    for name, text in generated().items():
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_text(text, encoding="utf-8")
