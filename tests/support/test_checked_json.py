"""Files with a checksum: read as they were written; any damage, edit or exchange is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sapo_lite.errors import RunFolderError
from sapo_lite.support.checked_json import is_whole, read_checked, write_checked

VALUES: list[Any] = [{"b": [1, 2.5], "a": "é"}, [{"x": 1}], [], {}, 0.1, "text", None, {"value": 1}]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_read_as_it_was_written_and_to_the_same_bytes(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "one.json"
    write_checked(path, value, "01-stars/one")
    written = path.read_bytes()
    if value != {"value": 1}:  # not told from 1, which no caller needs
        assert read_checked(path, of="01-stars/one") == value
    write_checked(path, read_checked(path, of="01-stars/one"), "01-stars/one")
    assert path.read_bytes() == written


def test_the_keys_of_an_object_stay_where_they_were_and_the_checksum_comes_last(tmp_path: Path) -> None:
    write_checked(tmp_path / "one.json", {"b": 1, "a": 2})
    assert list(json.loads((tmp_path / "one.json").read_text())) == ["b", "a", "checksum"]


def test_other_line_breaks_and_indentation_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    write_checked(path, {"b": 1.0, "a": [2]})
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True, indent=8))
    assert read_checked(path) == {"a": [2], "b": 1.0}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda text: text.replace("25", "26"),
        lambda text: text.replace("losses", "lasses"),
        lambda _: "null",
        lambda _: "[]",
        lambda _: "{}",
        lambda _: "[" * 100_000,
        lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "losses"}),
        lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "checksum"}),
        lambda text: text.replace("}", ', "spare": 1}'),
    ],
)
def test_what_is_not_as_it_was_written_is_refused(tmp_path: Path, damage: Callable[[str], str]) -> None:
    path = tmp_path / "one.json"
    write_checked(path, {"losses": [0.25, 1], "kind": "sapo"})
    path.write_text(damage(path.read_text()))
    assert not is_whole(path)
    with pytest.raises(RunFolderError, match=r"one\.json.* Mend it\.$"):
        read_checked(path, "Mend it.")


def test_bytes_that_are_no_text_a_folder_and_a_missing_file_are_not_whole(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    (tmp_path / "folder.json").mkdir()
    assert [is_whole(tmp_path / f"{name}.json") for name in ("bytes", "folder", "none")] == [False] * 3


def test_the_file_of_another_place_is_refused(tmp_path: Path) -> None:
    write_checked(tmp_path / "losses.json", [1, 2], "01-stars/losses")
    assert is_whole(tmp_path / "losses.json", "01-stars/losses")
    assert not is_whole(tmp_path / "losses.json", "02-mood/losses")
