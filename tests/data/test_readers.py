"""The one reader of `run` and `score`: both accept and refuse the same, in every format."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sapo_lite.data.files import read_examples
from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.data.in_memory import as_examples
from sapo_lite.data.rows import ANSWER_NAMES, INPUT_NAMES
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import DataError
from sapo_lite.recipe import SequenceConfig
from sapo_lite.types import Example, Task

ENTRY = {"instruction": "Say yes or no.", "suffix": "Answer:", "labels": ["yes", "no"]}
TEST = '[{"sentence": "x", "label": "yes"}]'
ONE_TWO = [("one", "a"), ("two", "b")]
FACE = "\N{GRINNING FACE}"  # two halves in UTF-16, as JSON escapes it


@pytest.fixture(autouse=True)
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the suite `S` keep their order, as those of a published one, so that they can be compared."""
    monkeypatch.setattr("sapo_lite.data.tasks.IN_ORDER", ("S",))


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def load(
    folder: Path, notify: Callable[[str], None] = lambda notice: None, draw: int | None = None, rows: int = 9
) -> Task:
    """The one task of the suite `S` in a folder."""
    config = SequenceConfig(suite="S", tasks=("mood",), train_examples=rows, draw=draw, missing_train="dev")
    return load_sequence(config, folder, notify)[0]


def suite(folder: Path, *files: tuple[str, str | bytes]) -> Path:
    """A folder with the suite `S`, whose one task has these files."""
    put(folder / "S/instructions.json", json.dumps({"mood": ENTRY}))
    for name, content in files:
        put(folder / "S/mood" / name, content)
    return folder


def by_run(folder: Path, ending: str, content: str | bytes) -> list[Example]:
    return list(load(suite(folder, (f"train{ending}", content), ("test.json", TEST))).train)


def by_score(folder: Path, ending: str, content: str | bytes) -> list[Example]:
    return read_examples(put(folder / f"train{ending}", content)).examples


Read = Callable[[Path, str, str | bytes], list[Example]]
by_both = pytest.mark.parametrize("read", [by_run, by_score])


def fault(call: Callable[[], object]) -> str:
    """The message of the DataError that a call ends with, without the folders."""
    with pytest.raises(DataError) as caught:
        call()
    return re.sub(r"/\S*/", "", str(caught.value))


# --- what both understand


@by_both
@pytest.mark.parametrize(
    ("ending", "content", "examples"),
    [
        # Names of columns and cells are stripped alike.
        (".csv", 'text, label\n"good, really", "positive"\n', [("good, really", "positive")]),
        (".csv", "text ; label\n good ; positive \n", [("good", "positive")]),
        (".tsv", "text\t label\ngood \t positive\n", [("good", "positive")]),
        # Lines end as on any system.
        (".csv", 'text,label\rone,a\r"two\rlines",b\r', [("one", "a"), ("two\rlines", "b")]),
        (".csv", 'text,label\r\none,a\r\n"two\r\nlines",b\r\n', [("one", "a"), ("two\r\nlines", "b")]),
        (".jsonl", '{"text": "one", "label": "a"}\r{"text": "two", "label": "b"}\r', ONE_TWO),
        (".json", '{"text": "one", "label": "a"}\r{"text": "two", "label": "b"}', ONE_TWO),
        # Byte-order marks, also of files that were put together.
        (".csv", "\ufefftext,label\none,a\n\ufefftwo,b\n", ONE_TWO),
        (".csv", '\ufeff"text","label"\n"one","a"\n\ufeff"two","b"\n', ONE_TWO),
        (".jsonl", '{"text": "one", "label": "a"}\n\ufeff{"text": "two", "label": "b"}', ONE_TWO),
        # A cell is as long as it is.
        (".csv", f"text,label\n{'x' * 200_000},a\n", [("x" * 200_000, "a")]),
        # Both halves of a character are one.
        (".json", r'[{"text": "nice \ud83d\ude00", "label": "yes"}]', [(f"nice {FACE}", "yes")]),
        # Texts of JSON are as they are written.
        (".json", '[{"text": " a\\r\\n\ufeff", "label": " b "}]', [(" a\r\n\ufeff", " b ")]),
        (".json", '[{"sentence": "", "label": "b"}]', [("", "b")]),
        # Numbers and truth values are texts as JSON writes them.
        (".json", '[{"text": 7, "label": 0.5}, {"text": "x", "label": true}]', [("7", "0.5"), ("x", "true")]),
    ],
)  # fmt: skip
def test_both_read_it(
    tmp_path: Path, read: Read, ending: str, content: str, examples: list[tuple[str, str]]
) -> None:
    assert read(tmp_path, ending, content) == [Example(*pair) for pair in examples]


def test_pythons_limit_on_cells_is_put_back(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    by_score(tmp_path, ".csv", f"text,label\n{'x' * 200_000},a\n")
    fault(lambda: by_score(tmp_path, ".csv", 'text,label\n"x,y\n'))
    assert csv.field_size_limit() == before


# --- what both refuse, in the same words


@by_both
@pytest.mark.parametrize(
    ("ending", "content", "message"),
    [
        (
            ".json",
            '[{"text": "first", "label": "a", "text": "second"}]',
            'train.json: the key "text" is there twice in one object; leave one of them',
        ),
        (
            ".jsonl",
            '{"text": "x", "label": "a"}\n{"text": "x", "label": "a", "label": "b"}',
            'train.jsonl, line 2: the key "label" is there twice in one object; leave one of them',
        ),
        (
            ".json",
            '{"text": "x", "label": "a"}\n{"text": "x", "label": "a", "label": "b"}',
            'train.json, line 2: the key "label" is there twice in one object; leave one of them',
        ),
        (
            ".csv",
            "text,label\na,positive\n\ufefftext,label\nc,positive\n",
            "train.csv, line 3: expected an example, found the column names again. Delete the line.",
        ),
        (
            ".json",
            f'[{{"text": {"7" * 5000}, "label": "a"}}]',
            "train.json: expected numbers of at most 4300 digits, found a longer one; "
            "put it in double quotes",
        ),
        (
            ".jsonl",
            "[" * 100_000,
            "train.jsonl, line 1: expected at most 50 brackets in one another, found more",
        ),
        (
            ".json",
            f'[{{"text": "x", "label": {"[" * 60}{"]" * 60}}}]',
            "train.json: expected at most 50 brackets in one another, found more",
        ),
        (".csv", "", "train.csv: expected text, found an empty file"),
        (".csv", "\ufeff\r\n", "train.csv: expected text, found an empty file"),
        (".csv", "text,label\n", "train.csv: expected at least one example, found none"),
        (".csv", "text,label\nx, \n", 'train.csv, line 2: expected an answer in "label", found ""'),
        (
            ".csv",
            'text,label\r"x,y\r',
            "train.csv, line 2: expected a closing quote, found the end of the file. "
            "Write a quote inside a quoted cell twice.",
        ),
        (
            ".csv",
            'text,label\nx,y\n"good" film,yes\n',
            "train.csv, line 3: expected the end of the cell after its closing quote, found "
            '"film,yes". Write a quote inside a quoted cell twice.',
        ),
        (
            ".jsonl",
            '{"text": "x", "label": NaN}',
            'train.jsonl, line 1: expected an answer in "label", found nan',
        ),
    ],
)
def test_both_refuse_it(tmp_path: Path, read: Read, ending: str, content: str | bytes, message: str) -> None:
    assert fault(lambda: read(tmp_path, ending, content)) == message


@pytest.mark.parametrize(
    "content",
    [
        '[{"question": "Who?", "context": "Bob went.", "answer": "Bob"}]',
        '[{"question": "Who?", "answer": "Bob"}, {"question": "Who?", "context": "Al.", "answer": "Al"}]',
    ],
)
def test_a_second_column_that_may_be_the_input_is_refused_in_any_row(tmp_path: Path, content: str) -> None:
    found = 'train.json: expected one column for the input, found "question" or "context". '
    by_file, in_suite = (fault(lambda r=read: r(tmp_path, ".json", content)) for read in (by_score, by_run))
    assert by_file == found + "Name it with --input or --answer."
    assert in_suite == found + "Rename or remove columns of the file."
    assert fault(lambda: as_examples(json.loads(content))).startswith("examples: expected one column")


# --- tasks of a run in any format


ROWS = [Example(f"text {i}, with a comma", "no" if i % 3 else "yes") for i in range(7)]


def written(ending: str) -> str:
    """The rows as a file of a format."""
    listed = [{"sentence": row.input, "label": row.answer} for row in ROWS]
    match ending:
        case ".json":
            return json.dumps(listed)
        case ".jsonl":
            return "\n".join(map(json.dumps, listed))
    separator = "\t" if ending == ".tsv" else ","
    lines = [["text", "answer"], *([f'"{row.input}"', row.answer] for row in ROWS)]
    return "\n".join(map(separator.join, lines))


@pytest.mark.parametrize("draw", [None, 3])
def test_a_task_is_the_same_whatever_the_format_of_its_files(tmp_path: Path, draw: int | None) -> None:
    tasks = []
    for ending in (".json", ".jsonl", ".csv", ".tsv", ".CSV"):
        folder = suite(
            tmp_path / ending, (f"train{ending}", written(ending)), (f"test{ending}", written(ending))
        )
        tasks.append(load(folder, draw=draw, rows=5))
    assert tasks == [tasks[0]] * 5
    assert len({data_fingerprint([task])["mood"] for task in tasks}) == 1
    assert (tasks[0].train == tuple(ROWS[:5])) == (draw is None)


def test_a_dev_file_of_any_format_stands_in(tmp_path: Path) -> None:
    task = load(suite(tmp_path, ("dev.csv", "text,label\nx,yes\n"), ("test.json", TEST)))
    assert (task.train_split, task.train) == ("dev", (Example("x", "yes"),))


@pytest.mark.parametrize("split", ["train", "test"])
def test_two_files_for_one_split_are_refused_by_name(tmp_path: Path, split: str) -> None:
    files = [(f"{one}.json", TEST) for one in ("train", "test")]
    suite(tmp_path, *files, (f"{split}.csv", "text,label\nx,yes\n"), (f"{split}.csv.bak", "x"))
    assert fault(lambda: load(tmp_path)) == (
        f"mood: expected one file of {split} examples, found {split}.csv and {split}.json. Keep one of them."
    )


def test_columns_that_were_recognised_are_named_and_published_ones_are_not(tmp_path: Path) -> None:
    notices: list[str] = []
    load(
        suite(tmp_path, ("train.csv", "id,review,stars,label\n1,x,5,yes\n"), ("test.json", TEST)),
        notices.append,
    )
    assert notices == [
        f"{tmp_path}/S/mood/train.csv: 1 example, inputs from column review, answers from column label; "
        "not read: id, stars"
    ]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (
            f'{{"mood": {json.dumps(ENTRY)}, "mood": {json.dumps(ENTRY)}}}',
            'instructions.json: the key "mood" is there twice in one object; leave one of them',
        ),
        ("[" * 100_000, "instructions.json: expected at most 50 brackets in one another, found more"),
        ("", "instructions.json: expected text, found an empty file"),
        ('{\n"mood"}', "instructions.json, line 2: not valid JSON: Expecting ':' delimiter"),
    ],
)
def test_instructions_are_read_as_strictly(tmp_path: Path, index: str, message: str) -> None:
    put(tmp_path / "S/instructions.json", index)
    assert fault(lambda: load(tmp_path)) == message


def test_half_a_character_in_an_instruction_is_refused(tmp_path: Path) -> None:
    suite(tmp_path, ("train.json", TEST), ("test.json", TEST))
    put(tmp_path / "S/instructions.json", json.dumps({"mood": {**ENTRY, "instruction": "Judge \ud83d."}}))
    assert fault(lambda: load(tmp_path)) == (
        'instructions.json, "mood", "instruction": expected whole characters, found half of one, \\ud83d'
    )


# --- the document


def test_the_suite_of_the_document_loads(tmp_path: Path) -> None:
    document = (Path(__file__).resolve().parents[2] / "docs/data.md").read_text(encoding="utf-8")
    files = re.findall(r"^`mydata/(\S+)`:\n\n```\w+\n(.*?)```", document, flags=re.DOTALL | re.MULTILINE)
    for name, content in files:
        put(tmp_path / name, content)
        put(tmp_path / name.replace("train", "test"), content)
    tasks = load_sequence(SequenceConfig(suite="shop", tasks=("spam", "stars")), tmp_path)
    assert [sorted(example.input for example in task.test) for task in tasks] == [
        ["See you at eight", "You have won, call now"],
        ["Broke on the first day.", "I would buy it again."],
    ]


def test_the_document_names_every_column_that_is_recognised() -> None:
    document = (Path(__file__).resolve().parents[2] / "docs/data.md").read_text(encoding="utf-8")
    for row, names in (("input", INPUT_NAMES), ("answer", ANSWER_NAMES)):
        (line,) = re.findall(rf"^\| {row} \|(.*)$", document, flags=re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", line)) == set(names)
