"""Two texts side by side, with the words that differ marked."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from markupsafe import Markup, escape

_MARKS = {"before": Markup("<del>{}</del>"), "after": Markup("<ins>{}</ins>")}


def side_by_side(before: str, after: str) -> tuple[Markup, Markup]:
    """Both texts as HTML: words that only the first has as deletions, those of the second as insertions."""
    old, new = _words(before), _words(after)
    matcher = SequenceMatcher(None, [w.lower() for w in old], [w.lower() for w in new], autojunk=False)
    left, right = [], []
    for kind, a, b, c, d in matcher.get_opcodes():
        left.append(_marked(old[a:b], kind, "before"))
        right.append(_marked(new[c:d], kind, "after"))
    return Markup(" ").join(filter(None, left)), Markup(" ").join(filter(None, right))


def _words(text: str) -> list[str]:
    """Words with what stands beside them; of texts without spaces, as Chinese, single characters."""
    return re.findall(r"[\u2e80-\u9fff\uac00-\ud7af]|[^\s\u2e80-\u9fff\uac00-\ud7af]+", text)


def _marked(words: Sequence[str], kind: str, side: str) -> Markup:
    text = " ".join(words)
    return escape(text) if kind == "equal" or not text else _MARKS[side].format(text)
