"""Rows of other shapes: Alpaca's, chats, other columns than the first row's, Parquet; empty answers."""

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from sapo_lite.data.files import read_examples
from sapo_lite.data.in_memory import as_examples
from sapo_lite.data.readers import read_rows
from sapo_lite.data.row_instructions import settle_instructions
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import DataError
from sapo_lite.recipe import SequenceConfig
from sapo_lite.types import Example

Rows = list[dict[str, object]]
ENTRY = {"instruction": "Say yes or no.", "suffix": "", "labels": []}


@pytest.fixture(autouse=True)
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the suite `S` keep their order, as those of a published one, so that they can be compared."""
    monkeypatch.setattr("sapo_lite.data.tasks.IN_ORDER", ("S",))


def put(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, ensure_ascii=False))
    return path


def by_score(folder: Path, rows: Rows, notify: Callable[[str], None]) -> list[Example]:
    return read_examples(put(folder / "mood/train.json", rows), notify=notify).examples


def by_run(folder: Path, rows: Rows, notify: Callable[[str], None]) -> list[Example]:
    suite = folder / "S"
    put(suite / "mood/train.json", rows)
    put(suite / "mood/test.json", rows)
    (suite / "instructions.json").write_text(json.dumps({"mood": ENTRY}))
    (task,) = load_sequence(SequenceConfig(suite="S", tasks=("mood",)), folder, notify)
    assert task.train == task.test
    return list(task.train)


Read = Callable[[Path, Rows, Callable[[str], None]], list[Example]]
by_both = pytest.mark.parametrize("read", [by_run, by_score])


def messages(*turns: str, role: str = "role", content: str = "content") -> list[dict[str, str]]:
    """Turns written as "user: text"."""
    return [dict(zip((role, content), turn.split(": "), strict=True)) for turn in turns]


# --- instructions in rows


@by_both
@pytest.mark.parametrize(
    ("rows", "examples", "said"),
    [
        # Each row has an instruction of its own: it is part of what the model reads.
        (
            [{"instruction": "Is 7 prime?", "input": "", "output": "yes"}],
            [("Is 7 prime?", "yes")],
            "with an instruction: it stands before the input, as part of it",
        ),
        (
            [
                {"instruction": "Translate.", "input": "Haus", "output": "house"},
                {"instruction": "Name a fruit.", "output": "apple"},
                {"instruction": "", "input": "Fig?", "output": "fruit"},
            ],
            [("Translate.\n\nHaus", "house"), ("Name a fruit.", "apple"), ("Fig?", "fruit")],
            "with an instruction: it stands before the input, as part of it",
        ),
        (
            [
                {"instruction": "Who?", "context": "Bob went.", "response": "Bob", "category": "qa"},
                {"instruction": "Where?", "context": "", "response": "Rome", "category": "qa"},
            ],
            [("Who?\n\nBob went.", "Bob"), ("Where?", "Rome")],
            "with an instruction: it stands before the input, as part of it",
        ),
        # All rows have one, and an input: it is the task's.
        (
            [{"Instruction": "Spam?", "input": f"text {i}", "output": "no"} for i in range(2)],
            [("text 0", "no"), ("text 1", "no")],
            'all rows have the instruction "Spam?": it is the task\'s, and no part of the inputs',
        ),
    ],
)
def test_alpaca_rows_are_taken_as_such(
    tmp_path: Path, read: Read, rows: Rows, examples: list[tuple[str, str]], said: str
) -> None:
    notices: list[str] = []
    assert read(tmp_path, rows, notices.append) == [Example(*pair) for pair in examples]
    assert sum(notice.endswith(said) for notice in notices) == 1


def test_instructions_are_settled_for_all_files_of_a_task_at_once() -> None:
    def rows(*instructions: str) -> list[tuple[str, object]]:
        return [("", {"instruction": i, "text": "x", "label": "y"}) for i in instructions]

    (train, test), shared = settle_instructions([rows("A", "A"), rows("A")], "")
    assert (train, test, shared) == ([("", {"text": "x", "label": "y"})] * 2, train[:1], "A")
    (train, test), shared = settle_instructions([rows("A", "B"), rows("A")], "")
    assert shared is None
    assert test == [("", {"text": "A\n\nx", "label": "y"})]


def test_an_instruction_beside_two_inputs_is_for_the_user_to_place(tmp_path: Path) -> None:
    rows: Rows = [{"instruction": "A", "question": "B", "context": "C", "answer": "D"}]
    with pytest.raises(DataError, match='expected one column for the input, found "question" or "context"'):
        read_examples(put(tmp_path / "a.json", rows))


def test_a_named_input_column_is_taken_alone(tmp_path: Path) -> None:
    rows: Rows = [{"instruction": f"{i}", "input": "x", "output": "y"} for i in range(2)]
    path = put(tmp_path / "a.json", rows)
    notices: list[str] = []
    assert read_examples(path, "input", notify=notices.append).examples == [Example("x", "y")] * 2
    assert notices == [f"{path}: 2 examples, inputs from column input, answers from column output; "
                       "not read: instruction"]  # fmt: skip


def test_instructions_of_examples_in_memory_are_settled_too() -> None:
    notices: list[str] = []
    rows = [{"instruction": "Is 7 prime?", "input": "", "output": "yes"}]
    assert as_examples(rows, notices.append) == [Example("Is 7 prime?", "yes")]
    assert notices == ["examples: 1 row with an instruction: it stands before the input, as part of it"]


# --- chats


CHAT = messages("user: Good?", "assistant: yes")


@by_both
@pytest.mark.parametrize(
    ("rows", "examples"),
    [
        ([{"messages": CHAT}], [("Good?", "yes")]),
        ([{"conversations": messages("human: Good?", "gpt: yes", role="from", content="value")}],
         [("Good?", "yes")]),
        ([{"messages": [{"role": "user", "content": [{"type": "text", "text": "Good"}, {"text": "?"}]},
                        CHAT[1]]}],
         [("Good?", "yes")]),
        # A copy of the turn, as in no_robots, is not a second input.
        ([{"prompt": "Good?", "prompt_id": "7", "messages": CHAT}], [("Good?", "yes")]),
        # The system's text is an instruction.
        ([{"messages": messages("system: Judge.", *("user: Good?", "assistant: yes"))}] * 2,
         [("Good?", "yes")] * 2),
        ([{"messages": messages(f"system: {i}", "user: Good?", "assistant: yes")} for i in "AB"],
         [("A\n\nGood?", "yes"), ("B\n\nGood?", "yes")]),
        ([{"messages": CHAT}, {"messages": messages("system: A", "user: Bad?", "assistant: no")}],
         [("Good?", "yes"), ("A\n\nBad?", "no")]),
    ],
)  # fmt: skip
def test_chat_rows_are_taken_as_such(
    tmp_path: Path, read: Read, rows: Rows, examples: list[tuple[str, str]]
) -> None:
    notices: list[str] = []
    assert read(tmp_path, rows, notices.append) == [Example(*pair) for pair in examples]
    assert any("of chat messages: input: the user's turn, answer: the reply" in said for said in notices)


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        (
            messages("user: a", "assistant: b", "user: c"),
            '"messages": expected one turn of the user and one reply, found user, assistant, user. '
            "Make a row of each reply, with all that the model should read before it as the user's turn.",
        ),
        (
            messages("user: a"),
            '"messages": expected one turn of the user and one reply, found user. '
            "Make a row of each reply, with all that the model should read before it as the user's turn.",
        ),
        (
            messages("user: a", "tool: b"),
            '"messages", turn 2: expected the role system, user or assistant, found "tool"',
        ),
        (
            [*messages("user: a"), {"role": "assistant", "content": None}],
            '"messages", turn 2: expected a text, found nothing',
        ),
        (
            [{"role": "user", "content": [{"type": "image", "image": "x.png"}]}, CHAT[1]],
            '"messages", turn 1: expected a text, found [{...}]',
        ),
    ],
)
def test_other_chats_are_refused(tmp_path: Path, turns: object, message: str) -> None:
    path = put(tmp_path / "a.json", [{"messages": CHAT}, {"messages": turns}])
    with pytest.raises(DataError) as caught:
        read_rows(path)
    assert str(caught.value) == f"{path}, row 2, {message}"


# --- columns


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"text": "x", "label": "y"}, {"label": "y", "text": "x"}], None),
        (
            [{"text": "x", "label": "y"}, {"text": "x", "label": "y", "note": "z"}],
            'row 2: other columns than in the first row: "note" more',
        ),
        (
            [{"text": "x", "label": "y", "id": 1}, *([{"text": "x", "label": "y", "no": 2}] * 3)],
            'row 2: other columns than in the first row: "no" more, "id" missing (and 2 more such rows)',
        ),
    ],
)
def test_rows_with_other_columns_than_the_first_are_said(
    tmp_path: Path, rows: Rows, said: str | None
) -> None:
    notices: list[str] = []
    path = put(tmp_path / "a.json", rows)
    assert len(read_rows(path, notices.append)) == len(rows)
    assert notices == ([f"{path}, {said}"] if said else [])


@pytest.mark.parametrize("row", [{"text": "text", "label": "label"}, {" text": "text ", "label": "label"}])
def test_column_names_as_a_row_are_refused_in_json_too(tmp_path: Path, row: dict[str, object]) -> None:
    path = put(tmp_path / "a.json", [{"text": "x", "label": "y"}, row])
    with pytest.raises(DataError, match="row 2: expected an example, found the column names again"):
        read_rows(path)


def test_a_list_under_the_name_of_json_lines_is_read(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", [{"text": "x", "label": "y"}])
    assert read_rows(path) == [(f"{path}, row 1", {"text": "x", "label": "y"})]


# --- empty answers


@by_both
def test_an_empty_answer_of_json_is_an_answer_and_is_counted(tmp_path: Path, read: Read) -> None:
    notices: list[str] = []
    rows: Rows = [{"sentence": "Any error?", "label": label} for label in ("", "a", " ")]
    assert [e.answer for e in read(tmp_path, rows, notices.append)] == ["", "a", " "]
    assert any(said.endswith("2 of 3 answers are empty: the right answer is nothing") for said in notices)


@by_both
@pytest.mark.parametrize("row", [{"sentence": "x", "label": None}, {"sentence": "x"}])
def test_a_missing_answer_is_refused(tmp_path: Path, read: Read, row: dict[str, object]) -> None:
    rows = [{"sentence": "x", "label": "y"}, row]
    with pytest.raises(DataError, match='row 2: expected an answer in "label", found nothing'):
        read(tmp_path, rows, lambda notice: None)


@pytest.mark.parametrize("cell", ["", " ", '""'])
def test_an_empty_cell_of_a_table_is_a_missing_answer(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\nx,{cell}\n")
    with pytest.raises(DataError, match='line 2: expected an answer in "label", found ""'):
        read_examples(path)
    path.write_text("text,label\n,y\n")
    assert read_examples(path).examples == [Example("", "y")]


# --- Parquet


def test_parquet_has_the_examples_of_any_other_file(tmp_path: Path) -> None:
    columns = {
        "text": ["x", "", "é"],
        "label": pa.array(["yes", "no", "yes"]).dictionary_encode(),
    }
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert read_examples(tmp_path / "a.parquet").examples == [
        Example("x", "yes"), Example("", "no"), Example("é", "yes")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (0.5, "0.5"),
        (True, "true"),
        (b"ja", "ja"),
        (datetime.date(2024, 5, 1), "2024-05-01"),
        (Decimal("1.20"), "1.20"),
    ],
)
def test_values_of_parquet_are_texts(tmp_path: Path, value: object, text: str) -> None:
    parquet.write_table(pa.table({"text": ["x"], "label": [value]}), tmp_path / "a.parquet")
    assert read_examples(tmp_path / "a.parquet").examples == [Example("x", text)]


@pytest.mark.parametrize("value", [None, ["a"], b"\xff"])
def test_other_values_of_parquet_are_refused_as_answers(tmp_path: Path, value: object) -> None:
    parquet.write_table(pa.table({"text": ["x"], "label": [value]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match='row 1: expected an answer in "label", found '):
        read_examples(tmp_path / "a.parquet")


def test_chats_in_parquet_are_read(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"messages": [CHAT]}), tmp_path / "a.parquet")
    assert read_examples(tmp_path / "a.parquet").examples == [Example("Good?", "yes")]


@pytest.mark.parametrize(
    ("content", "message"), [(b"PAR1", "expected a Parquet file: "), (None, "cannot be read ")]
)
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_rows(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_column_twice_in_parquet_is_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["text", "text"])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match='expected different column names, found "text" twice'):
        read_rows(tmp_path / "a.parquet")


def test_a_role_that_is_a_list_is_named(tmp_path: Path) -> None:
    rows: Rows = [{"messages": [{"role": ["user"], "content": "x"}]}]
    with pytest.raises(DataError, match=r"expected the role system, user or assistant, found \[\"user\"\]"):
        read_examples(put(tmp_path / "x.json", rows))
