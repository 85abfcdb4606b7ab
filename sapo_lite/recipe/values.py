"""The kinds of value a recipe takes, each with the words in which an error says what was expected."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from sapo_lite.messages import quoted


def _names(value: object) -> object:
    """Refuse a list that is empty, repeats itself or holds anything but names; say what was found."""
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


def _ids_as_text(value: object) -> object:
    """Task ids may be written as bare integers."""
    if not isinstance(value, list | tuple):
        return value
    return [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in value]


# The description is what follows "expected" in an error.
Text = Annotated[str, Field(min_length=1, description="a text in quotes")]
OptionalText = Annotated[str | None, Field(min_length=1, description="a text in quotes")]
Switch = Annotated[bool, Field(description="true or false")]
Count = Annotated[int, Field(ge=1, description="a whole number of at least 1")]
CountOrNone = Annotated[int, Field(ge=0, description="a whole number of at least 0")]
Positive = Annotated[float, Field(gt=0, description="a number above 0")]
NotNegative = Annotated[float, Field(ge=0, description="a number of at least 0")]
Share = Annotated[float, Field(ge=0, lt=1, description="a number from 0 to below 1")]
Modules = Annotated[
    tuple[str, ...],
    BeforeValidator(_names),
    Field(description='a list of different module names, such as ["q_proj", "v_proj"]'),
]
TaskIds = Annotated[
    tuple[str, ...],
    BeforeValidator(_names),
    BeforeValidator(_ids_as_text),  # the last one named is applied first
    Field(description='a list of different task ids, such as ["195", "1310"]'),
]
