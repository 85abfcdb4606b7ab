"""Text files of users: their encoding, their lines."""

import codecs
import re
from collections.abc import Callable
from pathlib import Path

from sapo_lite.errors import DataError

# Receives a sentence for the user.
Notify = Callable[[str], None]

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32", "utf-32"),
    (codecs.BOM_UTF32_BE, "UTF-32", "utf-32"),
    (codecs.BOM_UTF16_LE, "UTF-16", "utf-16"),
    (codecs.BOM_UTF16_BE, "UTF-16", "utf-16"),
)
_MARK = "\ufeff"
# Characters of two bytes or more in UTF-8.
_LONG_IN_UTF8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")


def ignore(notice: str) -> None:
    """No display of notices."""


def read_text(path: Path, notify: Notify = ignore) -> str:
    """The file's text, without a byte-order mark at its start.

    It may be in UTF-8, UTF-16, or Latin-1 with the additions of Windows; `notify` is called unless it is in
    UTF-8. Half surrogate pairs stay in the text: who reads rows can say where they are.

    Raises:
        DataError: the file cannot be read, is in another encoding, or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        name, text = _decoded(data)
    except UnicodeDecodeError as error:
        line = len(lines_of(data[: error.start].decode("latin-1")))
        raise DataError(
            f"{path}: expected UTF-8 text, found other bytes at byte {error.start}, line {line}. "
            "Save the file as UTF-8."
        ) from None
    if name != "UTF-8":
        notify(f"{path}: not in UTF-8; it was read as {name}. Save it as UTF-8 if characters look wrong.")
    text = text.lstrip(_MARK)
    if not text.replace(_MARK, "").strip():
        raise DataError(f"{path}: expected text, found an empty file")
    return text


def _decoded(data: bytes) -> tuple[str, str]:
    """Name of the encoding, and the text. Raises UnicodeDecodeError if none of ours fits."""
    for mark, name, codec in _MARKS:
        if data.startswith(mark):
            return name, data.decode(codec, "surrogatepass")
    if unmarked := _unmarked_utf16(data):
        return "UTF-16", data.decode(unmarked, "surrogatepass")
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        if _looks_like_latin1(data):
            return "Latin-1 (Windows-1252)", data.decode("cp1252")
        raise
    # Some programs write the two halves of a surrogate pair as a character each.
    return "UTF-8", text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _unmarked_utf16(data: bytes) -> str | None:
    """The codec of UTF-16 without a mark, in which every ASCII character has a zero byte."""
    first, second = data[0::2].count(0), data[1::2].count(0)
    if not first + second:
        return None
    codec = "utf-16-be" if first > second else "utf-16-le"
    if (first + second) * 4 < len(data) and _decodes(data, "utf-8"):
        return None  # a text with a zero character here and there
    return codec if _decodes(data, codec) else None


def _decodes(data: bytes, codec: str) -> bool:
    try:
        data.decode(codec, "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _looks_like_latin1(data: bytes) -> bool:
    """Whether characters outside ASCII stand among ASCII letters, and are not those of a damaged UTF-8 file.

    Four such bytes together are words of another script in its own encoding (GBK, Shift-JIS, Windows-1251).
    """
    if re.search(rb"[\x80-\xff]{4}|[\x00\x81\x8d\x8f\x90\x9d]", data):  # the last are not in use
        return False
    in_utf8 = _LONG_IN_UTF8.findall(data)
    others = len(_NOT_ASCII.findall(data)) - sum(map(len, in_utf8))
    return others > len(in_utf8)


def lines_of(text: str) -> list[str]:
    """Lines of a text, with the line ends of any system, without byte-order marks at their start.

    Concatenated files have such marks inside. Not splitlines: a JSON string may have U+2028.
    """
    return [line.lstrip(_MARK) for line in re.split(r"\r\n|\r|\n", text)]
