"""Numbers in texts, for the metric `numeric`: read exactly, without rounding."""

import re
from fractions import Fraction

_GROUP = "['’\u00a0\u2009\u202f]"  # between groups of three digits, besides the comma
# A sign belongs to a number only where no number or word stands before it: "3-5" ends in 5. Of digits, the
# first form that fits: 1,234.5; 1.234,5 and 1.234.567; 3,5 (but 1,2,3 is a list); 3.5, 3 and .5.
_NUMBER = re.compile(
    r"(?<![A-Za-z_\d.])(?P<sign>(?<![\w)])[-+−－])?[$€£¥]?"
    rf"(?:(?P<english>(?<!,)[1-9]\d{{0,2}}(?:(?:,|{_GROUP})\d{{3}})+(?:\.\d+)?)(?!\d|,\d)"
    r"|(?P<european>[1-9]\d{0,2}(?:(?:\.\d{3})+,\d+|(?:\.\d{3}){2,})|(?<!,)\d+,\d+(?!,?\d))"
    r"|(?P<plain>\d+(?:\.\d+)?|\.\d+))"
    r"(?:[eE](?P<exponent>[-+]?\d{1,3})(?!\w))?"
    r"(?:[/⁄](?P<below>\d+)(?![/\d]))?"
    r"\s?(?P<percent>[%％])?"
)
_LONGEST = 400  # digits: longer ones are no numbers that anyone compares


def last_number(text: str) -> frozenset[Fraction] | None:
    """The values of the last number in a text, None without one.

    50 % is both 50 and 1/2: answers leave the sign out, or write it where the question has it already.
    """
    values = [value for found in _NUMBER.finditer(text) if (value := _value(found)) is not None]
    return values[-1] if values else None


def _value(found: re.Match[str]) -> frozenset[Fraction] | None:
    if len(found[0]) > _LONGEST or (below := int(found["below"] or 1)) == 0:
        return None
    if found["european"]:
        digits = found["european"].replace(".", "").replace(",", ".")
    else:
        digits = re.sub(f",|{_GROUP}", "", found["english"] or found["plain"])
    value = Fraction(digits) * Fraction(10) ** int(found["exponent"] or 0) / below
    value = -value if found["sign"] in ("-", "−", "－") else value
    return frozenset((value, value / 100) if found["percent"] else (value,))
