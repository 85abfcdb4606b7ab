"""Tasks: search of suites, ids, and contents of their files."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sapo_lite.data import suite as suites
from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.data.language import language_of
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import DataError
from sapo_lite.recipe import SequenceConfig, load_recipe
from sapo_lite.types import Example

ENTRY = {"instruction": "Say yes or no.", "suffix": "Directly answer.", "labels": ["yes", "no"], "size": [3]}
ROWS = [{"sentence": f"text {i}", "label": "yes" if i % 2 else "no"} for i in range(5)]
NAMES = ["task195_sentiment", "task1310_rating", "task002_quoref", "C-STANCE"]
PUBLISHED = "Fetch the published suites with `sapo-lite data fetch superni` or `sapo-lite data fetch trace`"


@pytest.fixture(autouse=True)
def only_this_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only the data that a test names can be found."""
    monkeypatch.delenv("SAPO_LITE_DATA", raising=False)
    monkeypatch.setattr(suites, "shipped", lambda kind: tmp_path / "shipped" / kind)
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))


def make_suite(root: Path, suite: str = "S", names: list[str] = NAMES) -> Path:
    """A suite of small tasks under `root`; the folder of the suite."""
    folder = root / suite
    for name in names:
        (folder / name).mkdir(parents=True)
        for split in ("train", "dev", "test"):
            rows = [{**row, "sentence": f"{split} {row['sentence']}"} for row in ROWS]
            put(folder / name / f"{split}.json", rows)
    put(folder / "instructions.json", dict.fromkeys(names, ENTRY))
    return folder


def put(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def sequence(*tasks: str, suite: str = "S", **settings: Any) -> SequenceConfig:
    return SequenceConfig(suite=suite, tasks=tasks or ("195",), **settings)


def problems(config: SequenceConfig, data: Path | None) -> list[str]:
    """The lines of the error that a sequence is refused with."""
    with pytest.raises(DataError) as caught:
        load_sequence(config, data)
    return str(caught.value).splitlines()


# --- what is loaded


def test_a_published_task_has_its_prompt_parts_and_the_first_examples_of_each_file(tmp_path: Path) -> None:
    make_suite(tmp_path, "TRACE")
    notices: list[str] = []
    config = sequence("195", suite="TRACE", train_examples=2, test_examples=1)
    (task,) = load_sequence(config, tmp_path, notices.append)
    assert notices == ["TRACE: the first rows of every file are used, as published; sequence.draw draws them"]
    assert (task.id, task.suite, task.key) == ("task195_sentiment", "TRACE", "task195")
    assert (task.instruction, task.suffix) == ("Say yes or no.", "Directly answer.")
    assert (task.labels, task.language, task.train_split) == (("yes", "no"), "en", "train")
    assert task.train == (Example("train text 0", "no"), Example("train text 1", "yes"))
    assert task.test == (Example("test text 0", "no"),)


SORTED = [{"sentence": f"text {i}", "label": "no" if i < 60 else "yes"} for i in range(80)]


def test_rows_of_a_suite_of_your_own_are_drawn_by_answer_even_from_a_sorted_file(tmp_path: Path) -> None:
    path = make_suite(tmp_path) / NAMES[0] / "train.json"
    put(path, SORTED)
    notices: list[str] = []
    (task,) = load_sequence(sequence(train_examples=20), tmp_path, notices.append)
    assert [example.answer for example in task.train].count("yes") == 5
    assert notices == [f"{path}: 20 of 80 rows, drawn by seed 0 and by answer"]
    (other,) = load_sequence(sequence(train_examples=20, draw=1), tmp_path)
    assert set(other.train) != set(task.train)


@pytest.mark.parametrize("suite", ["S", "SUPERNI"])
def test_a_draw_takes_other_examples_of_each_file_and_the_same_ones_every_time(
    tmp_path: Path, suite: str
) -> None:
    make_suite(tmp_path, suite)

    def train(draw: int | None, examples: int = 5) -> tuple[Example, ...]:
        config = sequence("195", "1310", suite=suite, train_examples=examples, test_examples=2, draw=draw)
        return load_sequence(config, tmp_path)[0].train

    in_order = tuple(sorted(train(0), key=lambda e: e.input))
    assert train(None) == (in_order if suite == "SUPERNI" else train(0))
    assert train(0) != in_order
    assert train(0) == train(0) != train(1)
    assert train(0, examples=2) == train(0)[:2]  # more examples contain the fewer
    first, second = load_sequence(sequence("195", "1310", suite=suite, draw=0), tmp_path)
    assert [e.input for e in first.train] != [e.input for e in second.train]
    assert [e.input[-1] for e in first.train] != [e.input[-1] for e in first.test]


def test_a_draw_changes_the_fingerprint_of_the_data(tmp_path: Path) -> None:
    make_suite(tmp_path, "TRACE")
    configs = [sequence(suite="TRACE", draw=draw) for draw in (None, 0, 1)]
    prints = [data_fingerprint(load_sequence(config, tmp_path)) for config in configs]
    assert len({one["task195_sentiment"] for one in prints}) == 3


def test_a_bad_row_is_named_by_its_place_in_the_file_whatever_the_draw(tmp_path: Path) -> None:
    rows = [*ROWS, {"sentence": "", "label": None}]
    put(make_suite(tmp_path) / "task195_sentiment" / "train.json", rows)
    for draw in range(3):
        (line,) = problems(sequence(draw=draw), tmp_path)
        assert "train.json, row 6: expected an answer" in line


@pytest.mark.parametrize(
    ("suite", "entry", "metric"),
    [
        ("SUPERNI", {}, "rougeL"),  # published with it
        ("S", {}, "accuracy"),
        ("S", {"labels": []}, "rougeL"),
        ("S", {"labels": [], "metric": "chrf"}, "chrf"),
        ("SUPERNI", {"metric": "accuracy"}, "accuracy"),
    ],
)
def test_a_task_has_the_metric_of_its_entry_or_the_usual_one(
    suite: str, entry: dict[str, Any], metric: str, tmp_path: Path
) -> None:
    put(make_suite(tmp_path, suite) / "instructions.json", {"task195_sentiment": {**ENTRY, **entry}})
    (task,) = load_sequence(SequenceConfig(suite=suite, tasks=("195",)), tmp_path)
    assert task.metric == metric


def test_a_metric_that_is_no_text_is_refused(tmp_path: Path) -> None:
    put(make_suite(tmp_path) / "instructions.json", {"task195_sentiment": {**ENTRY, "metric": ["chrf"]}})
    (line,) = problems(sequence(), tmp_path)
    assert 'expected a text as "metric", found ["chrf"]' in line


def test_fewer_examples_than_asked_for_are_fine(tmp_path: Path) -> None:
    make_suite(tmp_path)
    (task,) = load_sequence(sequence(), tmp_path)
    assert (len(task.train), len(task.test)) == (5, 5)


def test_tasks_come_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    make_suite(tmp_path)
    tasks = load_sequence(sequence("C-STANCE", "2", "195"), tmp_path)
    assert [task.id for task in tasks] == ["C-STANCE", "task002_quoref", "task195_sentiment"]


def test_texts_pass_through_unchanged(tmp_path: Path) -> None:
    folder = make_suite(tmp_path)
    text = ' {0} {} "quoted"\n\n文本: \t'
    put(folder / "instructions.json", {"C-STANCE": {"instruction": text, "suffix": "", "labels": []}})
    put(folder / "C-STANCE/train.json", [{"sentence": "", "label": text, "more": 1}])
    (task,) = load_sequence(sequence("C-STANCE"), tmp_path)
    assert (task.instruction, task.suffix, task.labels, task.train) == (text, "", (), (Example("", text),))


@pytest.mark.parametrize("wanted", ["task002_quoref", "task002", "002", "2", "task2"])
def test_an_id_is_a_full_name_or_a_number(tmp_path: Path, wanted: str) -> None:
    make_suite(tmp_path)
    assert load_sequence(sequence(wanted), tmp_path)[0].id == "task002_quoref"


@pytest.mark.parametrize(
    "wanted", ["19", "1951", "task195_", "sentiment", "c-stance", "task", "Task195", "-2", "31"]
)
def test_part_of_a_name_is_not_an_id(tmp_path: Path, wanted: str) -> None:
    folder = make_suite(tmp_path)
    (problem,) = problems(sequence(wanted), tmp_path)
    assert problem.startswith(f'Task "{wanted}" is not in {folder}/instructions.json; ')


# --- where a suite is found


def test_a_suite_is_sought_in_data_then_recipe_then_environment_then_shipped_then_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("data", "recipe", "environment", "shipped/data", "cache/data"):
        folder = make_suite(tmp_path / place)
        put(folder / "instructions.json", {NAMES[0]: {**ENTRY, "instruction": place}})
    monkeypatch.setenv("SAPO_LITE_DATA", str(tmp_path / "environment"))
    config = sequence(data=str(tmp_path / "recipe"))
    for place in ("data", "recipe", "environment", "shipped/data", "cache/data"):
        assert load_sequence(config, tmp_path / "data")[0].instruction == place
        (tmp_path / place / "S/instructions.json").unlink()


def test_the_suite_folder_itself_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_suite(tmp_path)
    assert load_sequence(sequence(), folder)[0].suite == "S"
    monkeypatch.chdir(folder)
    assert load_sequence(sequence(), Path())[0].suite == "S"


def test_a_folder_of_another_name_is_not_taken_for_the_suite(tmp_path: Path) -> None:
    assert problems(sequence(), make_suite(tmp_path, "T"))[0] == 'No suite "S" was found. Looked in'


def test_a_suite_that_is_nowhere_names_the_folders_the_layout_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_suite(tmp_path / "a", "SUPERNI")
    make_suite(tmp_path / "a", "TRACE")
    (tmp_path / "b").mkdir()
    monkeypatch.setenv("SAPO_LITE_DATA", str(tmp_path / "b"))
    assert problems(sequence(data=str(tmp_path / "c")), tmp_path / "a") == [
        'No suite "S" was found. Looked in',
        f"  --data {tmp_path}/a: holds SUPERNI, TRACE",
        f"  sequence.data {tmp_path}/c: no such folder",
        f"  SAPO_LITE_DATA {tmp_path}/b: holds no suite",
        f"  shipped data {tmp_path}/shipped/data: no such folder",
        f"  fetched data {tmp_path}/cache/data: no such folder",
        "Expected FOLDER/S/instructions.json and, for every task, FOLDER/S/<task>/train.json, "
        "dev.json and test.json.",
        f"{PUBLISHED}; for other data, pass --data FOLDER or set SAPO_LITE_DATA=FOLDER.",
    ]


def test_data_that_is_no_folder_does_not_fall_back_to_other_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_suite(tmp_path)
    monkeypatch.setenv("SAPO_LITE_DATA", str(tmp_path))
    assert problems(sequence(), tmp_path / "typo") == [f"--data {tmp_path}/typo: no such folder"]


# --- unknown tasks


def test_all_unknown_tasks_are_reported_at_once_with_the_nearest(tmp_path: Path) -> None:
    folder = make_suite(tmp_path)
    assert problems(sequence("196", "195", "c-stance", "task1310_ratings", "zzzzzzzz"), tmp_path) == [
        f'Task "196" is not in {folder}/instructions.json; did you mean task195_sentiment?',
        f'Task "c-stance" is not in {folder}/instructions.json; did you mean C-STANCE?',
        f'Task "task1310_ratings" is not in {folder}/instructions.json; did you mean task1310_rating?',
        f'Task "zzzzzzzz" is not in {folder}/instructions.json; '
        "it has task195_sentiment, task1310_rating, task002_quoref, C-STANCE",
    ]


def test_a_large_suite_is_not_listed_whole(tmp_path: Path) -> None:
    folder = make_suite(tmp_path, names=[f"t{i}" for i in range(12)])
    assert problems(sequence("zzz"), tmp_path) == [
        f'Task "zzz" is not in {folder}/instructions.json; '
        "it has t0, t1, t2, t3, t4, t5, t6, t7, t8, t9 and 2 more"
    ]


def test_a_number_that_two_tasks_bear_asks_for_the_full_name(tmp_path: Path) -> None:
    make_suite(tmp_path, names=["task15_a", "task015_b"])
    assert problems(sequence("15"), tmp_path) == [
        'Task "15" could be task15_a or task015_b: write the full name.'
    ]
    assert load_sequence(sequence("task15_a"), tmp_path)[0].id == "task15_a"


def test_one_task_under_two_names_is_refused(tmp_path: Path) -> None:
    make_suite(tmp_path)
    assert problems(sequence("195", "2", "task195"), tmp_path) == [
        '"195" and "task195" are the same task, task195_sentiment.'
    ]


# --- keys


def keys(folder: Path, *ids: str) -> list[str]:
    """The keys of tasks with these ids in one sequence, which are safe and different on every disk."""
    for name in ids:
        (folder / "S" / name).mkdir(parents=True)
        for split in ("train", "test"):
            put(folder / "S" / name / f"{split}.json", ROWS)
    put(folder / "S/instructions.json", dict.fromkeys(ids, ENTRY))
    tasks = load_sequence(sequence(*ids), folder)
    assert [task.id for task in tasks] == list(ids)
    for names in ([task.key for task in tasks], [task.file_name for task in tasks]):
        assert len({name.lower() for name in names}) == len(ids)
        assert not [name for name in names if re.search(r'[/:*?"<>|]|^\\.', name) or len(name) > 150]
    return [task.key for task in tasks]


def test_a_key_is_the_abbreviated_id_where_it_means_one_task(tmp_path: Path) -> None:
    assert keys(tmp_path, *NAMES) == ["task195", "task1310", "task002", "C-STANCE"]


@pytest.mark.parametrize(
    "ids",
    [
        ("task_yes", "task_no"),
        ("task7_yes", "task7_no"),
        ("task7", "task7_no"),
        ("task7_a", "task7_b", "task_7", "task"),
    ],
)
def test_where_two_tasks_have_one_abbreviation_a_key_is_the_full_id(tmp_path: Path, ids: tuple[str]) -> None:
    assert keys(tmp_path, *ids) == list(ids)


@pytest.mark.parametrize(
    "ids",
    [
        ("mood", "Mood"),
        ("task7_yes", "TASK7_yes"),
        ("task7_a", "Task7_A", "task7_b"),
        ("caf\u00e9", "cafe\u0301"),
        ("en/mood", "en:mood", "en-mood"),
        (".mood", "mood"),
        ("task7_a/b", "task7_a:b"),
    ],
)
def test_keys_differ_by_more_than_case_and_have_no_unsafe_characters(tmp_path: Path, ids: tuple[str]) -> None:
    assert keys(tmp_path, *ids) != list(ids)


def test_a_rewritten_key_keeps_its_words_and_the_name_is_the_id(tmp_path: Path) -> None:
    make_suite(tmp_path, names=["en/mood", "task7_a"])
    unsafe, plain = load_sequence(sequence("en/mood", "task7_a"), tmp_path)
    assert re.fullmatch(r"en-mood-[0-9a-f]{8}", unsafe.key)
    assert (unsafe.name, unsafe.file_name) == ("en/mood", unsafe.key)
    assert (plain.key, plain.name, plain.file_name) == ("task7", "task7", "task7_a")


def test_an_index_with_a_task_twice_is_refused(tmp_path: Path) -> None:
    folder = make_suite(tmp_path)
    entry = json.dumps(ENTRY)
    (folder / "instructions.json").write_text(f'{{"C-STANCE": {entry}, "C-STANCE": {entry}}}')
    assert problems(sequence("C-STANCE"), tmp_path) == [
        f'{folder}/instructions.json: the key "C-STANCE" is there twice in one object; leave one of them'
    ]


# --- missing files


def test_a_missing_train_file_names_both_remedies(tmp_path: Path) -> None:
    task = make_suite(tmp_path) / NAMES[0]
    (task / "train.json").unlink()
    assert problems(sequence(), tmp_path) == [
        f"{task}/train.json: no such file. {PUBLISHED}; or let dev.json stand in for it: "
        "--set sequence.missing_train=dev"
    ]


def test_dev_stands_in_for_a_missing_train_file_only_when_asked_and_says_so(tmp_path: Path) -> None:
    folder = make_suite(tmp_path)
    (folder / NAMES[0] / "train.json").unlink()
    tasks = load_sequence(sequence("195", "2", missing_train="dev"), tmp_path)
    assert [task.train_split for task in tasks] == ["dev", "train"]
    assert {example.input[:8] for example in tasks[0].train} == {"dev text"}
    (folder / NAMES[0] / "dev.json").unlink()
    assert problems(sequence("195", missing_train="dev"), tmp_path) == [
        f"{folder}/{NAMES[0]}/train.json: no such file, and no dev.json to stand in for it. {PUBLISHED}."
    ]


def test_everything_that_is_missing_or_malformed_is_reported_at_once(tmp_path: Path) -> None:
    folder = make_suite(tmp_path)
    (folder / NAMES[0] / "train.json").unlink()
    (folder / NAMES[0] / "test.json").unlink()
    put(folder / NAMES[2] / "test.json", [ROWS[0], {"sentence": "x"}])
    found = problems(sequence("195", "1310", "2", "zzz"), tmp_path)
    assert [line.split(";")[0] for line in found] == [
        f"{folder}/{NAMES[0]}/train.json: no such file. {PUBLISHED}",
        f"{folder}/{NAMES[0]}/test.json: no such file. {PUBLISHED}.",
        f'{folder}/{NAMES[2]}/test.json, row 2: expected an answer in "label", found nothing',
        f'Task "zzz" is not in {folder}/instructions.json',
    ]


# --- malformed files


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('[\n{"sentence": "a",\n "label"}]', ", line 3: not valid JSON: Expecting ':' delimiter"),
        ("", ": expected text, found an empty file"),
        (
            '{"sentence": "a"}',
            ': expected a list of rows, found an object with "sentence". Save the list alone.',
        ),
        ("[]", ": expected at least one example, found none"),
        ('["a"]', ', row 1: expected an object such as {"input": text, "answer": text}, found "a"'),
        (
            '[{"label": "a"}]',
            ': expected a column such as "input", "inputs" or "text" for the input, found "label". '
            "Rename or remove columns of the file.",
        ),
        (
            '[{"sentence": null, "label": "a"}]',
            ', row 1: expected a text in "sentence", found nothing',
        ),
        ('[{"sentence": "a", "label": ["b"]}]', ', row 1: expected an answer in "label", found ["b"]'),
        ('[{"sentence": "a", "label": null}]', ', row 1: expected an answer in "label", found nothing'),
        (
            '[{"sentence": "a", "label": "b"}, null, 3, 4]',
            ', row 2: expected an object such as {"sentence": text, "label": text}, found nothing '
            "(and 2 more bad rows)",
        ),
    ],
)
def test_a_malformed_file_is_named_with_its_row(tmp_path: Path, content: str, problem: str) -> None:
    path = make_suite(tmp_path) / NAMES[0] / "train.json"
    path.write_text(content)
    assert problems(sequence(), tmp_path) == [f"{path}{problem}"]


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = make_suite(tmp_path) / NAMES[0] / "train.json"
    path.write_bytes(b'[{"sentence": "\xc4\xe3\xba\xc3", "label": "a"}]')
    assert problems(sequence(), tmp_path) == [
        f"{path}: expected UTF-8 text, found other bytes at byte 15, line 1. Save the file as UTF-8."
    ]


def test_rows_that_are_not_used_are_not_judged(tmp_path: Path) -> None:
    put(make_suite(tmp_path, "TRACE") / NAMES[0] / "train.json", [*ROWS, None])
    assert len(load_sequence(sequence(suite="TRACE", train_examples=5), tmp_path)[0].train) == 5


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("x", 'expected an object, found "x"'),
        ({**ENTRY, "instruction": None}, 'expected a text as "instruction", found nothing'),
        ({"instruction": "", "labels": []}, 'expected a text as "suffix", found nothing'),
        ({**ENTRY, "labels": "yes"}, 'expected a list of texts as "labels", found "yes"'),
        ({**ENTRY, "labels": ["yes", 1]}, 'expected a list of texts as "labels", found ["yes", 1]'),
    ],
)
def test_a_malformed_instruction_is_named_with_its_task(tmp_path: Path, entry: object, problem: str) -> None:
    index = make_suite(tmp_path) / "instructions.json"
    put(index, {"C-STANCE": entry})
    assert problems(sequence("C-STANCE"), tmp_path) == [f"{index}, C-STANCE: {problem}"]


def test_instructions_that_are_no_table_are_named(tmp_path: Path) -> None:
    index = make_suite(tmp_path) / "instructions.json"
    put(index, ["C-STANCE"])
    assert problems(sequence(), tmp_path) == [f'{index}: expected an object of tasks, found ["C-STANCE"]']


# --- language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("判断以下文本对指定对象的态度，选择一项：A.支持，B.反对，C.中立。", "zh"),
        ("请判断下面文本的情感，输出 positive、negative 或 neutral。", "zh"),
        ("翻译。", "zh"),
        ("Choose 支持, 反对 or 中立 as the stance of the text.", "en"),
        ("Translate the sentence into Chinese (中文).", "en"),
        ("Дай ответ.", "ru"),
        ("", "en"),
        ("1 + 1 = ?", "en"),
    ],
)
def test_chinese_is_a_clear_share_of_ideographs(text: str, language: str) -> None:
    assert language_of(text) == language


# --- fingerprint


def test_the_fingerprint_changes_with_anything_that_is_read_and_with_nothing_else(tmp_path: Path) -> None:
    folder = make_suite(tmp_path)

    def fingerprint() -> str:
        return data_fingerprint(load_sequence(sequence("C-STANCE"), tmp_path))["C-STANCE"]

    def changed_by(change: Callable[[], None]) -> bool:
        before = fingerprint()
        change()
        return fingerprint() != before

    index, task = folder / "instructions.json", folder / "C-STANCE"
    assert len(fingerprint()) == 64
    assert changed_by(lambda: put(index, {"C-STANCE": {**ENTRY, "instruction": "Other."}}))
    assert changed_by(lambda: put(index, {"C-STANCE": {**ENTRY, "suffix": ""}}))
    assert changed_by(lambda: put(index, {"C-STANCE": {**ENTRY, "suffix": "", "labels": ["yes"]}}))
    assert changed_by(lambda: put(task / "train.json", ROWS[::-1]))
    assert changed_by(lambda: put(task / "test.json", ROWS[:2]))
    assert not changed_by(lambda: put(task / "dev.json", ROWS[:1]))
    assert not changed_by(
        lambda: put(index, {"C-STANCE": {**ENTRY, "suffix": "", "labels": ["yes"], "size": []}})
    )


# --- the published data


@pytest.mark.benchmarks_data
@pytest.mark.parametrize("name", ["ni_seq_c1", "ni_seq_g1", "ni_seq_m1"])
def test_the_superni_sequences_load(benchmarks: Path, name: str) -> None:
    recipe = load_recipe(name, ["sequence.missing_train=dev"])
    tasks = load_sequence(recipe.sequence, benchmarks)
    assert [task.key for task in tasks] == [f"task{number}" for number in recipe.sequence.tasks]
    assert {task.language for task in tasks} == {"en"}
    assert all(len(task.train) > 600 and len(task.test) > 200 for task in tasks)
    assert all(task.instruction and task.suffix for task in tasks)


@pytest.mark.benchmarks_data
def test_the_trace_tasks_load_and_only_c_stance_is_chinese(benchmarks: Path) -> None:
    tasks = ("C-STANCE", "FOMC", "ScienceQA", "NumGLUE-cm")
    config = SequenceConfig(suite="TRACE", tasks=tasks, train_examples=3000, test_examples=3000)
    loaded = load_sequence(config, benchmarks)
    assert [task.language for task in loaded] == ["zh", "en", "en", "en"]
    assert [len(task.train) for task in loaded] == [3000] * 4
    assert [len(task.test) for task in loaded] == [2000, 496, 2000, 81]
    assert loaded[0].labels == ("A", "B", "C")


@pytest.mark.benchmarks_data
def test_a_published_id_is_never_found_by_part_of_it(benchmarks: Path) -> None:
    (problem,) = problems(SequenceConfig(suite="SUPERNI", tasks=("131",)), benchmarks)
    assert "did you mean task1310_amazonreview_rating_classification" in problem


def test_a_task_of_thousands_of_digits_is_matched_by_its_full_name_only() -> None:
    name = f"task{'9' * 5000}"
    assert suites.match_task(name, Path("s"), [name]) == name
    with pytest.raises(DataError, match=r"is not in s/instructions\.json"):
        suites.match_task("9" * 5000, Path("s"), [name])
