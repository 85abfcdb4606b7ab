"""Candidates: what the gate refuses, what each backend supplies, and how a pool is filled and kept."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapo_lite.errors import ParaphraseError
from sapo_lite.paraphrase import Paraphraser, Pool, make_candidates, pool_from_json, pool_to_json
from sapo_lite.paraphrase.gate import normalise, reject_reason, required_labels
from sapo_lite.paraphrase.pool import Rejection, fill_pool
from sapo_lite.paraphrase.request import paraphrase_request, read_answer
from sapo_lite.recipe import ParaphraseConfig
from sapo_lite.types import Candidate, Language, Task


def task(
    instruction: str,
    labels: tuple[str, ...] = (),
    *,
    id: str = "task273_europarl_classification",
    language: Language = "en",
) -> Task:
    return Task(id, "SUPERNI", instruction, "Answer:", labels, language, train=(), test=())


YES_NO = task('Generate label "yes" if the translation is right, otherwise "no".', ("yes", "no"))
STANCE = task("判断对指定对象的态度：A.支持，B.反对，C.中立。输出A，B或者C。", ("A", "B", "C"), language="zh")
RATING = task("Rate the product on a scale of 1-5 based on the review.", ("1", "2", "3", "4", "5"))
FREE = task("Write a summary of the review.")


def ignore(candidate: Candidate) -> None:
    """For tests that look at the pool alone."""


def fill(about: Task, *answers: str | Rejection, count: int = 2, attempts: int = 3) -> Pool:
    return fill_pool(about, answers, origin="file", count=count, attempts=attempts, on_candidate=ignore)


# --- the gate


@pytest.mark.parametrize(
    ("about", "text", "reason"),
    [
        (YES_NO, "Say yes for a right translation and no for a wrong one.", None),
        (YES_NO, " \n", "empty"),
        (YES_NO, "...", "empty"),
        (YES_NO, "Say yes or no.</START>", "markers or tags left over"),
        (YES_NO, "<think>\n\n</think> Say yes or no.", "markers or tags left over"),
        (YES_NO, "Say yes or no.<|im_end|>", "markers or tags left over"),
        (YES_NO, "Say yes or no\ufffd", "broken characters"),
        (
            YES_NO,
            YES_NO.instruction.upper().replace('"YES"', "yes").replace('"NO"', "no"),
            "equal to the original",
        ),
        (YES_NO, "taken:  YES, yes? no", "equal to another candidate"),
        (YES_NO, "Decide whether the translation is right.", 'label "yes" missing'),
        (YES_NO, "Say Yes or no.", 'label "yes" altered'),
        (YES_NO, "Say yes, or nothing: yes and nobody else.", 'label "no" missing'),
        (STANCE, "这段文字持什么立场？支持选A，反对选B，中立选C。", None),
        (STANCE, "支持选Ａ，反对选B，中立选C。", 'label "A" altered'),
        (STANCE, "支持选AB，反对选B，中立选C。", 'label "A" missing'),
        (STANCE, "State the stance: A, B or C.", "not in Chinese"),
        (RATING, "Give 1 star to 5 stars.", None),
        (RATING, "Give one star to 5 stars.", 'label "1" missing'),
        (RATING, "Give 10 to 5 stars.", 'label "1" missing'),
    ],
)
def test_the_gate_gives_a_reason_for_every_refusal(about: Task, text: str, reason: str | None) -> None:
    assert reject_reason(text, about, accepted=["Taken: yes, YES, no."]) == reason


@pytest.mark.parametrize(
    ("about", "named"),
    [
        (RATING, ("1", "5")),
        (task("Rate it. 1: poor, 2: fair, 3: good.", ("1", "2", "3")), ("1", "3")),  # the ends of a scale
        (task("Answer 1 or 2 or 4.", ("1", "2", "4")), ("1", "2", "4")),
        (STANCE, ("A", "B", "C")),
        (task("In this task, choose the best option.", ("A", "B", "C")), ()),
        (task("A text is given. Choose the best option.", ("A", "B", "C")), ()),  # an article
        (task("Two options a and b are given.", ("a", "b")), ("a", "b")),
        (task("Say 'Positive Review' or 'Negative'.", ("Positive Review", "neg")), ("Positive Review",)),
    ],
)
def test_only_labels_that_the_original_names_are_required(about: Task, named: tuple[str, ...]) -> None:
    assert required_labels(about) == named


@pytest.mark.parametrize(
    ("one", "other"),
    [("Say  YES,\nplease!", "say yes please"), ("输出Ａ，B。", "输出a、b"), ("Straße", "STRASSE")],
)
def test_texts_that_differ_in_case_space_or_punctuation_are_equal(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


def test_signs_that_carry_meaning_are_kept_by_normalisation() -> None:
    assert normalise("a + b") != normalise("a = b")


SCRAPS = ["yes", "no", "Yes", "maybe", ".", " ", "YES ", "<START>", "支持", "\ud800", "1-5"]
ANSWERS = st.lists(
    st.text(max_size=20) | st.lists(st.sampled_from(SCRAPS), max_size=8).map(" ".join), max_size=12
)


@given(answers=ANSWERS)
def test_whatever_comes_back_candidates_differ_and_hold_every_label(answers: list[str]) -> None:
    try:
        pool = fill(YES_NO, "Answer yes or no.", *answers, count=5)
    except ParaphraseError as error:
        pytest.fail(f"the first answer is good: {error}")
    texts = [candidate.text for candidate in pool.candidates]
    assert len({normalise(text) for text in texts}) == len(texts) <= 6
    assert all({"yes", "no"} <= set(re.findall(r"[A-Za-z0-9]+", text)) for text in texts)
    assert [candidate.index for candidate in pool.candidates] == list(range(len(texts)))
    json.dumps(pool_to_json(pool), ensure_ascii=False).encode()  # every text can be written to a file


# --- the pool


def test_the_original_comes_first_and_unchanged() -> None:
    seen: list[Candidate] = []
    about = task(" Keep {this}, and its spaces. ")
    pool = fill_pool(
        about, ["  Another {0} wording\n"], origin="file", count=1, attempts=1, on_candidate=seen.append
    )
    assert pool.candidates == (
        Candidate(0, " Keep {this}, and its spaces. ", "original"),
        Candidate(1, "Another {0} wording", "file"),
    )
    assert seen == list(pool.candidates)
    assert pool.notice is None


@pytest.mark.parametrize(("about", "count"), [(task(""), 5), (task(" \n"), 5), (FREE, 0)])
def test_nothing_is_asked_for_where_there_is_nothing_to_paraphrase(about: Task, count: int) -> None:
    def unasked() -> Iterator[str]:
        pytest.fail("an answer was asked for")
        yield ""

    pool = fill_pool(about, unasked(), origin="ollama", count=count, attempts=2, on_candidate=ignore)
    assert pool == Pool(about.id, (Candidate(0, about.instruction, "original"),))


def test_a_rejected_text_is_asked_for_again() -> None:
    pool = fill(FREE, "", "One.", "one", "Two.")
    assert [candidate.text for candidate in pool.candidates[1:]] == ["One.", "Two."]
    assert pool.rejected == (Rejection("", "empty"), Rejection("one", "equal to another candidate"))
    assert pool.notice is None


def test_no_more_is_asked_for_than_needed() -> None:
    answers = iter(["One.", "Two.", "Three."])
    fill_pool(FREE, answers, origin="file", count=2, attempts=3, on_candidate=ignore)
    assert list(answers) == ["Three."]


def test_the_pool_is_smaller_and_says_so_when_the_attempts_are_spent() -> None:
    pool = fill(FREE, "One.", *["one"] * 4, "", "Never looked at.")
    assert len(pool.candidates) == 2
    assert pool.notice == (
        "task273: 1 of the 2 paraphrases asked for; not accepted: 4 x equal to another candidate, 1 x empty."
    )


def test_the_pool_is_smaller_and_says_so_when_the_source_ends() -> None:
    assert fill(FREE, "One.").notice == "task273: 1 of the 2 paraphrases asked for; the source had no more."


def test_no_accepted_paraphrase_is_an_error_that_counts_the_reasons() -> None:
    with pytest.raises(ParaphraseError) as caught:
        fill(YES_NO, "Decide.", "", "Judge.")
    assert str(caught.value) == (
        'task273: none of the 2 paraphrases asked for was accepted; not accepted: 2 x label "yes" missing, '
        "1 x empty. Choose another paraphrase.model or paraphrase.backend, or train on the original "
        "wording alone with paraphrase.count = 0."
    )


def test_a_pool_survives_json() -> None:
    pool = fill(YES_NO, "Say yes or no, 是或否.", "")
    assert pool.notice
    assert pool_from_json(json.loads(json.dumps(pool_to_json(pool)))) == pool


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"task": "task1"}, "this one does not ('candidates')"),
        ({"task": "task1", "candidates": [{"index": 0}]}, "this one does not"),
        (
            {"task": "task1", "candidates": [{"index": 1, "text": "x", "origin": "file"}]},
            "Candidates of task1 must be numbered 0, 1, 2, ... in order, the original first; found [1].",
        ),
    ],
)
def test_a_broken_candidates_file_is_refused(data: dict[str, object], message: str) -> None:
    with pytest.raises(ParaphraseError) as caught:
        pool_from_json(data)
    assert message in str(caught.value)


# --- the request


@pytest.mark.parametrize(
    ("about", "parts"),
    [
        (
            YES_NO,
            [YES_NO.instruction, 'letter for letter, in the same case: "yes", "no".', "Write in English"],
        ),
        (STANCE, [STANCE.instruction, '"A", "B", "C"。', "用中文书写"]),
        (task("Use {} and {0} as they are."), ["Use {} and {0} as they are."]),
    ],
)
def test_the_request_speaks_the_tasks_language_and_names_its_labels(about: Task, parts: list[str]) -> None:
    request = paraphrase_request(about, 0)
    assert all(part in request for part in [*parts, "<START>", "</START>"])


def test_labels_are_not_spoken_of_where_none_must_be_kept() -> None:
    assert "labels" not in paraphrase_request(FREE, 0)


@pytest.mark.parametrize("about", [FREE, STANCE])
def test_the_style_changes_with_every_attempt_and_comes_round(about: Task) -> None:
    requests = [paraphrase_request(about, attempt) for attempt in range(13)]
    assert len(set(requests)) == 12
    assert requests[12] == requests[0]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("<START>Say it.</START>", "Say it."),
        ("Here it is:\n<start>\nSay\nit.\n</start>\nHope it helps!", "Say\nit."),
        ("<think>Between <START> and </START>, then.</think><START>Say it.</START>", "Say it."),
        ("Between <START> and </START>, then.</think><START>Say it.</START>", "Say it."),
        ("Between <START> and </START>: <START>Say it.</START>", "Say it."),
        ("<think>I must write <START>text</START> and", None),  # cut off while thinking
        ("<START>Say", None),
        ("Say it.", None),
        ("<START></START>", ""),
    ],
)
def test_the_answer_is_what_stands_between_the_markers(answer: str, text: str | None) -> None:
    assert read_answer(answer) == text


# --- the file backend


def from_file(path: Path, about: Task = YES_NO, count: int = 2) -> Pool:
    config = ParaphraseConfig(backend="file", count=count, attempts=2)
    return make_candidates(about, config, seed=0, path=path, on_candidate=ignore)


@pytest.mark.parametrize("name", ["task273", "task273_europarl_classification"])
def test_a_toml_file_is_read_by_short_or_full_id(tmp_path: Path, name: str) -> None:
    path = tmp_path / "wordings.toml"
    path.write_text(
        f'other = []\n{name} = ["One: yes, no.", "Two: yes, no.", "Three: yes, no."]\n', encoding="utf-8"
    )
    pool = from_file(path)
    assert [(c.text, c.origin) for c in pool.candidates[1:]] == [
        ("One: yes, no.", "file"),
        ("Two: yes, no.", "file"),
    ]


def test_a_json_file_is_read_and_the_gate_applies_to_it(tmp_path: Path) -> None:
    path = tmp_path / "wordings.json"
    path.write_text(
        json.dumps({"task273": ["One: yes.", "Two: yes, no.", "Three: yes, no."]}), encoding="utf-8-sig"
    )
    pool = from_file(path)
    assert [candidate.text for candidate in pool.candidates[1:]] == ["Two: yes, no.", "Three: yes, no."]
    assert pool.rejected == (Rejection("One: yes.", 'label "no" missing'),)


def test_the_candidates_of_another_run_can_be_used_again(tmp_path: Path) -> None:
    saved = fill(YES_NO, "One: yes, no.", "Two: yes, no.")
    path = tmp_path / "candidates.json"
    path.write_text(json.dumps(pool_to_json(saved)), encoding="utf-8")
    assert from_file(path).candidates == saved.candidates


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.toml",
            "one = []\ntwo = []",
            'expected paraphrases for "task273" (or "task273_europarl_classification"); found one, two.',
        ),
        (
            "a.json",
            "{}",
            'expected paraphrases for "task273" (or "task273_europarl_classification"); found no task.',
        ),
        (
            "a.json",
            '{"task273": "Say yes or no."}',
            'expected a list of texts for "task273", as in ["...", "..."]; found "Say yes or no.".',
        ),
        ("a.json", '{"task273": ["yes or no", 3]}', 'expected a list of texts for "task273"'),
        (
            "a.json",
            '{"task": "task273", "candidates": [{"index": 1}]}',
            'expected a list of texts for "task273"',
        ),
        ("a.json", '["Say yes or no."]', "expected lists of texts by task, found list."),
        ("a.json", "{", "expected a .toml or .json file of paraphrases: Expecting property name"),
        (
            "a.toml",
            "task273 =",
            "expected a .toml or .json file of paraphrases: Invalid value (at end of document).",
        ),
    ],
)
def test_a_file_that_does_not_serve_is_named_with_what_was_expected(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ParaphraseError) as caught:
        from_file(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    with pytest.raises(ParaphraseError) as caught:
        from_file(path)
    assert str(caught.value) == f"{path}: the file of paraphrases cannot be read: No such file or directory."


# --- the builtin backend


def test_the_wording_grammar_supplies_the_lab() -> None:
    from sapo_lite.lab.wordings import original

    lab = task(original("mood"), ("bright", "dark"), id="mood")
    config = ParaphraseConfig(backend="builtin", count=20)
    with Paraphraser(config, seed=3) as paraphraser:
        pool = paraphraser.candidates(lab, ignore)
        assert paraphraser.candidates(lab, ignore) == pool
    assert len(pool.candidates) == 21
    assert {candidate.origin for candidate in pool.candidates[1:]} == {"builtin"}


def test_a_rejected_builtin_wording_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    wordings = ["One.", "one!", "Two."]

    def grammar(about: Task, count: int, seed: int) -> list[str]:
        if count > len(wordings):
            raise ParaphraseError("no more")
        return wordings[:count]

    monkeypatch.setattr("sapo_lite.paraphrase.builtin.paraphrase_builtin", grammar)
    config = ParaphraseConfig(backend="builtin", count=2)
    pool = make_candidates(FREE, config, seed=0, path=None, on_candidate=ignore)
    assert [candidate.text for candidate in pool.candidates[1:]] == ["One.", "Two."]
    wordings[2] = "ONE"
    pool = make_candidates(FREE, config, seed=0, path=None, on_candidate=ignore)
    assert len(pool.candidates) == 2
    assert pool.notice
