"""The lab: its answers are right, its files are what the generators write, its wordings keep the labels."""

import json
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from sapo_lite.errors import ParaphraseError
from sapo_lite.lab import build
from sapo_lite.lab.wordings import PHRASINGS, SUFFIX, names_label, original, wordings
from sapo_lite.lab.world import TASKS, examples
from sapo_lite.paraphrase.builtin import Builtin
from sapo_lite.paraphrase.rewording import rewordings
from sapo_lite.resources import shipped
from sapo_lite.types import Task

every_task = pytest.mark.parametrize("task", TASKS)


# Checkers: find the answer from the input text alone, without the generator's tables.

STAR_WORDS = {
    "1": {"terrible", "awful", "horrible", "dreadful", "disgusting"},
    "2": {"bad", "poor", "weak", "boring", "disappointing"},
    "3": {"average", "okay", "ordinary", "acceptable"},
    "4": {"good", "nice", "pleasant", "solid", "enjoyable"},
    "5": {"amazing", "perfect", "wonderful", "fantastic", "brilliant"},
}

# One category a line.
KINDS = """
cat dog horse cow sheep goat pig lion tiger bear wolf fox rabbit mouse duck frog
apple pear plum grape lemon mango peach cherry banana orange melon fig kiwi lime
red blue green yellow black white brown purple pink grey golden silver
paris london rome berlin madrid oslo cairo tokyo delhi lima boston vienna dublin athens
hammer saw drill wrench pliers shovel rake axe chisel screwdriver ladder clamp
car bus train truck bike boat plane tram van taxi ship scooter
doctor teacher nurse farmer pilot lawyer cook driver baker painter soldier judge
tennis football hockey golf rugby boxing rowing cricket judo skiing running swimming
piano guitar violin flute drum harp trumpet cello organ banjo horn oboe
shirt coat hat sock shoe glove scarf dress skirt belt jacket boot
chair table sofa bed desk shelf stool bench cabinet wardrobe couch drawer
tea coffee milk juice water wine beer cider cocoa soda
""".strip().split("\n")

DICTIONARY = """
galos cat fesu dog meko horse nedu bread peguk water levos tree dedus house vopok sun dodin moon
tinek fish divu bird toren stone gozu fire bufek river dodis child lodas woman nuko man zaso king
fires road poguk night ginik day femuk milk sodo apple disa book papon door kuri hand voto eye
soda star fanos snow supak rain
""".split()

# A topic's words, then (after the bar) words that only its titles have.
TOPICS = [
    "team match goal player coach league race score stadium trophy | big great final",
    "recipe kitchen soup dinner chef spice restaurant sauce bread cake | best",
    "airport hotel ticket luggage tourist beach passport flight island map | long lost",
    "rain storm cloud snow wind sunshine fog thunder forecast temperature | tomorrow sunny",
    "concert band singer melody album orchestra song guitar stage choir | night",
    "experiment planet atom telescope laboratory theory energy chemist robot cell | inside",
]


def check_stars(text: str) -> str:
    words = set(text.split())
    (count,) = [stars for stars, adjectives in STAR_WORDS.items() if adjectives & words]
    return count


def check_odd_one_out(text: str) -> str:
    words = text.split(" , ")
    (odd,) = [word for word in words if not any(kind_of(word) == kind_of(w) for w in words if w != word)]
    return odd


def kind_of(word: str) -> int:
    (kind,) = [number for number, words in enumerate(KINDS) if word in words.split()]
    return kind


def check_translation(text: str) -> str:
    zumi, english = text.split(" = ")
    return "yes" if DICTIONARY[DICTIONARY.index(zumi) + 1] == english else "no"


def check_title(text: str) -> str:
    article, menu = text.split("\n")
    options = re.fullmatch(r"A \) (.+) B \) (.+) C \) (.+)", menu)
    assert options is not None
    article_words = set(article.split())
    topic = max(TOPICS, key=lambda t: len(article_words & set(t.split(" | ")[0].split())))
    topic_words = set(topic.replace("|", "").split())
    (letter,) = [
        letter
        for letter, option in zip("ABC", options.groups(), strict=True)
        if topic_words & set(option.split())
    ]
    return letter


def check_oldest(text: str) -> str:
    ages: dict[int, str] = {int(age): name for name, age in re.findall(r"(\w+) : (\d+) years", text)}
    assert len(ages) == text.count(" : ") >= 2
    return ages[sorted(ages)[-1]]


def check_mood(text: str) -> str:
    return "bright" if re.search(r"\b(happy|cheerful|delighted|glad|thrilled)\b", text) else "dark"


CHECKERS: dict[str, Callable[[str], str]] = {
    "stars": check_stars,
    "odd_one_out": check_odd_one_out,
    "translation": check_translation,
    "title": check_title,
    "oldest": check_oldest,
    "mood": check_mood,
}


# The world


@every_task
def test_same_seed_draws_the_same_examples_and_another_seed_others(task: str) -> None:
    assert examples(task, 50, seed=1) == examples(task, 50, seed=1)
    assert examples(task, 50, seed=1) != examples(task, 50, seed=2)


@every_task
def test_every_answer_is_right(task: str) -> None:
    for example in examples(task, 2000, seed="checked"):
        assert CHECKERS[task](example.input) == example.answer, example


@every_task
def test_answers_are_labels_and_every_label_is_common(task: str) -> None:
    labels = TASKS[task].labels
    answers = [example.answer for example in examples(task, 1000, seed="counted")]
    assert not labels or set(answers) == set(labels)
    assert all(answers.count(label) > 700 / len(labels) for label in labels)


def test_avoided_inputs_do_not_come_and_answers_keep_their_share() -> None:
    avoid = {example.input for example in examples("mood", 200, seed="first")}
    drawn = examples("mood", 400, seed="second", avoid=avoid)
    assert avoid.isdisjoint(example.input for example in drawn)
    assert 160 < sum(example.answer == "bright" for example in drawn) < 240


def test_a_task_without_inputs_left_says_what_to_do() -> None:
    avoid = {example.input for example in examples("mood", 20_000, seed="all")}
    with pytest.raises(
        ValueError, match="give the task more inputs, draw fewer examples, or list that answer"
    ):
        examples("mood", 1, seed=0, avoid=avoid)


# The files


def test_data_on_disk_is_what_the_generators_write() -> None:
    folder = shipped("data") / "lab"
    written = build.files()
    on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert on_disk == set(written)
    for relative, text in written.items():
        assert (folder / relative).read_bytes() == text.encode(), (
            f"{relative}: run python -m sapo_lite.lab.build"
        )


def test_build_writes_the_published_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build.main([str(tmp_path)])
    assert capsys.readouterr().out == f"Wrote 6 tasks to {tmp_path}\n"
    published = json.loads((tmp_path / "instructions.json").read_text(encoding="utf-8"))
    assert list(published) == list(TASKS)
    for task, entry in published.items():
        assert entry["instruction"] == original(task)
        assert entry["suffix"] == SUFFIX
        assert entry["labels"] == list(TASKS[task].labels)
        for split, size in zip(["train", "dev", "test"], entry["size"], strict=True):
            rows = json.loads((tmp_path / task / f"{split}.json").read_text(encoding="utf-8"))
            assert len(rows) == size
            assert all(CHECKERS[task](row["sentence"]) == row["label"] for row in rows)


@every_task
def test_no_input_is_in_two_splits_but_the_right_translations(task: str) -> None:
    inputs = {split: {row.input for row in rows} for split, rows in build.splits(task).items()}
    shared = (inputs["test"] & (inputs["train"] | inputs["dev"])) | (inputs["dev"] & inputs["train"])
    assert all(task == "translation" and check_translation(text) == "yes" for text in shared)


# The wordings


def test_every_task_has_phrasings() -> None:
    assert list(PHRASINGS) == list(TASKS)


def test_originals_are_plain_imperatives() -> None:
    assert (
        original("stars")
        == "your task is to rate the review from 1 to 5 stars . answer with 1 , 2 , 3 , 4 or 5 ."
    )
    assert original("oldest") == "your task is to name the oldest person ."


@every_task
def test_wordings_are_distinct_seeded_and_never_the_original(task: str) -> None:
    drawn = wordings(task, 60, seed=3)
    assert len(set(drawn)) == len(drawn) == 60
    assert original(task) not in drawn
    assert wordings(task, 20, seed=3) == drawn[:20]
    assert wordings(task, 20, seed=4) != drawn[:20]


@every_task
def test_wordings_name_every_label_and_have_no_slot_left(task: str) -> None:
    for wording in [original(task), *wordings(task, 100, seed=0)]:
        assert all(names_label(wording, label) for label in TASKS[task].labels), wording
        assert not set("[]|{}") & set(wording), wording
        assert wording == " ".join(wording.split())


def test_a_label_inside_another_word_or_case_does_not_count() -> None:
    assert names_label("answer with A , B or C .", "A")
    assert not names_label("pick a title , Anna", "A")
    assert not names_label("rate it 10 or 21", "1")


def test_registers_are_drawn_with_equal_chance() -> None:
    rare = re.compile(
        r"kind as|operator|thou|thee|pursuant|buddy|wizard|prithee|riddle|dude|query|thy|::|hereunder|= "
    )
    drawn = [wording for seed in range(50) for wording in wordings("stars", 20, seed)]
    assert 0.25 < sum(bool(rare.search(wording)) for wording in drawn) / len(drawn) < 0.4


def test_more_wordings_than_the_grammar_has_is_an_error() -> None:
    with pytest.raises(
        ParaphraseError, match=r"expected 500 different wordings .*'oldest', found 123 .*: ask for fewer"
    ):
        wordings("oldest", 500, seed=0)


# The builtin paraphraser


def lab_task(task: str, instruction: str) -> Task:
    labels = TASKS[task].labels if task in TASKS else ()
    return Task(task, "lab", instruction, SUFFIX, labels, "en", train=(), test=())


def test_builtin_gives_wordings_from_the_grammar() -> None:
    task = lab_task("mood", original("mood"))
    assert list(Builtin(seed=5).answers(task, range(20), [])) == wordings("mood", 20, seed=5)


def test_builtin_has_no_more_wordings_than_the_grammar() -> None:
    task = lab_task("oldest", original("oldest"))
    assert list(Builtin(seed=0).answers(task, range(500), [])) == wordings("oldest", 123, seed=0)


@pytest.mark.parametrize("task", ["task195", "mood"])  # the second: a foreign task of the same name
def test_builtin_rewords_tasks_it_does_not_know_by_rules(task: str) -> None:
    foreign = lab_task(task, "Classify the tweet.")
    texts = list(Builtin(seed=0).answers(foreign, range(3), []))
    assert texts == list(islice(rewordings(foreign, 0), 3))
    assert len(texts) == 3


# The hand-written candidates

C1_LABELS = {
    "task195_sentiment140_classification": ["positive", "negative"],
    "task1310_amazonreview_rating_classification": ["1", "2", "3", "4", "5"],
    "task273_europarl_classification": ["yes", "no"],
    "task611_mutual_multi_turn_dialogue": ["A", "B", "C", "D"],
    "task224_scruples_anecdotes_ethical_judgment": ["RIGHT", "WRONG"],
}


def test_c1_candidates_are_twenty_a_task_and_keep_the_labels() -> None:
    path = shipped("data") / "candidates" / "ni_seq_c1.json"
    candidates = json.loads(path.read_text(encoding="utf-8"))
    assert list(candidates) == list(C1_LABELS)
    for task, texts in candidates.items():
        assert len({" ".join(text.lower().split()) for text in texts}) == len(texts) == 20
        for text in texts:
            assert text.strip() == text != ""
            assert all(names_label(text, label) for label in C1_LABELS[task]), text
