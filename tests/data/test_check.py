"""Checks of data: small rows, each with what is found about them."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean, stdev

import pytest

from sapo_lite.data.check import OF_DRAWN, OF_ROWS, SLOW, check
from sapo_lite.data.check.cuts import cut_inputs
from sapo_lite.data.check.facts import facts_of
from sapo_lite.data.check.finding import Finding, Level, notices, subject_of
from sapo_lite.data.check.metric import what_the_metric_sees
from sapo_lite.data.check.order import expected_runs
from sapo_lite.data.check.size import half_width
from sapo_lite.types import Example, Task

ALL = (*OF_ROWS, *OF_DRAWN, *SLOW)
YES_NO = ("yes", "no")
Rows = Sequence[tuple[str, str]]

WORDS = (
    "the harbour was quiet that night and nobody saw the small boat leave for the far side of the bay".split()
)
LONG = " ".join(WORDS)


def made(train: Rows, test: Rows, labels: tuple[str, ...] = YES_NO) -> Task:
    return Task(
        id="shop",
        suite="",
        instruction="Say yes or no.",
        suffix="",
        labels=labels,
        language="en",
        train=tuple(Example(*row) for row in train),
        test=tuple(Example(*row) for row in test),
    )


def mixed(name: str, count: int, answers: Sequence[str] = YES_NO) -> list[tuple[str, str]]:
    """Rows without a fault: different inputs, answers in turn."""
    return [(f"{name} {number}", answers[number % len(answers)]) for number in range(count)]


TRAIN, TEST = mixed("train", 20), mixed("test", 400)


def found(task: Task, dev: Rows = ()) -> list[Finding]:
    return list(check(subject_of(task, [Example(*row) for row in dev]), ALL))


def test_nothing_is_found_in_rows_without_faults() -> None:
    assert found(made(TRAIN, TEST), mixed("dev", 20)) == []
    assert found(made([("a", "one")], [(f"b {n}", f"x {n}") for n in range(400)], labels=())) == []


@pytest.mark.parametrize(
    ("task", "level", "kind", "split", "text", "numbers"),
    [
        (
            made([*TRAIN, ("a", "yess"), ("b", "yess"), ("c", "No ")], TEST),
            "fault",
            "outside labels",
            "train",
            "3 of 23 train answers are none of the labels: "
            '"yess" (2 rows, like "yes"), "No " (1 row, like "no")',
            {"rows": 3, "of": 23},
        ),
        (
            made(TRAIN, [*TEST[1:], ("a", "maybe not")]),
            "fault",
            "outside labels",
            "test",
            '1 of 400 test answers are none of the labels: "maybe not" (1 row)',
            {"rows": 1, "of": 400},
        ),
        (
            made([row for row in mixed("t", 40) if row[1] == "yes"], TEST),
            "fault",
            "label without rows",
            "train",
            'none of 20 train examples has the answer "no", which 200 of 400 test examples have',
            {"rows": 200, "of": 400},
        ),
        (
            made(TRAIN, [row for row in mixed("t", 800) if row[1] == "no"]),
            "caution",
            "label without rows",
            "test",
            'none of 400 test examples has the answer "yes", which 10 of 20 train examples have',
            {"rows": 10, "of": 20},
        ),
        (
            made(TRAIN, [row for row in mixed("t", 800) if row[1] == "no"]),
            "fault",
            "one answer",
            "test",
            'all 400 test answers are "no"',
            {"rows": 400},
        ),
        (
            made([*TRAIN, (" \n", "yes")], TEST),
            "fault",
            "empty input",
            "train",
            "1 of 21 train inputs are empty",
            {"rows": 1, "of": 21},
        ),
        (
            made([("", "yes"), ("", "no")], TEST),
            "unusable",
            "empty input",
            "train",
            "2 of 2 train inputs are empty",
            {"rows": 2, "of": 2},
        ),
        (
            made([*[(f"a {n}", f"free {n}") for n in range(20)], ("b", " ")], TEST, labels=()),
            "caution",
            "empty answer",
            "train",
            "1 of 21 train answers are empty",
            {"rows": 1, "of": 21},
        ),
        (
            made([*TRAIN, ("TRAIN  0", "yes")], TEST),
            "caution",
            "repeated input",
            "train",
            "21 train rows hold 20 different inputs",
            {"rows": 1, "of": 21},
        ),
        (
            made([*TRAIN, *TRAIN], TEST),
            "fault",
            "repeated input",
            "train",
            "40 train rows hold 20 different inputs",
            {"rows": 20, "of": 40},
        ),
        (
            made([*TRAIN, ("train 0", "no")], TEST),
            "fault",
            "contradiction",
            "train",
            '1 of 20 different train inputs come with more than one answer, such as "train 0"',
            {"rows": 1, "of": 20},
        ),
        (
            made([*TRAIN, ("ＴＥＳＴ\n0", "yes")], TEST),
            "fault",
            "leaked input",
            "train",
            '1 of 400 test inputs are train inputs, such as "test 0"',
            {"rows": 1, "of": 400},
        ),
        (
            made([*TRAIN, (f"{LONG} .", "yes")], [*TEST, (f"One fine day {LONG}", "no")]),
            "caution",
            "nearly leaked input",
            "train",
            "1 of 401 test inputs are nearly train inputs, such as "
            '"One fine day the harbour was quiet that night and nobody...',
            {"rows": 1, "of": 401},
        ),
        (
            made(sorted(mixed("t", 100), key=lambda row: row[1]), TEST),
            "fault",
            "sorted",
            "train",
            "100 train rows are sorted by answer: 2 runs of equal answers, where a shuffled file has about "
            "51; the longest is of 50 rows",
            {"runs": 2, "expected": 51.0, "longest": 50},
        ),
        (
            made(TRAIN, TEST[:50]),
            "caution",
            "small test",
            "test",
            "50 test examples: a score is known to ±13.9 points at worst (95 % interval)",
            {"rows": 50, "half_width": 13.9},
        ),
    ],
)
def test_a_fault_is_found(
    task: Task, level: Level, kind: str, split: str, text: str, numbers: dict[str, float]
) -> None:
    assert Finding("shop", kind, split, text, numbers, level) in found(task)


@pytest.mark.parametrize(
    "task",
    [
        made([("3 + 4", "yes"), ("3 - 4", "no"), *TRAIN], [("3 * 4", "yes"), *TEST]),  # other texts
        made([("good ride", "yes"), *TRAIN], [("good rides", "no"), *TEST]),  # too short to be nearly equal
        made([(LONG, "yes"), *TRAIN], [(" ".join(reversed(WORDS)), "no"), *TEST]),  # equal words
        made([(f"b {n}", random.Random(n).choice(YES_NO)) for n in range(200)], TEST),  # shuffled
        made([("a", "x y"), ("a", "z"), ("b", "q"), *mixed("t", 27, "abcdefghijklmnopqrstuvwxyz")], TEST, ()),
    ],
)
def test_what_only_looks_like_a_fault_is_not_found(task: Task) -> None:
    assert [f.kind for f in found(task) if f.kind not in ("repeated input", "label without rows")] == []


@pytest.mark.parametrize(
    "text",
    [
        LONG,
        "今天的天气非常好我们一起去公园散步看花喝茶聊天直到晚上才回家",
        "ไปเที่ยวทะเลกับเพื่อนแล้วกลับบ้านตอนเย็นวันอาทิตย์",
    ],
)
def test_near_duplicates_are_found_in_any_script(text: str) -> None:
    task = made([*TRAIN, (text, "yes")], [*TEST, (f"{text} x", "no")])
    assert [f.kind for f in found(task)] == ["nearly leaked input"]


def test_a_dev_file_that_is_the_test_file_is_a_caution() -> None:
    (finding,) = found(made(TRAIN, TEST), TEST)
    assert (finding.kind, finding.level, finding.split) == ("leaked input", "caution", "dev")
    assert finding.text.startswith("400 of 400 test inputs are dev inputs")


# --- the metric


def by_first_letter(prediction: str, reference: str) -> float:
    return float(prediction[:1].isalpha() and prediction[:1] == reference[:1])


@pytest.mark.parametrize(
    ("labels", "level", "text"),
    [
        (
            ("a", "b", "+"),
            "fault",
            '1 of 3 labels score less than full marks when they are right (rougeL): "+"',
        ),
        (("+", "?"), "unusable", "2 of 2 labels score less than full marks when they are right (rougeL): "),
        (("C", "C++", "D"), "fault", 'labels are one and the same to the metric (rougeL): "C" and "C++"'),
    ],
)
def test_labels_that_the_metric_does_not_see_or_confuses_are_found(
    labels: tuple[str, ...], level: Level, text: str
) -> None:
    task = made(mixed("a", 30, labels), mixed("b", 400, labels), labels)
    (finding,) = what_the_metric_sees(subject_of(task), by_first_letter)
    assert (finding.level, finding.split) == (level, None)
    assert finding.text.startswith(text)


def test_of_free_answers_those_that_the_metric_does_not_see_are_counted() -> None:
    answers = [*(f"word {n}" for n in range(60)), "!", "?"]
    subject = subject_of(made(TRAIN, mixed("a", 62, answers), ()))
    (finding,) = what_the_metric_sees(subject, by_first_letter)
    assert finding.numbers == {"answers": 2, "of": 62}
    assert list(what_the_metric_sees(subject, by_first_letter, answers_at_most=60)) == []


# --- cut inputs

OPTIONS = "Who is it? (A) a man (B) a dog (C) Do you mind? (D) a bird"


def cut(rows: Rows, length: int, labels: tuple[str, ...] = ()) -> list[Finding]:
    """Findings about inputs that are cut to a number of characters."""
    task = made(rows, (), labels)
    fitted = replace(task, train=tuple(Example(e.input[:length], e.answer) for e in task.train))
    return list(cut_inputs(subject_of(task), subject_of(fitted)))


@pytest.mark.parametrize(
    ("rows", "labels", "level", "text"),
    [
        (
            [("short", "yes"), ("a long text", "no")],
            YES_NO,
            "caution",
            "1 of 2 train inputs are cut at their end",
        ),
        # Who answers with words of the text cannot do so without them.
        (
            [("The boat left Lisbon.", "Lisbon"), ("Rome is far away from here.", "Rome")],
            (),
            "fault",
            "2 of 2 train inputs are cut at their end; 1 of them lose their answer with it",
        ),
        # Options of a list disappear; the D of Do is not one.
        (
            [(OPTIONS, "A"), (OPTIONS, "D")],
            tuple("ABCD"),
            "fault",
            '2 of 2 train inputs are cut at their end; "D" is left in 0 of the 2 that had it',
        ),
        # A label that some text happens to have is no option.
        (
            [(f"text {n} of a row", "yes") for n in range(3)] + [("why would I say no", "no")],
            YES_NO,
            "caution",
            "4 of 4 train inputs are cut at their end",
        ),
    ],
)
def test_cut_inputs_are_found_with_what_is_lost(
    rows: Rows, labels: tuple[str, ...], level: Level, text: str
) -> None:
    (finding,) = cut(rows, 10 if "D" not in labels else 45, labels)
    assert (finding.level, finding.text) == (level, text)


def test_nothing_is_found_where_nothing_is_cut() -> None:
    assert cut([("short", "yes")], 10) == []


# --- numbers


def test_runs_of_a_shuffled_file_are_expected_as_shuffling_finds() -> None:
    answers = list("aaaaaaabbbbc")
    runs = []
    for seed in range(4000):
        random.Random(seed).shuffle(shuffled := answers.copy())
        runs.append(1 + sum(one != other for one, other in pairwise(shuffled)))
    mean, deviation = expected_runs(answers)
    assert mean == pytest.approx(fmean(runs), abs=0.1)
    assert deviation == pytest.approx(stdev(runs), abs=0.05)
    assert expected_runs(["a"] * 9) == (1.0, 0.0)


@pytest.mark.parametrize(("rows", "points"), [(1000, 3.1), (385, 5.0), (100, 9.8), (40, 15.5)])
def test_the_half_width_is_that_of_a_share_of_one_half(rows: int, points: float) -> None:
    assert half_width(rows) == pytest.approx(points, abs=0.05)


def test_facts_count_rows_answers_and_tokens() -> None:
    subject = subject_of(made([*TRAIN, TRAIN[0]], TEST))
    facts = facts_of(subject, subject.split("train"), range(1, 22))
    assert (facts.rows, facts.distinct, facts.classes) == (21, 20, {"yes": 11, "no": 10})
    assert facts.tokens == {"50": 11, "95": 20, "100": 21}
    free = subject_of(made([("a", "one"), ("b", "two")], ()))
    assert facts_of(replace(free, task=replace(free.task, labels=())), free.splits[0], None).classes == {}


# --- at the start of a run


def test_notices_are_few_a_task_the_most_severe_first_and_shared_by_tasks() -> None:
    def one(task: str, text: str, level: Level) -> Finding:
        return Finding(task, text, None, text, {}, level)

    findings = [
        one("a", "small", "caution"),
        one("a", "leak", "fault"),
        one("b", "small", "caution"),
        one("b", "nothing", "unusable"),
        one("b", "odd", "caution"),
    ]
    assert list(notices(findings, at_most=2)) == [
        "b: nothing",
        "a: leak",
        "a, b: small",
        "1 more about the data: `sapo-lite data check` shows all",
    ]
    assert list(notices([], at_most=2)) == []


@pytest.mark.parametrize(
    ("usual", "rare", "typo"),
    [
        ("billing", "Billing", True),
        ("shipping", "shiping", True),
        ("ポジティブ", "ポジティヴ", False),  # one of five characters is another word as well
        ("positive", "negative", False),
        ("C++", "C", False),
        ("not_equivalent", "equivalent", False),
    ],
)
def test_a_rare_label_like_a_frequent_one_may_be_a_typo(usual: str, rare: str, typo: bool) -> None:
    rows = [(f"text {n}", rare if n == 7 else usual) for n in range(30)]
    kinds = [finding.kind for finding in found(made(rows, [], (usual, rare)))]
    assert ("label like another" in kinds) == typo
