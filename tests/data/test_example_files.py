"""Files of examples and prompts: accepted forms, and the sentence for each refused one."""

import json
import re
from pathlib import Path

import pytest

from sapo_lite.data.files import read_examples, read_prompts
from sapo_lite.data.in_memory import as_examples
from sapo_lite.errors import DataError
from sapo_lite.types import Example

TWO = [Example("the film was a joy", "positive"), Example('never again, "love"', "negative")]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def fault(call: object, *arguments: object) -> str:
    """The message of the DataError that a call ends with, without the folder."""
    with pytest.raises(DataError) as caught:
        call(*arguments)  # type: ignore[operator]
    return re.sub(r"\S*/", "", str(caught.value))


# --- examples that are understood


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "a.jsonl",
            '{"text": "the film was a joy", "label": "positive"}\n\n{"text": %s, "label": "negative"}',
        ),
        (
            "a.json",
            '[{"text": "the film was a joy", "label": "positive"}, {"text": %s, "label": "negative"}]',
        ),
        # A row a line under the name of a JSON file.
        (
            "a.json",
            '{"text": "the film was a joy", "label": "positive"}\n{"text": %s, "label": "negative"}\n',
        ),
    ],
)
def test_json_is_read_as_a_list_or_a_row_a_line(tmp_path: Path, name: str, content: str) -> None:
    file = read_examples(write(tmp_path, name, content % json.dumps(TWO[1].input)))
    assert file.examples == TWO
    assert (file.input_name, file.answer_name) == ("text", "label")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_read_whatever_separates_its_cells(
    tmp_path: Path, separator: str, encoding: str, end: str
) -> None:
    lines = ["id,text,label", "1,the film was a joy,positive", "", '2,"never again, ""love""",negative']
    cells = [re.sub(r',(?! ""love)', lambda _: separator, line) for line in lines]
    file = read_examples(write(tmp_path, "a.csv", end.join(cells).encode(encoding)))
    assert file.examples == TWO


def test_a_cell_may_hold_line_breaks_and_line_numbers_count_them(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'text,label\n"two\nlines",yes\nx,\n')
    assert fault(read_examples, path) == 'a.csv, line 4: expected an answer in "label", found ""'
    path = write(tmp_path, "b.csv", 'text,label\n"two\nlines",yes\n')
    assert read_examples(path).examples == [Example("two\nlines", "yes")]


def test_a_json_text_may_hold_any_line_separator(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "one\u2028two", "label": "yes"}\n')
    assert read_examples(path).examples == [Example("one\u2028two", "yes")]


NAMES = "input/answer sentence/label text/label prompt/completion question/answer input/output Text/LABEL"


@pytest.mark.parametrize("names", NAMES.split())
def test_usual_column_names_are_recognised(tmp_path: Path, names: str) -> None:
    columns = names.split("/")
    path = write(tmp_path, "a.csv", f"instruction,{columns[0]},{columns[1]}\nx,y,z\n")
    file = read_examples(path)
    assert file.examples == [Example("y", "z")]
    assert [file.input_name, file.answer_name] == columns


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label,opinion,stars\na,b,c,5\n")
    assert read_examples(path, "opinion", "stars").examples == [Example("c", "5")]
    assert read_examples(path, None, "stars").examples == [Example("a", "5")]


def test_numbers_and_truth_values_are_answers_as_json_writes_them(tmp_path: Path) -> None:
    rows = [{"input": 7, "answer": answer} for answer in (1, 0.5, True, "1")]
    examples = read_examples(write(tmp_path, "a.json", json.dumps(rows))).examples
    assert [e.answer for e in examples] == ["1", "0.5", "true", "1"]
    assert examples[0].input == "7"


# --- and those that are not


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv: expected text, found an empty file"),
        ("a.csv", "text,label\n", "a.csv: expected at least one example, found none"),
        ("a.json", "[]", "a.json: expected at least one example, found none"),
        (
            "a.csv",
            "review,stars\nx,1\n",
            'a.csv: expected a column such as "answer", "label" or "output" for the answer, found "review", '
            '"stars". Name it with --input or --answer.',
        ),
        (
            "a.csv",
            "question,context,answer\nx,y,z\n",
            'a.csv: expected one column for the input, found "question" or "context". '
            "Name it with --input or --answer.",
        ),
        (
            "a.csv",
            "text,label\nx,yes\ny, \nz,\n",
            'a.csv, line 3: expected an answer in "label", found "" (and 1 more bad row)',
        ),
        (
            "a.csv",
            "text,label\nx,y,z\n",
            "a.csv, line 2: expected 2 cells, found 3. "
            "Put cells that hold the separator or a line break in double quotes.",
        ),
        (
            "a.csv",
            "text,label,text\nx,y,z\n",
            'a.csv, line 1: expected different column names, found "text" twice',
        ),
        (
            "a.csv",
            'text,label\n"x,y\n',
            "a.csv, line 2: expected a closing quote, found the end of the file. "
            "Write a quote inside a quoted cell twice.",
        ),
        (
            "a.jsonl",
            '{"text": "x", "label": "y"}\n{"text": "x", label}\n',
            "a.jsonl, line 2: not valid JSON: Expecting property name enclosed in double quotes",
        ),
        ("a.json", '[{"text": "x"},\n oops]', "a.json, line 2: not valid JSON: Expecting value"),
        (
            "a.json",
            '{"version": 1, "data": []}',
            'a.json: expected a list of rows, found an object with "version", "data". Save the list alone.',
        ),
        (
            "a.json",
            '["x", "y"]',
            'a.json, row 1: expected an object such as {"input": text, "answer": text}, found "x"',
        ),
        (
            "a.json",
            '[{"text": "x", "label": "y"}, 7]',
            'a.json, row 2: expected an object such as {"text": text, "label": text}, found 7',
        ),
        (
            "a.jsonl",
            '{"text": "x", "label": ["y", "z"]}',
            'a.jsonl, line 1: expected an answer in "label", found ["y", "z"]',
        ),
        (
            "a.jsonl",
            '{"text": null, "label": 1}',
            'a.jsonl, line 1: expected a text in "text", found nothing',
        ),
        (
            "a.xlsx",
            "PK",
            'a.xlsx: expected examples in a .jsonl, .json, .csv, .tsv or .parquet file, found ".xlsx"',
        ),
        (
            "examples",
            "x",
            "examples: expected examples in a .jsonl, .json, .csv, .tsv or .parquet file, "
            "found a name without an ending",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    assert fault(read_examples, write(tmp_path, name, content)) == message


def test_a_named_column_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label\nx,y\n")
    message = 'a.csv: expected a column called "stars", found "text", "label"'
    assert fault(read_examples, path, None, "stars") == message


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    assert fault(read_examples, tmp_path / "a.csv") == "a.csv: cannot be read (No such file or directory)"


# --- prompts


def test_a_text_file_holds_a_prompt_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, "p.txt", "\ufeffDecide {x}.\r\n\n  判断情感。 \nDecide {x}, please.")
    assert read_prompts(path) == ["Decide {x}.", "判断情感。", "Decide {x}, please."]


def test_a_json_file_holds_prompts_of_any_number_of_lines(tmp_path: Path) -> None:
    assert read_prompts(write(tmp_path, "p.json", '["one\\ntwo", ""]')) == ["one\ntwo", ""]


def test_a_candidates_file_is_a_file_of_prompts(tmp_path: Path) -> None:
    texts = ["one", "two"]
    saved = [{"index": i, "text": text, "origin": "ollama"} for i, text in enumerate(texts)]
    path = write(tmp_path, "p.json", json.dumps({"task": "task195", "candidates": saved, "rejected": []}))
    assert read_prompts(path) == texts
    assert read_prompts(write(tmp_path, "p.json", json.dumps({"task195": texts}))) == texts


def test_repeated_prompts_are_left_out_and_told_of(tmp_path: Path) -> None:
    notices: list[str] = []
    path = write(tmp_path, "p.txt", "one\ntwo\none\n two\n")
    assert read_prompts(path, notify=notices.append) == ["one", "two"]
    assert notices == [f"{path}: 2 of 4 prompts repeat others and are left out"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", " \n\n", "p.txt: expected text, found an empty file"),
        ("p.json", "[]", "p.json: expected at least one prompt, found none"),
        ("p.json", '["x", 1]', 'p.json: expected a list of texts, ["...", "..."], found ["x", 1]'),
        (
            "p.json",
            '{"task195": ["x"], "task2": ["y"]}',
            'p.json: expected prompts of one task, found "task195" or "task2". Name the one you mean with '
            "--task, or give its original prompt as --instruction.",
        ),
        (
            "p.json",
            '{"best": 1, "prompts": []}',
            'p.json: expected a list of texts, ["...", "..."], found an object with "best", "prompts"',
        ),
        (
            "p.jsonl",
            '"x"\n',
            "p.jsonl: expected prompts in a text file, one a line, or in a .json file, a list of texts; "
            'found ".jsonl"',
        ),
    ],
)
def test_what_is_wrong_with_a_file_of_prompts_is_one_sentence(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    assert fault(read_prompts, write(tmp_path, name, content)) == message


# --- in memory


@pytest.mark.parametrize(
    "given",
    [
        TWO,
        [(e.input, e.answer) for e in TWO],
        [[e.input, e.answer] for e in TWO],
        [{"sentence": e.input, "label": e.answer} for e in TWO],
        ((e.input, e.answer) for e in TWO),
    ],
)
def test_examples_in_memory_come_in_several_shapes(given: object) -> None:
    assert as_examples(given) == TWO  # type: ignore[arg-type]


def test_a_tables_own_integers_are_answers() -> None:
    import numpy as np

    assert as_examples([("x", np.int64(3))]) == [Example("x", "3")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "expected at least one example, found none"),
        (["x"], 'example 1: expected an (input, answer) pair, found "x"'),
        ([("x", "y"), ("x", None)], 'example 2: expected an answer in "answer", found nothing'),
        ([("x", "y", "z")], 'example 1: expected an (input, answer) pair, found ["x", "y", "z"]'),
        (
            [{"q": "x", "a": "y"}],
            'examples: expected a column such as "input", "inputs" or "text" for the input, found "q", "a". '
            "Give (input, answer) pairs instead.",
        ),
        (
            [{"input": "x", "answer": "y"}, {"input": "x"}],
            'example 2: expected an answer in "answer", found nothing',
        ),
    ],
)
def test_what_is_wrong_with_examples_in_memory_is_one_sentence(given: list[object], message: str) -> None:
    assert fault(as_examples, given) == message
