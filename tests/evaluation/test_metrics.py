"""Metrics: scores of answers, worked by hand, and means over a task by its own metric."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from sapo_lite.data.check.finding import subject_of
from sapo_lite.data.check.metric import what_the_metric_sees
from sapo_lite.evaluation.metrics import (
    METRICS,
    PUBLISHED_METRIC,
    TASK_METRIC,
    ExactMatch,
    mean_scores,
    row_scores,
    score_of,
)
from sapo_lite.types import Example, Task
from tiny import make_task


def f1(matches: int, predicted: int, expected: int) -> float:
    precision, recall = matches / predicted, matches / expected
    return 2 * precision * recall / (precision + recall)


def score(metric: str, prediction: str, reference: str, labels: Sequence[str] = ()) -> float:
    """The score of one answer, as a run finds it."""
    return mean_scores([prediction], task_of([reference], metric, labels))[TASK_METRIC] / 100


def task_of(answers: Sequence[str], metric: str, labels: Sequence[str] = ()) -> Task:
    rows = tuple(Example("", answer) for answer in answers)
    return replace(make_task(1), labels=tuple(labels), test=rows, metric=metric)


@pytest.mark.parametrize(
    ("prediction", "reference", "rouge_l", "rouge1", "exact"),
    [
        ("positive", "positive", 1, 1, 1),
        ("negative", "positive", 0, 0, 0),
        # Word for word: all 3 predicted words are among the 6 expected ones, in their order.
        ("the cat sat", "the cat sat on the mat", f1(3, 3, 6), f1(3, 3, 6), 0),
        # 4 words are shared, of which 3 stand in the same order: cat is running.
        ("fast the cat is running", "a cat is running fast", f1(3, 5, 5), f1(4, 5, 5), 0),
        # A word predicted twice counts once.
        ("good good", "good film", f1(1, 2, 2), f1(1, 2, 2), 0),
        # Stemmed: running = runs, cats = cat; words of up to three letters stay as they are.
        ("running cats", "runs cat", 1, 1, 0),
        ("as", "a", 0, 0, 0),
        # Case and punctuation are nothing to ROUGE, and something to exact match.
        ("Positive.", "positive", 1, 1, 0),
        ("A", "a", 1, 1, 0),
        # Outer white space is nothing to either.
        (" \npositive\n", "positive ", 1, 1, 1),
        ("", "positive", 0, 0, 0),
        ("positive", "", 0, 0, 0),
        ("", "", 0, 0, 1),
        # The published metric sees a-z and 0-9 only; labels are such in every task it was published for.
        ("积极", "积极", 0, 0, 1),
        ("3.5", "3.5", 1, 1, 1),
        ("3 5", "3.5", 1, 1, 0),
        # Equal letters in another Unicode form.
        ("cafe\u0301 noir", "café noir", 1, 1, 1),
    ],
)
def test_published_scores_of_one_answer(
    prediction: str, reference: str, rouge_l: float, rouge1: float, exact: float
) -> None:
    found = {name: score(name, prediction, reference) for name in ("rougeL", "rouge1", "exact_match")}
    expected = {"rougeL": rouge_l, "rouge1": rouge1, "exact_match": exact}
    assert found == pytest.approx(expected)


@given(st.text(max_size=30), st.text("abc ÀÉ積 .,\n12", max_size=30))
def test_rouge_l_is_that_of_the_released_code(prediction: str, reference: str) -> None:
    prediction, reference = (unicodedata.normalize("NFC", text) for text in (prediction, reference))
    released = RougeScorer(["rougeL"], use_stemmer=True).score(reference, prediction)
    assert METRICS["rougeL"](prediction, reference, ()) == released["rougeL"].fmeasure


LABELS = [
    ("-1", "0", "1"),
    ("C", "C++", "C#"),
    ("+", "-"),
    (">50%", "<50%", "50%"),
    ("да", "нет"),
    ("положительный", "отрицательный"),
    ("ポジティブ", "ネガティブ"),
    ("积极", "消极"),
    ("👍", "👎"),
    ("related", "relate"),
    ("university", "universal"),
    ("organ", "organization"),
    ("café", "cafe"),
    ("entailment", "not entailment"),
]


@pytest.mark.parametrize("labels", LABELS)
def test_a_label_is_right_by_accuracy_and_every_other_label_is_wrong(labels: tuple[str, ...]) -> None:
    for reference in labels:
        found = {answer: score("accuracy", f" {answer}.\n", reference, labels) for answer in labels}
        assert found == {answer: float(answer == reference) for answer in labels}
        assert score("accuracy", unicodedata.normalize("NFD", reference), reference, labels) == 1


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("Positive.\n\nThe tone is warm.", "positive", 1),
        ("positive", "Positive ", 1),
        ("not positive at all", "positive", 0),
        ("good", "positive", 0),
        ("", "positive", 0),
        # A reference that is no label is compared letter for letter.
        ("mixed", "mixed ", 1),
        ("Mixed", "mixed", 0),
    ],
)
def test_accuracy_reads_answers_by_the_rule_for_labels(
    prediction: str, reference: str, expected: float
) -> None:
    assert score("accuracy", prediction, reference, ("positive", "negative")) == expected


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("It broke.", "it broke", 1),
        ("a cat is here", "the cat is here", f1(3, 4, 4)),
        ("Москва", "москва.", 1),
        ("手机坏了", "手机坏掉了", f1(4, 4, 5)),
        ("ポジティブ", "ネガティブ", f1(3, 5, 5)),
        ("हिन्दी", "हिन्दी", 1),
        ("+", "+", 1),
        ("C++", "C#", 0),
        ("-1", "1", 0),
        ("cafe\u0301", "café", 1),
        ("", "", 1),
        ("", "x", 0),
        ("...", "x", 0),
    ],
)
def test_token_f1_sees_words_of_any_script(prediction: str, reference: str, expected: float) -> None:
    assert score("token_f1", prediction, reference) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("The answer is 42.", "42", 1),
        ("3 + 4 = 7", "7.0", 1),
        ("7", "8", 0),
        ("1,234.50", "1234.5", 1),
        ("1.234,50", "1234.5", 1),
        ("3,5", "3.5", 1),
        ("0.1000000000000000000001", "0.1", 0),
        ("1, 2, 3", "3", 1),
        ("-5", "5", 0),
        ("−5", "-5", 1),
        ("3-5", "5", 1),
        ("-$1,000", "-1000", 1),
        ("50%", "50", 1),
        ("0.5", "50 %", 1),
        ("1/2", "0.5", 1),
        ("3/2", "1/2", 0),
        ("5e3", "5000", 1),
        ("５０", "50", 1),
        ("CO2", "2", 0),
        ("none", "5", 0),
        ("1/0", "5", 0),
        ("9" * 5000, "5", 0),
        ("unknown", "unknown", 1),
    ],
)
def test_numeric_compares_the_last_numbers(prediction: str, reference: str, expected: float) -> None:
    assert score("numeric", prediction, reference) == expected


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_a_number_is_itself_however_it_is_written(value: object) -> None:
    for text in (f"{value:,}", f"It is {value}.", f"{value}000"):
        assert METRICS["numeric"](text, str(value), ()) == 1


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("x = foo(1)", "x = foo(1)", 1),
        # 2 * 3 equal characters of 3 + 4.
        ("abc", "abcd", 0.86),
        ("x = <NUM_LIT:5> + <NUM_LIT>", "x = 5 + 0", 1),
        ("print(<STR_LIT:a b>)", "print(a b)", 1),
        ("x", "", 0),
    ],
)
def test_similarity_is_the_edit_similarity_of_trace(prediction: str, reference: str, expected: float) -> None:
    assert score("similarity", prediction, reference) == expected


def test_chrf_is_that_of_sacrebleu() -> None:
    from sacrebleu.metrics import CHRF

    texts = ("手机坏了", "手机用了一周就坏掉了")
    assert score("chrf", *texts) == pytest.approx(CHRF().sentence_score(texts[0], [texts[1]]).score / 100)
    assert 0 < score("chrf", *texts) < 1
    assert score("chrf", "да ", "да") == score("chrf", "", "") == 1
    assert score("chrf", "да", "нет") == 0


@given(st.text(max_size=20), st.text(max_size=20), st.lists(st.text(max_size=4), max_size=3))
def test_every_metric_is_a_share_of_one(prediction: str, reference: str, labels: list[str]) -> None:
    for name, metric in METRICS.items():
        assert 0 <= metric(prediction, reference, labels) <= 1, name


def test_means_are_over_examples_and_in_percent() -> None:
    task = task_of(["positive", "negative", "the cat sat on the mat", "yes"], "exact_match")
    found = mean_scores(["positive", "positive", "the cat sat", "Yes"], task)
    assert list(found) == [*METRICS, TASK_METRIC]
    assert found["rougeL"] == found["rouge1"] == pytest.approx(100 * (1 + 0 + 2 / 3 + 1) / 4)
    assert found["exact_match"] == found[TASK_METRIC] == 25.0


def test_every_example_needs_its_prediction() -> None:
    with pytest.raises(ValueError, match="zip"):
        mean_scores(["positive"], task_of(["positive", "negative"], "rougeL"))


def test_the_published_metric_is_the_first_of_those_stored() -> None:
    assert PUBLISHED_METRIC == next(iter(METRICS)) == "rougeL"


@pytest.mark.parametrize(
    ("metric", "labels", "said"),
    [
        ("rougeL", ("-1", "0", "1"), {"confused": '"-1" and "1"'}),
        ("rougeL", ("C", "C++"), {"confused": '"C" and "C++"'}),
        ("rougeL", ("related", "relate"), {"confused": '"relate" and "related"'}),
        ("rougeL", ("да", "нет"), {"unseen": '"да", "нет"'}),
        ("rougeL", ("+", "yes"), {"unseen": '"+"'}),
        ("rougeL", ("yes", "no"), {}),
        ("accuracy", ("-1", "0", "1"), {}),
        ("accuracy", ("да", "+"), {}),
    ],
)
def test_labels_that_the_metric_misjudges_are_found(
    metric: str, labels: tuple[str, ...], said: dict[str, str]
) -> None:
    task = task_of(labels, metric, labels)
    found = {f.kind: f.text for f in what_the_metric_sees(subject_of(task), score_of(task))}
    assert list(found) == [f"{kind} by the metric" for kind in said]
    assert all(text.endswith(named) for text, named in zip(found.values(), said.values(), strict=True))


@pytest.mark.parametrize(
    ("prediction", "reference", "strict", "squad"),
    [
        ("NEG", "neg", 0, 1),
        ("Positive.", "positive", 0, 1),
        ("  two   words\n", "two words", 0, 1),
        ("it's", "its", 0, 1),
        ("the answer", "answer", 0, 0),  # the released code leaves SQuAD's articles in
        ("positive", "negative", 0, 0),
        ("积极。", "积极", 0, 0),  # punctuation is that of ASCII
        ("...", "", 0, 1),
    ],
)
def test_exact_match_as_the_released_code_normalises_it(
    prediction: str, reference: str, strict: int, squad: int
) -> None:
    task = task_of([reference], "exact_match", ())
    kinds: list[tuple[ExactMatch, int]] = [("strict", strict), ("squad", squad)]
    for exact, expected in kinds:
        found = mean_scores([prediction], task, exact)
        assert found["exact_match"] == found[TASK_METRIC] == 100 * expected
        assert row_scores([prediction], task, exact) == [100 * expected]
