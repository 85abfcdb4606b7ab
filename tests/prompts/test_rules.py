"""Rewording by rules: kept words, number of rewordings, and their order."""

import json
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapo_lite.data.language import language_of
from sapo_lite.prompts.gate import normalise, overlap, reject_reason, required_labels
from sapo_lite.prompts.sources.rules import rewordings
from sapo_lite.types import Language, Task

WANTED = 30


def task(instruction: str, *labels: str, language: Language | None = None) -> Task:
    language = language or language_of(instruction)
    return Task("task9_example", "SUPERNI", instruction, "Answer:", labels, language, train=(), test=())


def some(about: Task, count: int = WANTED, seed: int = 0) -> list[str]:
    return list(islice(rewordings(about, seed), count))


RECIPE = task(
    "In this task, you are given a recipe. Your task is to classify it into sweet or salty.", "sweet", "salty"
)
HOTEL = task(
    "Given a hotel and a city, decide whether the hotel is in the city. Answer with True or False.",
    "True",
    "False",
)
OPTIONS = task("Judge whether the pie is vegan.\nOptions:\n- yes\n- no, generate nothing", "yes", "no")
MENU = task("判断下面的评论是夸奖还是抱怨，只输出夸奖或者抱怨。", "夸奖", "抱怨")
DIALOGUE = task("给定一段对话，请根据对话回答问题。如果无法回答，输出“未知”。", "未知")
TASKS = (RECIPE, HOTEL, OPTIONS, MENU, DIALOGUE)
SHORT = (
    "Classify the tweet.",
    "Name the bird.",
    "Is it spam?",
    "words that rhyme",
    "判断情感。",
    "情感分类",
    "是诗吗？",
)

# Ordinary words, phrases of the rules, and all that must survive.
WORDS = st.sampled_from(
    [
        *"In this task, you are given a poem . Your job is to generate the Classify it into either".split(),
        *"Given Please find based on {x} 'solve' 12 3.5 : ; ? ! e.g. A B yes no Amazon `output the`".split(),
        *("\n", '"write a"', "(pick one)"),
    ]
)
WORDS_ZH = st.sampled_from(
    "请 判断 以下 文本 的 情感 ， 。 ： 给定 根据 输出 A B 或者 是否 “根据” 3 你的任务是 将 \n".split(" ")
)
ENGLISH = st.lists(WORDS, min_size=3, max_size=25).map(" ".join)
CHINESE = st.lists(WORDS_ZH, min_size=3, max_size=25).map("".join)


# --- what stays


@pytest.mark.parametrize("about", TASKS)
def test_the_gate_accepts_every_wording(about: Task) -> None:
    assert [reject_reason(text, about, (), generated=False) for text in some(about, 60)] == [None] * 60


@pytest.mark.parametrize(
    "kept",
    [
        '"generate the title"',
        "'based on'",
        "“find all”",
        "(classify it into two)",
        "{generate} and {{write a}}",
        "[choose the best",
        "`output the {x}`",
        "https://example.org/write?a=1",
        "3.5 or 1-5, 12:30 or v2",
        "Options: generate a summary, choose the best",
        "A. generate a summary B. choose the best",
        "\n- generate a summary\n- choose the best",
        "\n1. generate a summary\n2. choose the best",
    ],
)
def test_quotes_brackets_code_numbers_and_lists_stay_as_they_are(kept: str) -> None:
    for about in (
        task(f"Choose the best title {kept}"),
        task(f"In this task, you are given X. You need to find {kept}"),
    ):
        assert all(kept in text for text in some(about, 60))


@pytest.mark.parametrize(
    "kept",
    ["“根据以下文本”", "（判断是否）", "一项：A.根据，B.判断，C.输出", "3个、2.5倍", "{以下文本}", "《将》"],
)
def test_chinese_quotes_brackets_and_lists_stay_as_they_are(kept: str) -> None:
    assert all(kept in text for text in some(task(f"判断以下文本的态度{kept}"), 50))


def test_words_of_labels_are_never_replaced() -> None:
    about = task(
        "Choose the box: solve. Then generate the label find or write a poem.",
        "find",
        "write a poem",
        "generate",
    )
    assert all("generate the label find or write a poem." in text for text in some(about, 60))
    about = task("请判断，然后输出判断题或者根据。", "判断题", "根据")
    assert all("判断题" in text and "根据" in text for text in some(about, 60))


def test_no_wording_names_a_label_that_the_original_does_not() -> None:
    about = task("Classify the tweet now.", "please", "Task", "help")
    assert not any(label in text.split() for text in some(about, 80) for label in about.labels)


def test_proper_names_and_acronyms_keep_their_capitals() -> None:
    about = task("Amazon reviews are given. NASA wrote the Write A Poem Guide.")
    assert all(about.instruction in text for text in some(about, 60))


@pytest.mark.parametrize(
    "about",
    [
        MENU,
        DIALOGUE,
        task("判断情感。"),
        task("请判断情感，输出positive或者negative。", "positive", "negative"),
    ],
)
def test_chinese_stays_chinese(about: Task) -> None:
    for text in some(about, 80):
        assert language_of(text) == "zh"
        assert not set(",.?!") & set(text)


@given(ENGLISH | CHINESE | st.text(max_size=60), st.sampled_from(["en", "zh"]), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_any_instruction_keeps_its_labels_numbers_and_quotes(
    text: str, language: Language, seed: int
) -> None:
    about = task(text, "A", "B", "yes", "no", language=language)
    texts = some(about, 12, seed)
    assert len({normalise(t) for t in (text, *texts)}) == len(texts) + 1
    for new in texts:
        assert required_labels(about) == required_labels(task(new, *about.labels, language=language))
        for kept in ("{x}", '"write a"', "'solve'", "12", "3.5", "`output the`", "“根据”", "\n"):
            assert new.count(kept) >= text.strip().count(kept)


# --- how much, and in what order


@pytest.mark.parametrize("instruction", SHORT)
def test_there_are_thirty_wordings_of_three_words(instruction: str) -> None:
    assert len(some(task(instruction))) == WANTED


@given(ENGLISH.filter(lambda t: len(normalise(t)) > 8), st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_there_are_thirty_wordings_of_any_english_instruction(text: str, seed: int) -> None:
    assert len(some(task(text, "yes", "no", language="en"), WANTED, seed)) == WANTED


@pytest.mark.parametrize("about", TASKS)
def test_wordings_are_distinct_and_none_is_the_original(about: Task) -> None:
    texts = [normalise(text) for text in (about.instruction, *some(about, 80))]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("instruction", ["", " \n", "...", "？！"])
def test_an_instruction_of_punctuation_alone_has_no_wording(instruction: str) -> None:
    assert some(task(instruction)) == []


def test_the_same_seed_gives_the_same_order_and_another_seed_another() -> None:
    assert some(RECIPE, seed=3) == some(RECIPE, seed=3)
    assert some(RECIPE, seed=3) != some(RECIPE, seed=4)


def test_tasks_with_the_same_instruction_get_their_own_order() -> None:
    other = Task("task8", "SUPERNI", RECIPE.instruction, "", RECIPE.labels, "en", train=(), test=())
    assert some(RECIPE) != some(other)


@pytest.mark.parametrize("about", TASKS)
def test_neighbours_begin_differently_and_share_few_word_pairs(about: Task) -> None:
    texts = some(about, 20)
    assert sum(one[:8] == other[:8] for one, other in pairwise(texts)) <= 1
    assert max(overlap(one, other) for one, other in pairwise(texts)) < 0.8


def test_sentences_are_recast_and_not_only_framed() -> None:
    texts = " ".join(some(HOTEL, 300))
    for expected in (
        "You will receive a hotel and a city. ",
        "Given a hotel and a city, judge whether",
        "Could you please establish whether the hotel is in the city?",
        "whether the hotel is in the city. What you are given is a hotel and a city.",
        "Respond with True or False.",
    ):
        assert expected in texts


def test_what_is_given_stays_first_where_a_later_word_points_back_to_it() -> None:
    assert not any("What you are given" in text or "For this" in text for text in some(RECIPE, 80))


# --- the benchmarks


@pytest.mark.slow
@pytest.mark.benchmarks_data
@pytest.mark.parametrize("suite", ["SUPERNI", "TRACE"])
def test_real_instructions_have_twenty_usable_wordings_with_all_their_labels(
    benchmarks: Path, suite: str
) -> None:
    index = json.loads((benchmarks / suite / "instructions.json").read_text(encoding="utf-8"))
    for name, entry in index.items():
        language = language_of(entry["instruction"] + entry["suffix"])
        about = Task(
            name, suite, entry["instruction"], entry["suffix"], tuple(entry["labels"]), language, (), ()
        )
        texts = some(about, 20)
        assert len(texts) == (20 if entry["instruction"] else 0)
        assert all(reject_reason(text, about, (), generated=False) is None for text in texts)


@pytest.mark.parametrize(
    "text",
    ["a" * 19_000, "A. " * 6_000, "x\n " * 6_000, "「" * 19_000, "‘" * 19_000, "_ " * 9_000, "((a)" * 4_000],
)
def test_words_and_lists_of_any_length_are_reworded(text: str) -> None:
    # Minutes, where a pattern is quadratic. A text of only punctuation has none.
    assert len(some(task(text, "yes", "no", language="en"), 3)) in (0, 3)


def test_an_instruction_beyond_any_model_has_no_rewordings() -> None:
    assert some(task("Sort the words. " * 10_000)) == []


@pytest.mark.slow
def test_hundreds_of_labels_in_one_another_are_kept() -> None:
    labels = tuple(f"label{number}" for number in range(400))
    about = task(f"Choose one of {', '.join(labels)}.", *labels, language="en")
    for text in some(about, 3):
        assert reject_reason(text, about, [], generated=False) is None
        without = text.replace("label1,", "label2,")
        assert reject_reason(without, about, [], generated=False) == 'label "label1" missing'
