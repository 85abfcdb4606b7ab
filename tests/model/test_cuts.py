"""Switches of how a row is encoded: the white space behind an answer, the side of the cut, the budget."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from sapo_lite.errors import BackboneError, RenderError
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.steps import Step
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import ChatFormat
from sapo_lite.prompts.pool import Pool
from sapo_lite.prompts.scoring import score
from sapo_lite.recipe import TrainingConfig
from sapo_lite.run.right_cut import notice_of_lost_answers
from sapo_lite.types import Candidate, Task, TrainingRow, TrainingSet
from tiny import (
    FAMILIES,
    MAX_ANSWER,
    MAX_SOURCE,
    adapter_config,
    llama_tokenizer,
    make_task,
    plain_model,
    qwen3_tokenizer,
    with_inputs,
)

TASK = make_task(8)
MAKE = Callable[..., Backbone]
LONG = "the film was a joy from its first minute to its last. " * 12


def chat(family: str, **settings: Any) -> ChatFormat:
    tokenizer = qwen3_tokenizer() if family == "qwen3" else llama_tokenizer()
    return ChatFormat(tokenizer, MAX_SOURCE, MAX_ANSWER, **settings)


def rows_of(task: Task, instruction: str = TASK.instruction) -> list[TrainingRow]:
    return [TrainingRow(instruction, example.input, example.answer) for example in task.train]


# --- the newline behind the end of the turn


def test_with_qwen3s_template_a_one_word_answer_has_three_tokens_with_the_newline() -> None:
    row = TrainingRow("Judge.", "a joy", "the")
    (plain,), (whole,) = (chat("qwen3", newline=on).encode(TASK, [row]) for on in (False, True))
    tokens = chat("qwen3").tokenizer.convert_ids_to_tokens
    assert tokens(list(plain.answer_ids)) == ["the", "<|im_end|>"]
    assert tokens(list(whole.answer_ids)) == ["the", "<|im_end|>", "Ċ"]
    assert whole.ids[: whole.answer_start] == plain.ids[: plain.answer_start]
    assert chat("qwen3", newline=True).stop_ids == chat("qwen3").stop_ids
    # It belongs to the frame, which a resumed run gets from its folder.
    again = chat("qwen3").with_frame(chat("qwen3", newline=True).frame)
    assert again.encode(TASK, [row]) == [whole]


def test_a_template_that_ends_with_the_turn_has_no_newline_to_add() -> None:
    assert chat("llama", newline=True).frame == chat("llama").frame


# --- the cut on the right


@pytest.mark.parametrize("family", FAMILIES)
def test_cut_on_the_right_a_row_keeps_its_first_tokens_and_a_prompt_too(family: str) -> None:
    texts = [*(LONG[n:] for n in range(0, 480, 12)), "a joy"]
    task = with_inputs(TASK, *texts, answer="not even for money or love")
    whole, cut = chat(family), chat(family, cut="right")
    assert cut.fit(task, [TASK.instruction]) == task
    pairs = list(zip(whole.encode(task, rows_of(task)), cut.encode(task, rows_of(task)), strict=True))
    for before, after in pairs:
        assert after.ids == before.ids[: MAX_SOURCE + MAX_ANSWER]
        assert after.answer_start == min(before.answer_start, MAX_SOURCE + MAX_ANSWER)
    lost = {len(before.answer_ids) - len(after.answer_ids) for before, after in pairs}
    all_of_it = len(pairs[0][0].answer_ids)
    assert {0, all_of_it} < lost  # none, all, and something between
    prompts = (own.encode_prompts(task, TASK.instruction, texts) for own in (whole, cut))
    assert all(short == full[:MAX_SOURCE] for full, short in zip(*prompts, strict=True))


def right_cut(backbone: Backbone) -> tuple[Task, list[int]]:
    """Rows that keep all tokens of their answers, all but a few, a few and none; and the numbers of these.

    From now on, the backbone cuts on the right.
    """
    backbone.chat.cut = "right"
    texts = [" joy" * n for n in range(1, MAX_SOURCE)]
    answer = "not even for money"
    task = with_inputs(TASK, *texts, answer=answer)
    kept = [len(row.answer_ids) for row in backbone.chat.encode(task, rows_of(task))]
    none, few, *_, many, whole = sorted(set(kept))
    assert none == 0 < few < many < whole
    numbers = [whole, many, few, none]
    return with_inputs(TASK, *(texts[kept.index(n)] for n in numbers), answer=answer), numbers


def by_hand(backbone: Backbone, task: Task, instruction: str, kept: Sequence[int]) -> list[float]:
    """Sums over the answer tokens that are left, each row alone through plain transformers."""
    model = plain_model(backbone)
    sums = []
    for row, left in zip(rows_of(task, instruction), kept, strict=True):
        text = backbone.chat.prompt(task, row.instruction, row.input) + row.answer + backbone.chat.frame.end
        ids = backbone.tokenizer(text, add_special_tokens=False).input_ids[: MAX_SOURCE + MAX_ANSWER]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
        losses = F.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
        sums.append(losses[len(losses) - left :].sum().item())
    return sums


def test_a_row_cut_on_the_right_is_scored_on_the_tokens_that_are_left(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    task, kept = right_cut(backbone)
    (found,) = score(backbone, task, [Candidate(0, TASK.instruction, "original")], examples=4)
    assert found.tokens == tuple(kept)
    assert found.nll_sum == pytest.approx(by_hand(backbone, task, TASK.instruction, kept), rel=1e-5)


def test_means_without_any_answer_token_are_refused(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    task, _ = right_cut(backbone)
    lost = with_inputs(TASK, *[task.train[-1].input] * 9, *[task.train[0].input] * 2)
    candidates = [Candidate(0, TASK.instruction, "original")]
    (found,) = score(backbone, lost, candidates, examples=11)
    assert found.tokens[:9] == (0,) * 9
    with pytest.raises(
        BackboneError, match=r"training examples 0 to 7 .* candidate 0, found none: they are cut"
    ):
        score(backbone, lost, candidates, examples=11, reduction="batch_mean")


@pytest.mark.usefixtures("quick_collections")
@pytest.mark.parametrize("packs", [True, False])
def test_rows_that_lost_their_answer_teach_nothing_and_the_others_what_is_left(
    make_backbone: MAKE, tmp_path: Path, packs: bool
) -> None:
    backbone = make_backbone("qwen3")
    task, kept = right_cut(backbone)
    adapter = METHODS["lorainc"].build(backbone, adapter_config(), tasks=1, checkpointing=False)
    adapter.open_block(0, seed=0)  # B is zero: the first step's loss is the base model's
    steps: list[Step] = []
    settings = TrainingConfig(
        epochs=1, batch_size=4, micro_batch_size=1, pack=packs, gradient_checkpointing=False
    )
    rows = [TrainingSet(task, rows_of(task))]
    train(backbone, adapter, rows, settings, checkpoints=tmp_path / "c", seed=0, on_step=steps.append)
    expected = sum(by_hand(backbone, task, TASK.instruction, kept)) / sum(kept)
    assert [step.loss for step in steps] == pytest.approx([expected], rel=1e-5)


def test_answers_that_a_cut_on_the_right_takes_are_counted(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    task, _ = right_cut(backbone)
    pool = Pool(task.id, (Candidate(0, TASK.instruction, "original"),))
    assert notice_of_lost_answers(backbone.chat, task, pool) == (
        "task195: 3 of 4 training rows lose tokens of their answer under the longest candidate, 1 of them "
        'all (model.cut is "right")'
    )
    assert notice_of_lost_answers(backbone.chat, TASK, pool) is None
    with pytest.raises(RenderError, match="found none: all 2 training rows lose their whole answer"):
        notice_of_lost_answers(backbone.chat, with_inputs(TASK, LONG, LONG), pool)


# --- the budget of instructions


@pytest.mark.parametrize("family", FAMILIES)
def test_with_a_budget_for_instructions_the_cut_does_not_depend_on_the_candidates(family: str) -> None:
    task = with_inputs(TASK, LONG, "a joy")
    short, long = "Judge.", TASK.instruction + " Read the text and say which fits."
    own = chat(family, max_instruction=80)
    fitted = own.fit(task, [TASK.instruction])
    assert fitted == own.fit(task, [TASK.instruction, short, long]) == own.fit(task, [long])
    assert fitted.train[1].input == "a joy"
    # The cut input with an instruction of 80 tokens just fits.
    bare = len(own.encode_prompts(task, "", [fitted.train[0].input])[0])
    assert MAX_SOURCE - 4 <= bare + 80 <= MAX_SOURCE + 2  # tokens may merge where an instruction ends
    assert chat(family).fit(task, [short]) != chat(family).fit(task, [long])


def test_an_instruction_beyond_its_budget_is_refused() -> None:
    with pytest.raises(RenderError, match=r"at most 9 tokens \(model.max_instruction_tokens\), found one of"):
        chat("qwen3", max_instruction=9).fit(TASK, [TASK.instruction])
