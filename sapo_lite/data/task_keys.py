"""Task keys: unique in a sequence, for dicts and file names."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

from sapo_lite.support.foreign_text import visible
from sapo_lite.types import abbreviated

# Not allowed in file names on some system; a leading dot hides a file, a trailing dot or blank is dropped.
_UNSAFE = re.compile(r'[/\\:*?"<>|\t\n]|^[. ]|[. ]$')
_LONGEST = 150  # bytes of a key; a file name may have 255, and it has more parts


def task_keys(ids: Sequence[str]) -> list[str]:
    """A unique key for each of these distinct ids.

    It is the short id (`task195`) if no other task has it, else the full id. A hash is added if this is not a
    safe file name, or if it differs from another one only in case or Unicode form, which some disks do not
    distinguish.
    """
    return [_key(own, [other for other in ids if other != own]) for own in ids]


def _key(own: str, others: Sequence[str]) -> str:
    full = {_folded(other) for other in others}
    if _safe(own) and _folded(own) not in full:
        short = abbreviated(own)
        unique = _folded(short) not in full | {_folded(abbreviated(other)) for other in others}
        return short if unique else own
    digest = hashlib.sha256(own.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', own).strip('-')[:60]}-{digest}"


def _safe(name: str) -> bool:
    plain = not _UNSAFE.search(name) and visible(name) == name
    return plain and len(name.encode()) <= _LONGEST


def _folded(name: str) -> str:
    """The name without case and Unicode form: some disks treat such names as one file."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
