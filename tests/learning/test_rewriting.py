"""Rewrites of training answers: the gate, the rewards, the requests and the selection."""

import io
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sapo_lite.errors import BackboneError, RecipeError
from sapo_lite.evaluation.final_answers import Answers, answers_of
from sapo_lite.evaluation.metrics import METRICS
from sapo_lite.learning import rewriting
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.rewriting import Rewriting, RewrittenRow, extracted_scores, rollouts
from sapo_lite.learning.rewriting.request import encode_requests, rewrite_request
from sapo_lite.learning.rewriting.reward import alignment, diversities, judge, repeats_itself
from sapo_lite.learning.rewriting.rollouts import Rollout, roll_out
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.generation import stop_tokens
from sapo_lite.recipe import RewriteConfig, load_recipe
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.types import Example, Task, TrainingRow, TrainingSet
from tiny import FAMILIES, adapter_config, fill_blocks, make_task, plain_model, row_nll

MAKE = Callable[..., Backbone]
families = pytest.mark.parametrize("family", FAMILIES)

TASK = make_task(6)
ROWS = [TrainingRow(TASK.instruction, e.input, e.answer) for e in TASK.train]
SENTIMENT = Answers("label", ("positive", "negative"))
LETTERS = Answers("label", ("A", "B", "C"))
STARS = Answers("label", ("1", "2", "3", "4", "5"))
NLI = Answers("label", ("entailment", "not entailment"))
CHINESE = Answers("label", ("积极", "消极"))
SHORT, FREE = Answers("short"), Answers("free")


def said(*texts: str, finished: bool = True) -> list[Rollout]:
    return [Rollout((), text, finished) for text in texts]


def task_of(answers: Sequence[str], **changes: Any) -> Task:
    rows = tuple(Example("text", answer) for answer in answers)
    return replace(TASK, labels=(), train=rows, test=rows, **changes)


def learned(backbone: Backbone) -> BlockAdapter:
    """A learner that has two tasks behind it, so that its LoRA says something."""
    adapter = METHODS["lorainc"].build(backbone, adapter_config(), tasks=3, checkpointing=False)
    fill_blocks(adapter, 2)
    adapter.open_block(2, seed=2)
    return adapter


# --- the gate


@pytest.mark.parametrize(
    ("answers", "rewrite", "reference"),
    [
        (SENTIMENT, "positive", "positive"),
        (SENTIMENT, "It sounds Positive to me.", "positive"),
        (SENTIMENT, "positive: it could not be more positive", "positive"),
        (LETTERS, "The right one is B.", "B"),
        (LETTERS, "选B。", "B"),
        (LETTERS, "b", "B"),
        (STARS, "I would give it 4 stars.", "4"),
        (NLI, "That is not entailment.", "not entailment"),
        (CHINESE, "我觉得是积极的。", "积极"),
        (SHORT, "Max", "max"),
        (SHORT, "The oldest of them has 83 years.\nThe answer is Max.", "max"),
        (SHORT, "Let me see.\n\nmax\n", "max"),
        (SHORT, "**Answer:** Golden State Warriors", "Golden State Warriors"),
        (SHORT, "The answer is not Tom. So the final answer is:\nMax!", "max"),
        (SHORT, "按年龄排序，答案是：小明。", "小明"),
        (SHORT, "-5", "-5"),
        (SHORT, "The answer is 3.5.", "3.5"),
        (SHORT, "}", "}"),
        (FREE, "the phone breaks down after a week", "the phone broke down after one week"),
        (FREE, "手机用了一个星期就坏掉了", "手机用了一星期就坏了"),
    ],
)
def test_a_rewrite_that_says_the_same_passes(answers: Answers, rewrite: str, reference: str) -> None:
    assert answers.consistent(rewrite, reference, threshold=0.5)


@pytest.mark.parametrize(
    ("answers", "rewrite", "reference"),
    [
        (SENTIMENT, "negative", "positive"),
        (SENTIMENT, "not negative but positive", "positive"),
        (SENTIMENT, "The tweet is not positive at all.", "positive"),
        (SENTIMENT, "Non-negative", "negative"),
        (Answers("label", ("yes", "no")), "There is no evidence against it.", "no"),
        (Answers("label", ("True", "False")), "It is not true.", "True"),
        (Answers("label", ("RIGHT", "WRONG")), "He was right next to her.", "RIGHT"),
        (SENTIMENT, "positively", "positive"),
        (SENTIMENT, "good", "positive"),
        (SENTIMENT, "", "positive"),
        (LETTERS, "a friend", "A"),
        (LETTERS, "A friend would say B", "B"),
        (STARS, "4 of 5", "4"),
        (STARS, "14", "4"),
        (NLI, "not entailment", "entailment"),
        (CHINESE, "不是积极，是消极", "积极"),
        (SHORT, "Max is the oldest", "max"),
        (SHORT, "The answer is Tom.", "max"),
        (SHORT, "The answer is max. No, the answer is tom.", "max"),
        (SHORT, "max\ntom", "max"),
        (SHORT, "5", "-5"),
        (SHORT, "35", "3.5"),
        (SHORT, "50", "50%"),
        (SHORT, "?", "max"),
        (SHORT, " \n", "max"),
        (FREE, "it is great", "the phone broke down after one week"),
        (FREE, "很好", "手机用了一星期就坏了"),
        (FREE, "", "the phone broke down after one week"),
    ],
)
def test_a_rewrite_that_does_not_is_stopped(answers: Answers, rewrite: str, reference: str) -> None:
    assert not answers.consistent(rewrite, reference, threshold=0.5)


# Words that are no labels, and that hold none.
fillers = st.lists(st.sampled_from("well I would say it seems to be , rather so 真的".split()), max_size=6)


@given(fillers, st.sampled_from(SENTIMENT.labels), fillers, st.sampled_from(SENTIMENT.labels))
def test_of_labels_exactly_the_right_one_must_be_stated(
    before: list[str], named: str, after: list[str], right: str
) -> None:
    text = " ".join([*before, f"{named}.", *after])
    other = next(label for label in SENTIMENT.labels if label != named)
    assert SENTIMENT.consistent(text, right, 0.5) == (named == right)
    assert SENTIMENT.final(text) == named
    assert not SENTIMENT.consistent(f"{text} {other}", right, 0.5)
    assert SENTIMENT.final(f"{text} {other}") == f"{text} {other}"


@given(st.text(max_size=30), st.lists(st.text("abyz059", min_size=1, max_size=5), min_size=1, max_size=3))
def test_what_follows_the_last_mark_is_the_short_answer(before: str, words: list[str]) -> None:
    answer = " ".join(words)
    assert SHORT.final(f"{before}\nThe answer is {answer.upper()}.") == answer
    assert SHORT.consistent(f"{before}\nThe answer is {answer}.", answer, 0.5)
    assert not SHORT.consistent(f"{before}\nThe answer is {answer}.", f"{answer}x", 0.5)


@given(st.text(max_size=40))
def test_reading_a_final_answer_twice_changes_nothing(text: str) -> None:
    for answers in (SENTIMENT, SHORT, FREE):
        assert answers.final(answers.final(text)) == answers.final(text)


@pytest.mark.parametrize(("threshold", "passes"), [(0.0, True), (0.59, True), (0.61, False)])
def test_long_answers_need_as_much_overlap_as_the_threshold_says(threshold: float, passes: bool) -> None:
    # Three of five words each, in order: F1 = 0.6.
    assert FREE.consistent("it broke after some days", "it broke after a week", threshold) == passes


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (TASK, "label"),
        (task_of(["max", "anna", "tom of the old mill by the river"]), "short"),
        (task_of(["Golden State Warriors"]), "short"),
        (task_of(["it broke after a week", "ok", "the best that I ever had"]), "free"),
        (task_of(["小明", "北京大学"], language="zh"), "short"),
        (task_of(["手机用了一个星期就坏掉了"], language="zh"), "free"),
    ],
)
def test_the_kind_of_answers_is_told_by_labels_and_by_the_median_length(task: Task, kind: str) -> None:
    assert answers_of(task).kind == kind


# --- extraction


def test_final_answers_are_scored_against_final_answers() -> None:
    task = task_of(["max", "Anna.", "tom"])
    found = extracted_scores(task, ["They say the answer is Max!", "anna", "the answer is anna"])
    assert found["exact_match_extracted"] == pytest.approx(200 / 3)
    assert found["rougeL_extracted"] == pytest.approx(200 / 3)
    assert list(found) == [f"{metric}_extracted" for metric in [*METRICS, "task_metric"]]


def test_the_one_label_that_is_named_is_the_answer() -> None:
    found = extracted_scores(
        replace(TASK, test=(Example("", "positive"), Example("", "negative"))),
        ["I think it is Positive.", "positive or negative"],
    )
    assert found["exact_match_extracted"] == 50


# --- the reward


@pytest.mark.parametrize("text", ["", "positive", "it is very good", "这部电影"])
def test_identical_rollouts_have_no_diversity_at_all(text: str) -> None:
    assert diversities([text] * 7) == [0.0] * 7


def test_a_rollout_alone_has_nothing_to_differ_from() -> None:
    assert diversities(["positive"]) == [0.0]


def test_diversity_is_the_mean_dissimilarity_to_the_others() -> None:
    # Words and pairs: {a, b, ab}, {a, c, ac}, {d}: one of five in common, or nothing.
    assert diversities(["a b", "a c", "d"]) == pytest.approx([(0.8 + 1) / 2, (0.8 + 1) / 2, 1.0])


@given(st.lists(st.text(alphabet="ab 好", max_size=8), min_size=2, max_size=6), st.randoms())
def test_diversity_is_a_share_and_belongs_to_the_text(texts: list[str], rng: random.Random) -> None:
    found = dict(zip(texts, diversities(texts), strict=True))
    assert all(0 <= value <= 1 for value in found.values())
    rng.shuffle(texts)
    assert dict(zip(texts, diversities(texts), strict=True)) == pytest.approx(found, abs=1e-12)


@families
def test_alignment_is_the_base_backbones_mean_token_probability_whatever_was_learned(
    make_backbone: MAKE, family: str
) -> None:
    backbone = make_backbone(family)
    learned(backbone)
    rows = [replace(row, answer=text) for row in ROWS for text in ("positive", "no, 不 even")]
    found = alignment(backbone, TASK, rows)
    plain = plain_model(backbone)
    for row, encoded in zip(rows, backbone.chat.encode(TASK, rows), strict=True):
        expected = math.exp(-row_nll(plain, encoded).item() / len(encoded.answer_ids))
        assert found[row] == pytest.approx(expected, rel=1e-4)


def test_the_reward_is_0_with_a_closed_gate_and_alignment_and_diversity_with_an_open_one(
    make_backbone: MAKE,
) -> None:
    backbone = make_backbone("qwen3")
    learned(backbone)
    config = RewriteConfig(rollouts=3, diversity_weight=0.25)
    rows = [replace(ROWS[0], answer="positive"), replace(ROWS[1], answer="negative")]
    texts = ["positive", "it is positive", "negative", "negative", "negative", "negative"]
    judged = judge(backbone, TASK, SENTIMENT, rows, said(*texts[:5]) + said(texts[5], finished=False), config)
    own = [replace(rows[n // 3], answer=text) for n, text in enumerate(texts)]
    aligned = alignment(backbone, TASK, own)
    assert [one.text for one in judged] == texts
    assert [one.passed for one in judged] == [True, True, False, True, True, False]
    first, second, wrong, *same, cut_off = [one.reward for one in judged]
    # {positive}, {it, is, positive, it is, is positive}, {negative}
    assert first == pytest.approx(aligned[own[0]] + 0.25 * (0.8 + 1) / 2)
    assert second == pytest.approx(aligned[own[1]] + 0.25 * (0.8 + 1) / 2)
    assert (wrong, cut_off) == (0.0, 0.0)
    assert same == [aligned[own[3]]] * 2  # exactly: identical rollouts add nothing


@pytest.mark.parametrize(
    ("rewrite", "reference", "repeats"),
    [
        ("The answer is positive. The answer is positive.", "positive", True),
        ("positive, positive, positive", "positive", True),
        ("答案是好的。答案是好的。", "好的", True),
        ("The answer is positive.", "positive", False),
        ("It is good, it is very good, and I would buy it again.", "good", False),
        ("no no no no", "no no no no", False),  # the reference does so itself
        ("", "good", False),
    ],
)
def test_a_rewrite_may_not_say_the_same_again(rewrite: str, reference: str, repeats: bool) -> None:
    assert repeats_itself(rewrite, reference) == repeats


def test_a_rewrite_that_repeats_itself_has_no_reward(make_backbone: MAKE) -> None:
    texts = ["The answer is positive.", "The answer is positive. The answer is positive."]
    rows = [replace(ROWS[0], answer="positive")]
    backbone = make_backbone("qwen3")
    learned(backbone)
    config = RewriteConfig(rollouts=2)
    once, twice = judge(backbone, TASK, SENTIMENT, rows, said(*texts), config)
    assert once.passed
    assert once.reward > 0
    assert (twice.passed, twice.reward) == (False, 0.0)


# --- what the policy is asked for


def test_the_request_shows_prompt_and_answer_in_the_tasks_language() -> None:
    row = TrainingRow("Say {it}.", "the film was a joy", "positive")
    request = rewrite_request(TASK, row, "label")
    assert request.startswith(f"Say {{it}}.\n\nText:\nthe film was a joy\n\n{TASK.suffix}\n\n")
    assert "\npositive\n" in request
    assert "Keep the label exactly as it is" in request
    chinese = rewrite_request(replace(TASK, language="zh"), row, "short")
    assert "正确答案是：\npositive\n" in chinese
    assert "最终答案必须一字不差地保留" in chinese


def test_a_request_that_is_too_long_is_the_tasks_own_prompt(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    rows = [replace(ROWS[0], input="joy"), replace(ROWS[0], input="film " * 60)]
    plain = [backbone.chat.encode_prompts(TASK, row.instruction, [row.input])[0] for row in rows]
    backbone.config = backbone.config.model_copy(update={"max_source_tokens": len(plain[1]) + 10})
    short, long = encode_requests(backbone, TASK, rows, "label", shown=True)
    assert short == backbone.chat.encode_turn(rewrite_request(TASK, rows[0], "label"))
    assert long == plain[1]
    assert encode_requests(backbone, TASK, rows, "label", shown=False) == plain


# --- rollouts


@families
def test_rollouts_end_in_the_token_that_ended_them_or_are_unfinished(
    make_backbone: MAKE, family: str
) -> None:
    backbone = make_backbone(family)
    prompts = backbone.chat.encode_prompts(TASK, TASK.instruction, [e.input for e in TASK.train])
    found = roll_out(backbone, prompts, 8, temperature=1.5, batch_size=4, draws=random.Random(0))
    assert len(found) == 8 * len(prompts)
    assert {rollout.finished for rollout in found} == {True, False}
    stop = stop_tokens(backbone)
    for rollout in found:
        assert (rollout.ids[-1] in stop) == rollout.finished
        assert not stop.intersection(rollout.ids[:-1])
        assert 1 <= len(rollout.ids) <= backbone.config.max_answer_tokens
        said_ids = rollout.ids[:-1] if rollout.finished else rollout.ids
        assert rollout.text == backbone.chat.decode(said_ids)
        assert rollout.finished or len(rollout.ids) == backbone.config.max_answer_tokens


def test_where_memory_runs_out_rollouts_are_drawn_in_halves(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")
    prompts = backbone.chat.encode_prompts(TASK, TASK.instruction, ["joy", "film", "no", "money"])
    whole, tried = rollouts.generate_cached, []
    room = 2

    def cramped(found: Backbone, some: Sequence[Sequence[int]], *others: Any) -> Any:
        tried.append(len(some))
        if len(some) > room:
            raise RuntimeError("CUDA error: out of memory")
        return whole(found, some, *others)

    monkeypatch.setattr(rollouts, "generate_cached", cramped)
    options = {"temperature": 1.0, "batch_size": 8, "draws": random.Random(0)}
    found = roll_out(backbone, prompts, 3, **options)
    assert tried == [4, 2, 2]
    assert len(found) == 12
    assert all(rollout.ids for rollout in found)
    room = 0
    with pytest.raises(
        BackboneError, match=r"^Memory does not suffice for the rollouts of one row\. Lower rew"
    ):
        roll_out(backbone, prompts, 3, **options)


# --- which rewrite a row takes


def show() -> tuple[PlainDisplay, io.StringIO]:
    shown = io.StringIO()
    return PlainDisplay(Console(file=shown, width=110)), shown


def rewrite_with(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch, says: Callable[[int], Sequence[str]]
) -> tuple[Rewriting, str]:
    """Best of three where the rollouts of row n are made up."""
    backbone = make_backbone("qwen3")
    learned(backbone)
    recipe = load_recipe("lab", ["prompt.strategy=rewrite", "rewrite.policy=best_of", "rewrite.rollouts=3"])

    def roll(_: Backbone, prompts: Sequence[Sequence[int]], copies: int, **__: Any) -> list[Rollout]:
        numbers = [asked.index(list(prompt)) for prompt in prompts]
        assert copies == 3
        return [one for n in numbers for one in said(*says(n))]

    task = replace(TASK, train=tuple(Example(f"text {n}", "positive") for n in range(20)))
    rows = [TrainingRow(task.instruction, e.input, e.answer) for e in task.train]
    asked = encode_requests(backbone, task, rows, "label", shown=True)
    plain = encode_requests(backbone, task, rows, "label", shown=False)

    def roll_any(found: Backbone, prompts: Sequence[Sequence[int]], copies: int, **other: Any) -> Any:
        if list(prompts[0]) in plain:
            return said(*["nothing"] * (3 * len(prompts)))
        return roll(found, prompts, copies, **other)

    monkeypatch.setattr(rewriting, "roll_out", roll_any)
    display, shown = show()
    found = rewriting.rewrite(
        backbone, TrainingSet(task, rows), recipe, seed=0, scratch=Path("never"), progress=display
    )
    return found, shown.getvalue()


def test_every_row_takes_its_best_passing_rewrite_or_keeps_its_answer(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(n: int) -> Sequence[str]:
        if n % 4 == 3:
            return ["negative", "", "positive negative"]
        return ["positive", f"positive: {n} love watch again", "negative"]

    found, shown = rewrite_with(make_backbone, monkeypatch, says)
    assert found.shown
    assert found.kind == "label"
    assert found.notice is None
    for n, row in enumerate(found.rows):
        if n % 4 == 3:
            assert row == RewrittenRow("positive", None, 0.0, 0)
        else:
            assert row.rewrite in ("positive", f"positive: {n} love watch again")
            assert row.passed == 2
            assert row.reward > 0
    assert "rewriting: 20/20 answers · 75% rewritten" in shown
    rows = [TrainingRow("i", str(n), "positive") for n in range(20)]
    applied = found.applied(rows)
    assert applied[3] is rows[3]
    assert applied[4] == replace(rows[4], answer=found.rows[4].rewrite)


def test_where_no_rewrite_passes_all_answers_are_kept_and_it_is_said(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, shown = rewrite_with(make_backbone, monkeypatch, lambda _: ["negative"] * 3)
    rows = [TrainingRow("i", str(n), "positive") for n in range(20)]
    assert found.applied(rows) == rows
    assert found.notice == "task195: no rewrite says what its answer does, so all answers are kept"
    assert f"note: {found.notice}" in shown


def test_a_model_that_cannot_follow_the_request_is_asked_with_the_tasks_own_prompts(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")
    learned(backbone)
    recipe = load_recipe("lab", ["prompt.strategy=rewrite", "rewrite.policy=best_of", "rewrite.rollouts=2"])
    rows = [replace(row, answer="positive") for row in ROWS]
    plain = encode_requests(backbone, TASK, rows, "label", shown=False)

    def roll(_: Backbone, prompts: Sequence[Sequence[int]], copies: int, **__: Any) -> list[Rollout]:
        asked_plainly = all(list(prompt) in plain for prompt in prompts)
        return said(*["positive" if asked_plainly else "sure!"] * (copies * len(prompts)))

    monkeypatch.setattr(rewriting, "roll_out", roll)
    display, _ = show()
    found = rewriting.rewrite(
        backbone, TrainingSet(TASK, rows), recipe, seed=0, scratch=Path("never"), progress=display
    )
    assert not found.shown
    assert all(row.rewrite == "positive" for row in found.rows)


# --- the recipe


def faults(*overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe("lab", overrides)
    return str(caught.value).splitlines()


def test_the_strategy_switches_rewriting_on_and_goes_with_any_other() -> None:
    assert not load_recipe("lab").rewrite.enabled
    assert load_recipe("lab", ["prompt.strategy=rewrite"]).rewrite.enabled
    assert not load_recipe("lab", ["prompt.strategy=rewrite"]).wants_candidates
    both = load_recipe("lab", ["prompt.strategy=sapo", "rewrite.enabled=true"])
    assert (both.prompt.strategy, both.rewrite.enabled, both.wants_candidates) == ("sapo", True, True)


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        (
            ["prompt.strategy=rewrite", "rewrite.enabled=false"],
            'rewrite.enabled: expected true (prompt.strategy is "rewrite"), found false',
        ),
        (
            ["rewrite.enabled=true", "rewrite.rollouts=1"],
            'rewrite.rollouts: expected at least 2 (rewrite.policy is "rl", which learns from their '
            "differences), found 1",
        ),
        (
            ["rewrite.enabled=true", "evaluation.max_new_tokens=15"],
            "evaluation.max_new_tokens: expected at least model.max_answer_tokens (16), which a rewritten "
            "answer may take, found 15",
        ),
        (["rewrite.temperature=0"], "rewrite.temperature: expected a number of at least 0.001, found 0"),
        (["rewrite.policy=sft"], 'rewrite.policy: expected "rl" or "best_of", found "sft"'),
    ],
)
def test_settings_that_contradict_are_refused(overrides: list[str], fault: str) -> None:
    assert [line.partition(": ")[2] for line in faults(*overrides)] == [fault]


def test_one_rollout_is_enough_without_training() -> None:
    recipe = load_recipe("lab", ["rewrite.enabled=true", "rewrite.policy=best_of", "rewrite.rollouts=1"])
    assert recipe.rewrite.rollouts == 1
