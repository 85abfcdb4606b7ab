"""Files of prompts: line ends, headings, tasks that are there twice."""

import json
import re
from pathlib import Path

import pytest

from sapo_lite.data.files import read_prompts
from sapo_lite.errors import DataError
from sapo_lite.prompts.sources.file import FromFile
from sapo_lite.types import Task

TWO_TASKS = "# yes\nsay yes .\nplease say yes\n\n# no\nsay no .\nplease say no\n"


def put(path: Path, content: str) -> Path:
    path.write_bytes(content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content", "prompts"),
    [
        ("p.txt", "one\rtwo\r\nthree\n", ["one", "two", "three"]),
        ("p.txt", "\ufeffA\n\ufeffB\nB\n", ["A", "B"]),
        ("p.txt", "Is it #1?\n#2 or not?\n", ["Is it #1?", "#2 or not?"]),
        ("p.txt", "# mood\none\ntwo\n", ["one", "two"]),
        ("p.json", '["# mood", "two"]', ["# mood", "two"]),
    ],
)
def test_prompts_are_read(tmp_path: Path, name: str, content: str, prompts: list[str]) -> None:
    assert read_prompts(put(tmp_path / name, content)) == prompts


def test_headings_choose_the_task_and_are_no_prompts(tmp_path: Path) -> None:
    path = put(tmp_path / "two.txt", TWO_TASKS)
    notices: list[str] = []
    assert read_prompts(path, "no", notify=notices.append) == ["say no .", "please say no"]
    assert notices == [f'{path}: lines such as "# yes" are headings, not prompts']
    assert read_prompts(path, instruction="say yes .") == ["say yes .", "please say yes"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "p.txt",
            TWO_TASKS,
            'p.txt: expected prompts of one task, found "yes" or "no". Name the one you mean with --task, '
            "or give its original prompt as --instruction.",
        ),
        (
            "p.txt",
            "one\n# no\ntwo\n",
            'p.txt, line 2: expected a heading in the first line, or none, found "# no"',
        ),
        ("p.txt", "# a\none\n# a\ntwo", 'p.txt, line 3: expected one heading a task, found "# a"'),
        ("p.txt", "# a\n\n", "p.txt: expected at least one prompt, found none"),
        (
            "p.json",
            '{"yes": ["A"], "yes": ["B"]}',
            'p.json: the key "yes" is there twice in one object; leave one of them',
        ),
        (
            "p.json",
            json.dumps({"pools": [{"task": "yes", "candidates": [text]} for text in "AB"]}),
            'p.json: the task "yes" is there twice; leave one of them',
        ),
    ],
)
def test_what_is_unclear_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_prompts(put(tmp_path / name, content))
    assert re.sub(r"\S*/", "", str(caught.value)) == message


def test_a_source_of_paraphrases_reads_the_file_alike(tmp_path: Path) -> None:
    tasks = [
        Task(name, "", f"say {name} .", "", (), language="en", train=(), test=()) for name in ("yes", "no")
    ]
    path = put(tmp_path / "two.txt", TWO_TASKS.replace("\n", "\r"))
    found = [list(FromFile(path, only=False).answers(task, range(9), ())) for task in tasks]
    assert found == [["say yes .", "please say yes"], ["say no .", "please say no"]]


def test_half_a_character_in_a_file_of_prompts_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(b"Say yes or no.\nGood \xed\xa0\xbd?\n")
    with pytest.raises(
        DataError, match=r"p.txt, line 2: expected whole characters, found half of one, .ud83d"
    ):
        read_prompts(tmp_path / "p.txt")
