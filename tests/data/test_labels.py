"""The rule by which an answer is one of a task's labels: small tables of right values, and random labels."""

import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sapo_lite.data.labels import default_metric, label_of

SENTIMENT = ("positive", "negative")
YES_NO = ("yes", "no")
LETTERS = ("A", "B", "C", "D")
STARS = ("1", "2", "3", "4", "5")
CODE = ("C", "C++", "C#")
VERDICT = ("RIGHT", "WRONG")
NLI = ("entailment", "not entailment")
CHINESE = ("积极", "消极")


@pytest.mark.parametrize(
    ("text", "labels", "label"),
    [
        # The label itself, up to white space, case, width and outer punctuation.
        (" positive\n", SENTIMENT, "positive"),
        ("Positive.", SENTIMENT, "positive"),
        ("**POSITIVE**", SENTIMENT, "positive"),
        ('"positive"', SENTIMENT, "positive"),
        ("(B)", LETTERS, "B"),
        ("Ｂ。", LETTERS, "B"),
        ("b", LETTERS, "B"),
        ("billing", ("Billing ", "shipping"), "Billing "),
        ("cafe\u0301", ("café", "bar"), "café"),
        ("да", ("да", "нет"), "да"),
        ("Да.", ("да", "нет"), "да"),
        ("ポジティブ", ("ポジティブ", "ネガティブ"), "ポジティブ"),
        ("+", ("+", "-"), "+"),
        ("-", ("+", "-"), "-"),
        ("👍", ("👍", "👎"), "👍"),
        ("", ("", "a"), ""),
        ("1", ("-1", "0", "1"), "1"),
        ("-1.", ("-1", "0", "1"), "-1"),
        ("C", CODE, "C"),
        ("C++.", CODE, "C++"),
        ("C#", CODE, "C#"),
        ("<50%", (">50%", "<50%"), "<50%"),
        # It begins with the label.
        ("positive\n\nExplanation: no word in it is negative.", SENTIMENT, "positive"),
        ("positive: it could not be more positive", SENTIMENT, "positive"),
        ("Positive. There is nothing negative.", SENTIMENT, "positive"),
        ("Yes, it is not good.", YES_NO, "yes"),
        ("positive (not negative)", SENTIMENT, "positive"),
        ("A) cats", LETTERS, "A"),
        ("(A) cats", LETTERS, "A"),
        ("- B: dogs", LETTERS, "B"),
        ("C++, since it has classes", CODE, "C++"),
        ("да, потому что", ("да", "нет"), "да"),
        ("-1: it is colder", ("-1", "0", "1"), "-1"),
        # It is behind a mark.
        ("The answer is positive", SENTIMENT, "positive"),
        ("Label: positive", SENTIMENT, "positive"),
        ("Tweet sentiment: **Positive**", SENTIMENT, "positive"),
        ("It may be yes or no. Final answer: no", YES_NO, "no"),
        ("The options are positive and negative. The answer is: negative.", SENTIMENT, "negative"),
        ("Answer: B) dogs", LETTERS, "B"),
        ("答案是B。", LETTERS, "B"),
        # It is stated.
        ("It sounds Positive to me.", SENTIMENT, "positive"),
        ("The tweet has a positive sentiment.", SENTIMENT, "positive"),
        ("I would give it 4 stars.", STARS, "4"),
        ("I would say no.", YES_NO, "no"),
        ("That is not entailment.", NLI, "not entailment"),
        ("The right one is B.", LETTERS, "B"),
        ("选B。", LETTERS, "B"),
        ("我觉得是积极的。", CHINESE, "积极"),
        ("ポジティブです。", ("ポジティブ", "ネガティブ"), "ポジティブ"),
        ("긍정입니다.", ("긍정", "부정"), "긍정"),
    ],
)
def test_an_answer_is_the_label_that_it_gives(text: str, labels: tuple[str, ...], label: str) -> None:
    assert label_of(text, labels) == label


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        # Denied.
        ("not positive at all", SENTIMENT),
        ("The tweet is not positive at all.", SENTIMENT),
        ("It is not true.", ("True", "False")),
        ("It isn’t positive.", SENTIMENT),
        ("Non-negative", SENTIMENT),
        ("The answer is not positive.", SENTIMENT),
        ("not entailment", ("entailment", "neutral")),
        ("不积极", CHINESE),
        ("ポジティブではありません。", ("ポジティブ", "ネガティブ")),
        ("это не положительный", ("положительный", "отрицательный")),
        # Among the words of a sentence, or of another word.
        ("There is no evidence against it.", YES_NO),
        ("No evidence", YES_NO),
        ("He was right next to her.", VERDICT),
        ("The movie has a positive message", SENTIMENT),
        ("A positive review", LETTERS),
        ("positively", SENTIMENT),
        ("这是最好", ("好", "坏")),
        ("ネガティブ", ("ネガ", "ポジ")),
        # Another label, or a number of which the label is a part.
        ("-1", ("0", "1")),
        ("I give it -1.", ("0", "1")),
        ("4.5", STARS),
        ("4/10", STARS),
        ("14", STARS),
        ("50%", ("50", "60")),
        ("C++", ("C", "Java")),
        ("It is C#.", ("C", "Java")),
        # Asked, or several at once.
        ("Is it positive?", SENTIMENT),
        ("positive or negative", SENTIMENT),
        ("positive, negative", SENTIMENT),
        ("positive, no: negative", SENTIMENT),
        ("positive\nnegative", SENTIMENT),
        ("Yes. No.", YES_NO),
        ("Positive. I would even say negative.", SENTIMENT),
        ("A. cats B. dogs", LETTERS),
        ("A friend would say B", LETTERS),
        ("1. Great plot\n2. Bad end", STARS),
        ("不是积极，是消极", CHINESE),
        ("strassE", ("Straße", "STRASSE")),
        # Nothing.
        ("", SENTIMENT),
        ("...", SENTIMENT),
        ("good", SENTIMENT),
        ("anything", ()),
    ],
)
def test_an_answer_that_gives_no_label_or_two_is_none(text: str, labels: tuple[str, ...]) -> None:
    assert label_of(text, labels) is None


texts = st.text(max_size=8) | st.text("+-#C1.aAÀ好ネ ё", max_size=4)
label_sets = st.lists(
    texts,
    min_size=1,
    max_size=6,
    unique_by=lambda t: unicodedata.normalize("NFC", t).replace("’", "'").strip(),
)


@pytest.mark.slow
@given(label_sets)
def test_every_label_is_itself_and_no_other(labels: list[str]) -> None:
    assert [label_of(label, labels) for label in labels] == labels


@given(label_sets, st.sampled_from(["{}", " {}\n", "\t{} ", "{}.", "{}。", " {} .\n"]))
def test_white_space_and_a_full_stop_around_a_label_change_nothing(labels: list[str], around: str) -> None:
    assume(not any(label.rstrip().endswith((".", "。")) for label in labels))
    assume("." not in around.strip() or all(label.strip() for label in labels))
    assume("。" not in around or all(label.strip() for label in labels))
    assert [label_of(around.format(label), labels) for label in labels] == labels


@settings(max_examples=50)
@given(st.lists(st.text("abcde", min_size=2, max_size=4), min_size=2, max_size=5, unique=True), st.data())
def test_a_denied_label_is_never_that_label(labels: list[str], data: st.DataObject) -> None:
    label = data.draw(st.sampled_from(labels))
    for text in (
        f"It is not {label}.",
        f"not {label}",
        f"The answer is not {label}.",
        f"{label} or not {label}",
    ):
        assert label_of(text, labels) is None


@pytest.mark.parametrize(
    ("labels", "answers", "metric"),
    [
        (("yes", "no"), ("yes",), "accuracy"),
        ((), ("It broke after a week.", "5 %"), "rougeL"),
        ((), ("It broke.", "Она сломалась."), "token_f1"),
        ((), ("一周后坏了",), "token_f1"),
        ((), ("Größe 5",), "token_f1"),
    ],
)
def test_the_default_metric_sees_the_answers(
    labels: tuple[str, ...], answers: tuple[str, ...], metric: str
) -> None:
    assert default_metric(labels, answers) == metric
