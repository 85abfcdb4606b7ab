"""Foreign text on its way to a terminal or a document: what would act there, or hide, becomes a sign.

Data, candidates, answers of models and servers, and names of files may hold escape codes that set the title
of a terminal or rewrite its lines, marks that turn the direction of a line, and characters without a width.
"""

import re

# Control characters but for tab and line feed; separators; marks of direction and annotation; characters
# without a width; tags; halves of surrogate pairs. Joiners between letters beyond Latin are text.
_ACTING = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u2028\u2029"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f\ufff9-\ufffb"
    "\u00ad\u180e\u200b\u2060-\u2065\ufeff\U000e0000-\U000e007f"
    "\ud800-\udfff"
    "]"
    "|[\u200c\u200d](?![^\x00-\u024f])"
    "|(?<![^\x00-\u024f])[\u200c\u200d]"
)


def visible(text: str) -> str:
    """The text with signs for characters that act or hide: `␛` for an escape, `[U+202E]` for an override."""
    return _ACTING.sub(lambda found: _sign(ord(found[0])), text)


def escaped_json(text: str) -> str:
    """A JSON text of the same content with such characters as escapes, `\\u202e`."""
    return _ACTING.sub(lambda found: _escape(ord(found[0])), text)


def _sign(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else f"[U+{code:04X}]"


def _escape(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + (code - 0x10000 >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
