"""Encodings of users' files: what is detected and said, and what is refused."""

import json
from pathlib import Path

import pytest

from sapo_lite.data.files import read_examples, read_prompts
from sapo_lite.data.in_memory import as_examples
from sapo_lite.data.readers import read_rows
from sapo_lite.data.text_files import read_text
from sapo_lite.errors import DataError
from sapo_lite.types import Example

TABLE = "text,label\nété “là”,oui\n你好,no\n"
FRENCH = "text,label\r\nCafé à l'été, säännöllinen – déjà,oui\r\n"
FACE = "\N{GRINNING FACE}"


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("text", "codec", "said"),
    [
        (TABLE, "utf-8", None),
        (TABLE, "utf-8-sig", None),
        (TABLE, "utf-16", "UTF-16"),
        (TABLE, "utf-16-le", "UTF-16"),
        (TABLE, "utf-16-be", "UTF-16"),
        (TABLE, "utf-32", "UTF-32"),
        (TABLE + FACE, "utf-16", "UTF-16"),
        ('["判断情感。"]', "utf-16-le", "UTF-16"),
        (FRENCH.replace("–", "-"), "latin-1", "Latin-1 (Windows-1252)"),
        (FRENCH, "cp1252", "Latin-1 (Windows-1252)"),
        ("\x00text,label", "utf-8", None),
    ],
)
def test_an_encoding_is_detected_and_said(tmp_path: Path, text: str, codec: str, said: str | None) -> None:
    notices: list[str] = []
    path = put(tmp_path, "a.csv", text.encode(codec))
    assert read_text(path, notices.append) == text
    expected = f"{path}: not in UTF-8; it was read as {said}. Save it as UTF-8 if characters look wrong."
    assert notices == ([expected] if said else [])


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("text,label\n判断情感,是\n", "gbk"),
        ("text,label\n次の文章の感情,はい\n", "shift_jis"),
        ("text,label\nхорошо,да\n", "cp1251"),
        ("text,label\nвесна,да\n", "koi8-r"),
    ],
)
def test_another_encoding_is_refused_with_its_line(tmp_path: Path, text: str, codec: str) -> None:
    path = put(tmp_path, "a.csv", text.encode(codec))
    with pytest.raises(DataError) as caught:
        read_text(path)
    assert str(caught.value) == (
        f"{path}: expected UTF-8 text, found other bytes at byte 11, line 2. Save the file as UTF-8."
    )


def test_a_damaged_utf8_file_is_not_latin1(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "text,label\nété,oui\nété,oui\n".encode() + b"caf\xc3,oui\n")
    with pytest.raises(DataError, match="found other bytes at byte 34, line 4"):
        read_text(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", rb'[{"text": "x", "label": "y"}, {"text": "nice \ud83d", "label": "y"}]', 'row 2, "text"'),
        ("a.jsonl", rb'{"text": "x", "label": "yes\ude00"}', 'line 1, "label"'),
        ("a.jsonl", rb'{"te\ud83d": 1, "text": "x", "label": "y"}', "line 1, a key"),
        ("a.jsonl", rb'{"text": "x", "label": "y", "more": ["\ud83d"]}', 'line 1, "more", item 1'),
        ("a.csv", "text,label\nx,y\nnice \ud83d,y\n".encode("utf-8", "surrogatepass"), 'line 3, "text"'),
        ("a.csv", "text,label\nx,\ud83dy\n".encode("utf-16", "surrogatepass"), 'line 2, "label"'),
    ],
)
def test_half_a_character_is_refused_with_row_and_column(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = put(tmp_path, name, content)
    with pytest.raises(DataError) as caught:
        read_rows(path)
    half = "\\ude00" if b"ude00" in content else "\\ud83d"
    assert str(caught.value) == f"{path}, {message}: expected whole characters, found half of one, {half}"


def test_half_a_character_is_refused_in_prompts_and_in_memory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1: expected whole characters"):
        read_prompts(put(tmp_path, "p.json", rb'["Judge \ud83d.", "two"]'))
    with pytest.raises(DataError, match='example 1, "input": expected whole characters'):
        as_examples([("nice \ud83d", "yes")])


def test_two_halves_written_as_characters_of_their_own_are_one(tmp_path: Path) -> None:
    split = "text,label\n\ud83d\ude00,y\n".encode("utf-8", "surrogatepass")
    assert read_examples(put(tmp_path, "a.csv", split)).examples == [Example(FACE, "y")]
    escaped = json.dumps([{"text": FACE, "label": "y"}]).encode()
    assert read_examples(put(tmp_path, "a.json", escaped)).examples == [Example(FACE, "y")]
