"""JSON files that hold one data class, read strictly: nothing missing, nothing unknown, no other types."""

import json
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from sapo_lite.errors import RunFolderError
from sapo_lite.support.checked_json import read_checked
from sapo_lite.support.files import MADE_AGAIN, read_json
from sapo_lite.support.messages import quoted

T = TypeVar("T")


def read_typed(
    path: Path, kind: type[T], fix: str = MADE_AGAIN, *, version: str | None = None, of: str | None = None
) -> T:
    """Read a data class, or a list of them, that `write_checked` wrote in the place `of`.

    version: its field that numbers the form of the file; the field's default is the one that is read

    Raises:
        RunFolderError: the file is damaged, was edited, or is of another version. Names it and what does not
            fit; `fix` says what to do about damage.
    """
    if version is not None:
        _require_version(path, read_json(path, fix), kind, version)
    return typed(read_checked(path, fix, of), kind, path, fix)


def read_plain(path: Path, kind: type[T], fix: str = MADE_AGAIN, *, version: str) -> T:
    """Like `read_typed`, of a file without a checksum."""
    content = read_json(path, fix)
    _require_version(path, content, kind, version)
    return typed(content, kind, path, fix)


def typed(content: Any, kind: type[T], path: Path, fix: str = MADE_AGAIN) -> T:
    """The data class of a JSON value; `__pydantic_config__` of the class says how strictly.

    Raises:
        RunFolderError: it does not fit; names the file `path`.
    """
    try:
        value: T = _reader(cast("Any", kind)).validate_json(json.dumps(content))
    except ValidationError as error:
        raise RunFolderError(f"{path}: {_fault(error)}. {fix}") from None
    return value


def _require_version(path: Path, content: Any, kind: type[T], version: str) -> None:
    expected = getattr(kind, version)
    found = content.get(version) if isinstance(content, dict) else None
    if found != expected:
        raise RunFolderError(
            f"{path} was written by another version of sapo-lite: expected {version} {expected}, found "
            f"{'none' if found is None else quoted(found)}. Use the version that wrote it, or run the "
            "recipe again into another folder."
        )


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _fault(error: ValidationError) -> str:
    """The first thing that does not fit."""
    first: Any = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the file"
    if first["type"] == "missing":
        return f"expected the key {place}, found none"
    if first["type"] == "unexpected_keyword_argument":
        return f"found the unknown key {place}"
    what = str(first["msg"]).removeprefix("Input should be ")
    return f"{place}: expected {what}, found {quoted(first['input'])}"
