"""Keys of the tasks of a sequence: what tells them apart in dicts and in names of files."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

from sapo_lite.types import abbreviated

# Not in names of files on some system; a leading dot hides a file, a trailing dot or blank is dropped.
_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f\ud800-\udfff]|^[. ]|[. ]$')
_LONGEST = 150  # bytes of a key; systems take 255 for a name, and names of files have more in them


def task_keys(ids: Sequence[str]) -> list[str]:
    """A key for each of these ids, which are different.

    That is the abbreviated id (`task195`) where no other task may be meant by it, else the full id. Where
    that is no safe name for a file, or only case or Unicode form tells it from another one, which not
    every disk keeps apart, it is followed by a hash.
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
    return not _UNSAFE.search(name) and len(name.encode()) <= _LONGEST


def _folded(name: str) -> str:
    """Equal for names that are one file on a disk that minds neither case nor Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
