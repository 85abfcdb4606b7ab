"""The settings of a recipe as written, with their places: the TOML file plus the `--set` overrides."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from sapo_lite.errors import RecipeError
from sapo_lite.recipe.toml_lines import line_numbers
from sapo_lite.support.strict_json import HALF, within_limits, writable

_AFTER_THE_FILE = 1_000_000  # overrides sort behind every line of the file
_LONGEST = 200  # characters of an override in a message
_STEP = re.compile(r"[^.\[\]]+|\[[0-9]+\]")  # of a key: `sequence.task[2].name` has four
_IN_THE_FILE = "edit [[sequence.task]] in the recipe; --set sequence.tasks chooses and orders tasks by name"


class Place(NamedTuple):
    """Place of a setting. Places sort in reading order: lines of the file, then overrides."""

    order: int
    text: str


class Fault(NamedTuple):
    """One fault of a recipe: its place and its text (key, expected, found)."""

    place: Place
    text: str


@dataclass(frozen=True)
class RecipeSource:
    """Settings as written, unchecked.

    `places` is keyed `section`, `section.key` and "" (the file); for arrays of tables, `section.table[1]` and
    `section.table[1].key`, counted from 1.
    """

    values: dict[str, Any]
    places: Mapping[str, Place]
    faults: Sequence[Fault]

    def place(self, key: str) -> Place:
        """The place of `key`, or else of its table or section, or else of the file."""
        if key in self._first:
            return self._first[key]
        above = [key[: step.end()] for step in _STEP.finditer(key)]
        return next((self.places[name] for name in reversed(above) if name in self.places), self.places[""])

    @cached_property
    def _first(self) -> dict[str, Place]:
        """The first place of every key, and of what is written within it."""
        first: dict[str, Place] = {}
        for name, place in self.places.items():
            for end in (step.end() for step in _STEP.finditer(name)):
                first[name[:end]] = min(place, first.get(name[:end], place))
        return first

    def fill(self, section: str, **settings: Any) -> None:
        """Set settings of a section that the recipe has not set."""
        written = self.values.get(section, {})
        if isinstance(written, dict):  # if not, the section itself is at fault, and will be reported
            self.values[section] = settings | written

    def put(self, key: str, value: Any) -> None:
        """Set `section.key`, also if the recipe has set it."""
        section, _, name = key.rpartition(".")
        holder = self.values.setdefault(section, {})
        if isinstance(holder, dict):  # if not, the section itself is at fault, and will be reported
            holder[name] = value

    def value(self, key: str) -> Any:
        """The written value of `section.key`, a top-level key or `section.table[1].key`; None without one."""
        found: Any = self.values
        for step in _STEP.findall(key):
            if step[0] == "[":
                number = int(step[1:-1])
                found = found[number - 1] if isinstance(found, list) and number <= len(found) else None
            else:
                found = found.get(step) if isinstance(found, Mapping) else None
        return found


def read_source(path: Path, label: str, overrides: Sequence[str]) -> RecipeSource:
    """Read the file (named `label` in messages) and apply the overrides; the last one wins.

    Invalid overrides are collected in `faults`, to be reported together with all others.

    Raises:
        RecipeError: the file cannot be read or is not TOML.
    """
    text, values = _read_toml(path, label)
    places = {key: Place(line, f"{label}, line {line}") for key, line in line_numbers(text).items()}
    places[""] = Place(0, label)
    faults = []
    for number, override in enumerate(overrides):
        shown = writable(override)
        shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
        place = Place(_AFTER_THE_FILE + number, f"--set {shown}")
        if half := HALF.search(override):
            found = f"half of one, \\u{ord(half[0]):04x}"
            faults.append(Fault(place, f"expected whole characters in UTF-8, found {found}"))
            continue
        key, equals, written = override.partition("=")
        key = key.strip()
        if key.startswith("sequence.task") and key[13:14] in ("", ".", "["):
            faults.append(Fault(place, f"{key}: {_IN_THE_FILE}"))
            continue
        section, _, name = key.rpartition(".")
        if not (equals and name) or "." in section:
            faults.append(Fault(place, "expected section.key=value, such as adapter.rank=4"))
            continue
        holder = values.setdefault(section, {}) if section else values
        if isinstance(holder, dict):  # if not, the section itself is at fault, and will be reported
            try:
                holder[name] = parse_value(written)
            except ValueError as error:
                faults.append(Fault(place, f"{key}: {error}"))
                continue
            places[key] = place
    return RecipeSource(values, places, faults)


def _read_toml(path: Path, label: str) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte-order mark first
        return text, within_limits(lambda: tomllib.loads(text))
    except OSError as error:
        raise RecipeError(f"{label}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{label}: expected UTF-8 text, found other bytes at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        hint = "texts stand in double quotes, switches are true or false"
        raise RecipeError(f"{label}: not valid TOML: {error}; {hint}") from error
    except ValueError as error:
        raise RecipeError(f"{label}: {error}") from None


def parse_value(written: str) -> Any:
    """The value of an override: as TOML if it parses (`4`, `[195, 273]`, `"x"`), else the bare text.

    Raises:
        ValueError: a number is too long, or the nesting too deep.
    """
    try:
        parsed = within_limits(lambda: tomllib.loads(f"value = {written}"))
    except tomllib.TOMLDecodeError:
        return written.strip()
    return parsed["value"] if len(parsed) == 1 else written
