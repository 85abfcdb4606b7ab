"""Text in columns of a terminal: Chinese characters take two, combining ones none."""

import unicodedata


def columns(text: str) -> int:
    """Number of columns that a text takes on a terminal."""
    return sum(map(_columns, text))


def cut(text: str, width: int) -> str:
    """The text, or as much of it as stands in `width` columns with an ellipsis at its end."""
    if columns(text) <= width:
        return text
    kept, room = "", width - 1
    for character in text:
        if _columns(character) > room:
            break
        kept += character
        room -= _columns(character)
    # Where half of a wide character would be left, a space fills its place.
    return f"{kept}{' ' * room}…"


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
