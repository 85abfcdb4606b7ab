"""Checks for test inputs that are training inputs, too: the same ones, and nearly the same ones."""

import re
from collections.abc import Iterator

from sapo_lite.data.check.finding import Finding, Level, Subject
from sapo_lite.support.messages import quoted

# Two texts are nearly the same if their sets of three words in a row have this Jaccard index at least.
NEARLY = 0.8
_WORDS = 3
# Bands and rows of the hashes: pairs of index 0.8 share a band with a probability of 0.998, of 0.5 with 0.27.
_BANDS, _ROWS = 20, 6
# A word; in scripts that are written without spaces, a character.
_ALONE = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Japanese, Chinese
)
_WORD = re.compile(rf"[{_ALONE}]|(?:(?![{_ALONE}])\w)+")


def leaked_inputs(subject: Subject) -> Iterator[Finding]:
    """Inputs that stand in the test split and in another one."""
    test = subject.split("test")
    for other in (split for split in subject.splits if split is not test):
        known = set(other.keys)
        leaked = [
            example.input for key, example in zip(test.keys, test.examples, strict=True) if key in known
        ]
        if leaked:
            rows, of = len(leaked), len(test.examples)
            text = f"{rows} of {of} test inputs are {other.name} inputs, such as {quoted(leaked[0])}"
            level: Level = "fault" if other.name == "train" else "caution"
            yield subject.found("leaked input", level, text, other.name, rows=rows, of=of)


def nearly_leaked_inputs(subject: Subject) -> Iterator[Finding]:
    """Test inputs that are nearly the same as a training input, and equal to none. Takes seconds."""
    test, train = subject.split("test"), subject.split("train")
    if not train.examples:
        return
    known = dict.fromkeys(train.keys)
    near = set(_near([key for key in dict.fromkeys(test.keys) if key not in known], list(known)))
    rows, of = sum(key in near for key in test.keys), len(test.keys)
    if rows:
        first = next(e.input for key, e in zip(test.keys, test.examples, strict=True) if key in near)
        text = f"{rows} of {of} test inputs are nearly train inputs, such as {quoted(first)}"
        yield subject.found("nearly leaked input", "caution", text, "train", rows=rows, of=of)


def _near(texts: list[str], known: list[str]) -> Iterator[str]:
    """The `texts` that are nearly one of the `known` ones: found by MinHash, then verified."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=_BANDS * _ROWS, params=(_BANDS, _ROWS))
    shingled = [_shingles(text) for text in known]
    for number, hashed in enumerate(MinHash.generator(map(_encoded, shingled), num_perm=_BANDS * _ROWS)):
        index.insert(number, hashed)
    own = [_shingles(text) for text in texts]
    hashes = MinHash.generator(map(_encoded, own), num_perm=_BANDS * _ROWS)
    for text, shingles, hashed in zip(texts, own, hashes, strict=True):
        if any(_jaccard(shingles, shingled[number]) >= NEARLY for number in index.query(hashed)):
            yield text


def _encoded(shingles: frozenset[str]) -> list[bytes]:
    return [shingle.encode("utf-8", "surrogatepass") for shingle in shingles]


def _shingles(text: str) -> frozenset[str]:
    """The sets of words in a row; of a shorter text, the text itself."""
    words = _WORD.findall(text)
    if len(words) < _WORDS:
        return frozenset([text])
    return frozenset(" ".join(words[start : start + _WORDS]) for start in range(len(words) - _WORDS + 1))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)
