"""Faults of a recipe, one sentence each: key, expected, found, nearest valid name."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from sapo_lite.recipe.rules import Rule
from sapo_lite.recipe.source import Fault, RecipeSource
from sapo_lite.recipe.values import Choices
from sapo_lite.support.messages import nearest, one_of, quoted

_LONGEST = 100  # characters of a key; the keys of a recipe are much shorter


def field_faults(error: ValidationError, root: type[BaseModel], source: RecipeSource) -> dict[str, Fault]:
    """One fault for every key that pydantic refused, keyed `section.key` or `section.table[1].key`."""
    faults: dict[str, Fault] = {}
    for detail in error.errors():
        key = _key(detail["loc"])
        if detail["type"] == "extra_forbidden":
            faults[key] = Fault(source.place(key), _unknown(key, root, detail["input"]))
        else:
            # Our own validators report the found value themselves; otherwise it is the input.
            found = (
                str(detail["ctx"]["error"]) if detail["type"] == "value_error" else quoted(source.value(key))
            )
            field = _field(root, key)
            text = f"{key}: expected {_expected(field, key)}, found {found}"
            faults[key] = Fault(source.place(key), text + _did_you_mean(field, source.value(key)))
    return faults


def rule_faults(
    rules: Sequence[Rule], root: type[BaseModel], source: RecipeSource, refused: set[str]
) -> Iterator[Fault]:
    """Faults between keys. Rules on a key that was already refused are not checked."""
    refused_sections = {key for key in refused if "." not in key}
    for rule in rules:
        if refused.intersection(rule.keys) or any(k.partition(".")[0] in refused_sections for k in rule.keys):
            continue
        values = [value_or_default(key, root, source) for key in rule.keys]
        if not rule.holds(*values):
            # Report a key that the recipe sets: the rule's first key may have its default.
            written = next((key for key in rule.keys if source.value(key) is not None), rule.keys[0])
            written = next((key for key in rule.keys if key in source.places), written)
            found = quoted(values[0]) + _origin(rule.keys[0], values[0], source)
            text = f"{rule.keys[0]}: expected {rule.expected.format(*values)}, found {found}"
            yield Fault(source.place(written), text)


def _origin(key: str, value: Any, source: RecipeSource) -> str:
    """Origin of a value that the recipe has not written, in brackets; "" for one that it has."""
    if value is None or key in source.places:
        return ""
    if source.value(key) is None:
        return " (the default)"
    return ' (protocol is "released")' if source.value("protocol") == "released" else ""


def _key(location: tuple[int | str, ...]) -> str:
    """`("sequence", "task", 0, "name")` -> `sequence.task[1].name`."""
    parts = [f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).removeprefix(".")


def _field(root: type[BaseModel], key: str) -> FieldInfo:
    section, _, name = key.rpartition(".")
    return _table(root, section).model_fields[name.partition("[")[0]]


def _table(root: type[BaseModel], section: str) -> type[BaseModel]:
    """The class of a section, or of an array of tables in one (`sequence.task[1]`); of "", the root."""
    found = root
    for name in filter(None, re.sub(r"\[[0-9]+\]", "", section).split(".")):
        kind = found.model_fields[name].annotation
        found = get_args(kind)[0] if get_origin(kind) is tuple else kind  # type: ignore[assignment]
    return found


def _sections(root: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The fields of `root` that are tables, in the order of the recipe."""
    return {
        name: field.annotation
        for name, field in root.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }


def value_or_default(key: str, root: type[BaseModel], source: RecipeSource) -> Any:
    written = source.value(key)
    return _field(root, key).get_default() if written is None else written


def _choices(field: FieldInfo) -> tuple[str | bool, ...]:
    for mark in field.metadata:
        if isinstance(mark, AfterValidator) and isinstance(mark.func, Choices):
            return tuple(mark.func.names())
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def _expected(field: FieldInfo, key: str) -> str:
    """The expected value in words: the choices of an enumerated key, else its type's description."""
    if choices := _choices(field):
        return one_of(quoted(choice) for choice in choices)
    return field.description or f"a section [{key}]"


def _did_you_mean(field: FieldInfo, found: object) -> str:
    names = [choice for choice in _choices(field) if isinstance(choice, str)]
    matches = nearest(found, names) if isinstance(found, str) else []
    return f'; did you mean "{matches[0]}"?' if matches else ""


def _unknown(key: str, root: type[BaseModel], value: object) -> str:
    """Fault of an unknown key or section, with the section in which the name would be valid."""
    within, _, name = key.rpartition(".")
    if len(name) > _LONGEST:
        found = f"one of {len(name):,}"
        return f"{within or 'recipe'}: expected keys of at most {_LONGEST} characters, found {found}"
    sections = _sections(root)
    if not within and isinstance(value, dict):
        matches = nearest(name, sections)
        hint = f"did you mean [{matches[0]}]?" if matches else f"there are {', '.join(sections)}"
        return f"[{name}]: no such section; {hint}"
    if elsewhere := [f"{other}.{name}" for other, model in sections.items() if name in model.model_fields]:
        return f"{key}: no such key; did you mean {one_of(elsewhere)}?"
    if not within:
        return f"{key}: no such key; at the top stand seed, protocol and the sections {', '.join(sections)}"
    valid = _table(root, within).model_fields
    matches = nearest(name, valid)
    section = re.sub(r"(.+)\[[0-9]+\]", r"[\1]", within)
    hint = f'did you mean "{matches[0]}"?' if matches else f"[{section}] takes {', '.join(valid)}"
    return f"{key}: no such key; {hint}"
