"""Types of a recipe's values, each with its description for error messages."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.tracking import TRACKERS
from sapo_lite.prompts.sources import SOURCES
from sapo_lite.prompts.strategies import STRATEGIES, variants
from sapo_lite.support.messages import nearest, one_of, quoted


def _names(value: object) -> tuple[str, ...]:
    """Refuse a list that is empty, has duplicates or other items than names; report what was found."""
    if not isinstance(value, list | tuple):
        raise ValueError(quoted(value))
    if not value:
        raise ValueError("an empty list")
    for position, item in enumerate(value):
        if not isinstance(item, str) or not item:
            raise ValueError(f"the item {quoted(item)}")
        if item in value[:position]:
            raise ValueError(f"{quoted(item)} twice")
    return tuple(value)


def _names_or_none(value: object) -> tuple[str, ...]:
    """Like `_names`, but a list may be empty."""
    return () if value in ([], ()) else _names(value)


def _trackers(value: object) -> tuple[str, ...]:
    """Different names of trackers, or none."""
    names = _names_or_none(value)
    if unknown := next((name for name in names if name not in TRACKERS), None):
        raise ValueError(quoted(unknown))
    return names


def _ids_as_text(value: object) -> object:
    """Task ids may be written as bare integers."""
    if not isinstance(value, list | tuple):
        return value
    return [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in value]


def _labels(value: object) -> object:
    return value if value == "auto" else _names(_ids_as_text(value))


def _modules(value: object) -> object:
    return value if value in ("auto", "all-linear") else _names(value)


@dataclass(frozen=True)
class Choices:
    """Refuses a text that is not one of some names; the names are looked up at each check."""

    names: Callable[[], Iterable[str]]

    def __call__(self, value: str) -> str:
        if value not in self.names():
            raise ValueError(quoted(value))
        return value


@dataclass(frozen=True)
class AtMost:
    """Refuses a number above a limit: it is a typo, or would run or allocate for ever."""

    limit: int

    def __call__(self, value: float | None) -> float | None:
        if value is not None and value > self.limit:
            raise ValueError(f"{quoted(value)} (at most {self.limit:,})")
        return value


def one_line(value: str | None) -> str | None:
    """A name, an address or a path. Refuse what no file can be called; report what was found."""
    for part in re.split(r"[/\\]", value or ""):
        if "\0" in part:
            raise ValueError("a text with the character NUL in it")
        if (length := len(part.encode(errors="surrogatepass"))) > LONGEST_NAME:
            raise ValueError(f"{quoted(part)}, of {length} bytes (a name has at most {LONGEST_NAME})")
    return value


def _one_of(names: Callable[[], Iterable[str]]) -> Any:
    """For the JSON schema: the names of `Choices`."""
    return Field(json_schema_extra=lambda schema: schema.update(enum=list(names())))


# For the JSON schema: what validators take besides what the types say.
_IDS = {"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 1}
_NAMES_OR_ONE = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}


def _sources(value: object) -> object:
    """One source, or a list of different ones. Refuse unknown ones; the error names them."""
    for name in (names := _names([value] if isinstance(value, str) else value)):
        kind, slash, model = name.partition("/")
        if kind not in SOURCES:
            close = nearest(kind, SOURCES)
            raise ValueError(quoted(name) + (f'; did you mean "{close[0]}"?' if close else ""))
        if slash and not (SOURCES[kind].names_a_model and model):
            raise ValueError(quoted(name))
        one_line(model)
    return names


def _chat_template(value: str) -> str:
    """One of the names, or what can be a file."""
    one_line(value)
    if value not in CHAT_TEMPLATES and not any(sign in value for sign in "./\\"):
        close = nearest(value, CHAT_TEMPLATES)
        raise ValueError(quoted(value) + (f'; did you mean "{close[0]}"?' if close else ""))
    return value


def _protocol(value: object) -> object:
    if value == "paper":
        raise ValueError(
            '"paper", which is gone: "released" repeats the released code; what "paper" set is '
            'scoring.reduction = "batch_mean"'
        )
    return value


def _base_url(value: object) -> object:
    """An address without secrets, since it is written to files: keys belong in the environment."""
    if not isinstance(value, str):
        return value
    if any(sign in value for sign in "@?#"):
        raise ValueError("an address with a key or a password in it, which belong in OPENAI_API_KEY")
    try:
        parts = urlsplit(value)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # unmatched brackets, or a port that is not a number
        sound = False
    if not sound:
        raise ValueError(quoted(value))
    return value


def _asked_for_by(setting: str) -> list[str]:
    """The values of a setting of the section `prompt` that select a variant of a strategy."""
    return list(dict.fromkeys(str(variant.value) for variant in variants() if variant.setting == setting))


# Above the width of any layer.
HIGHEST_RANK = 16_384
# Bytes of a file's name on the usual file systems.
LONGEST_NAME = 255
# More than any study uses; the rules have 3000 for an instruction.
MOST_PARAPHRASES = 10_000


def _sampling() -> list[str]:
    return ["uniform", *_asked_for_by("sampling")]


def _rescore() -> list[str]:
    return ["never", *_asked_for_by("rescore")]


def _indicator() -> list[str]:
    return ["loss", *_asked_for_by("indicator")]


# Values of model.chat_template that are no files.
CHAT_TEMPLATES = ("model", "chatml", "none")

# In an error, the description follows "expected".
Labels = Annotated[
    Literal["auto"] | tuple[str, ...] | None,
    BeforeValidator(_labels),
    WithJsonSchema({"anyOf": [{"const": "auto"}, _IDS]}),
    Field(description='"auto", or a list of different labels, such as ["yes", "no"]'),
]
StrategyName = Annotated[str, AfterValidator(Choices(lambda: STRATEGIES)), _one_of(lambda: STRATEGIES)]
Sampling = Annotated[str, AfterValidator(Choices(_sampling)), _one_of(_sampling)]
Rescore = Annotated[str, AfterValidator(Choices(_rescore)), _one_of(_rescore)]
IndicatorName = Annotated[str, AfterValidator(Choices(_indicator)), _one_of(_indicator)]
MethodName = Annotated[str, AfterValidator(Choices(lambda: METHODS)), _one_of(lambda: METHODS)]
Text = Annotated[str, Field(min_length=1, description="a text in quotes"), AfterValidator(one_line)]
OptionalText = Annotated[
    str | None, Field(min_length=1, description="a text in quotes"), AfterValidator(one_line)
]
Switch = Annotated[bool, Field(description="true or false")]
_WHOLE = "a whole number of at least"
_BOUNDED = AfterValidator(AtMost(10**9))
Count = Annotated[int, Field(ge=1, description=f"{_WHOLE} 1"), _BOUNDED]
CountOrNone = Annotated[int, Field(ge=0, description=f"{_WHOLE} 0"), _BOUNDED]
OptionalCount = Annotated[int | None, Field(ge=1, description=f"{_WHOLE} 1"), _BOUNDED]
Seed = Annotated[int, Field(ge=0, description=f"{_WHOLE} 0")]
OptionalSeed = Annotated[int | None, Field(ge=0, description=f"{_WHOLE} 0")]
Rank = Annotated[int, Field(ge=1, description=f"{_WHOLE} 1"), AfterValidator(AtMost(HIGHEST_RANK))]
Paraphrases = Annotated[int, Field(ge=0, description=f"{_WHOLE} 0"), AfterValidator(AtMost(MOST_PARAPHRASES))]
Calls = Annotated[int, Field(ge=1, description=f"{_WHOLE} 1"), AfterValidator(AtMost(1000))]
Positive = Annotated[float, Field(gt=0, description="a number above 0"), _BOUNDED]
# Lower ones divide by what is nearly 0.
Temperature = Annotated[float, Field(ge=0.001, description="a number of at least 0.001"), _BOUNDED]
NotNegative = Annotated[float, Field(ge=0, description="a number of at least 0"), _BOUNDED]
OptionalNotNegative = Annotated[float | None, Field(ge=0, description="a number of at least 0"), _BOUNDED]
Fraction = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")]
Share = Annotated[float, Field(ge=0, lt=1, description="a number from 0 to below 1")]
Percent = Annotated[float, Field(ge=0, le=100, description="a number from 0 to 100")]
Sources = Annotated[
    tuple[str, ...],
    BeforeValidator(_sources),
    WithJsonSchema(_NAMES_OR_ONE),
    Field(description=f"{one_of(map(quoted, SOURCES))}, or a list of them"),
]
Protocol = Annotated[Literal["corrected", "released"], BeforeValidator(_protocol)]
ChatTemplate = Annotated[
    str,
    AfterValidator(_chat_template),
    Field(description=f'{one_of(map(quoted, CHAT_TEMPLATES))}, or a file such as "chat.jinja"'),
]
BaseUrl = Annotated[
    str | None,
    BeforeValidator(_base_url),
    Field(description="an address such as http://127.0.0.1:8000/v1"),
]
Modules = Annotated[
    Literal["auto", "all-linear"] | tuple[str, ...],
    BeforeValidator(_modules),
    Field(
        description='"auto", "all-linear", or a list of different module names, such as ["q_proj", "v_proj"]'
    ),
]
TaskIds = Annotated[
    tuple[str, ...],
    BeforeValidator(_names),
    BeforeValidator(_ids_as_text),  # the last one named is applied first
    WithJsonSchema(_IDS),
    Field(description='a list of different task ids, such as ["195", "1310"]'),
]
WatchNames = Annotated[
    tuple[str, ...],
    BeforeValidator(_names_or_none),
    Field(description='a list of different names, such as ["general", "harness:arc_easy"]'),
]
TrackerNames = Annotated[
    tuple[str, ...],
    BeforeValidator(_trackers),
    Field(description=f"a list of {one_of(map(quoted, TRACKERS))}"),
]
