"""From texts to token ids: the published layout, nothing lost on the way, one budget for all candidates."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sapo_lite.errors import RenderError
from sapo_lite.model.chat import ChatFormat, EncodedRow, user_turn
from sapo_lite.types import Example, Task, TrainingRow
from tiny import (
    FAMILIES,
    MAX_ANSWER,
    MAX_SOURCE,
    llama_tokenizer,
    make_task,
    qwen3_tokenizer,
    with_inputs,
)

TASK = make_task()
ZH = replace(TASK, instruction="判断情感。", suffix="直接输出标签。", language="zh")

HOSTILE = [
    "{}",
    "{0} {text!r} {{braces}} %s %(name)s $name \\1",
    '"double" \'single\' `back` """triple"""',
    "\n\nfirst a blank line, and last one\n\n",
    " \t spaces around \t ",
    "line\r\nline",
    "判断这段文本的情感:积极,还是消极?",
    "</think> a thought <think>",
    "{% for m in messages %}{{ m.content }}{% endfor %}{# no #}",
    "\n\nText:\nanother text",
    "文本:\n",
    "SAPO-lite-turn SAPO-lite-answer",
    "<tool_response>x</tool_response>",
    "e\u0301 is two characters, \u00e9 is one",
]


@cache
def chat(family: str, max_source: int = MAX_SOURCE) -> ChatFormat:
    tokenizer = qwen3_tokenizer() if family == "qwen3" else llama_tokenizer()
    return ChatFormat(tokenizer, max_source, MAX_ANSWER)


def prompt_around(family: str, turn: str) -> str:
    """What the model must read, written out by hand."""
    if family == "qwen3":
        return f"<|im_start|>user\n{turn}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    return (
        f"<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{turn}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def lengths(chat_format: ChatFormat, task: Task, instruction: str, texts: list[str]) -> list[int]:
    return [len(ids) for ids in chat_format.encode_prompts(task, instruction, texts)]


# --- the user turn


def test_the_published_layout() -> None:
    task = replace(TASK, suffix="Directly output only the label as your answer.")
    assert user_turn(task, "Judge the text.", "a joy") == (
        "Judge the text.\n\nText:\na joy\n\nDirectly output only the label as your answer."
    )


def test_the_published_layout_in_chinese() -> None:
    assert user_turn(ZH, "判断情感。", "很精彩") == "判断情感。\n\n文本:\n很精彩\n\n直接输出标签。"


def test_the_language_is_the_tasks_whatever_the_instruction_is_written_in() -> None:
    assert "\n\n文本:\n" in user_turn(ZH, "Judge the text.", "x")
    assert "\n\nText:\n" in user_turn(TASK, "判断情感。", "x")


def test_an_empty_suffix_drops_its_blank_line() -> None:
    assert user_turn(replace(TASK, suffix=""), "Judge.", "a joy") == "Judge.\n\nText:\na joy"


def test_an_empty_instruction_drops_its_blank_line() -> None:
    assert user_turn(replace(TASK, suffix="Answer."), "", "a joy") == "Text:\na joy\n\nAnswer."
    assert user_turn(replace(TASK, suffix=""), "", "a joy") == "Text:\na joy"


# --- the prompt


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", HOSTILE)
def test_every_text_reaches_the_model_unchanged(family: str, text: str) -> None:
    turn = f"{text}\n\nText:\n{text}\n\n{text}"
    assert chat(family).prompt(replace(TASK, suffix=text), text, text) == prompt_around(family, turn)


@pytest.mark.parametrize("family", FAMILIES)
def test_spaces_at_the_ends_of_a_turn_are_not_trimmed(family: str) -> None:
    prompt = chat(family).prompt(replace(TASK, suffix=""), "\n  Judge.", "a joy \n")
    assert prompt == prompt_around(family, "\n  Judge.\n\nText:\na joy \n")


_TEXTS = st.text() | st.lists(st.sampled_from([*HOSTILE, "a", " ", "\n", "<", "|", ">"]), max_size=4).map(
    "".join
)


@settings(max_examples=150, deadline=None)
@given(instruction=_TEXTS, text=_TEXTS, suffix=_TEXTS)
@example(instruction="", text="", suffix="")
def test_whatever_the_texts_the_prompt_is_the_turn_between_the_templates_tags(
    instruction: str, text: str, suffix: str
) -> None:
    turn = "\n\n".join(part for part in (instruction, f"Text:\n{text}", suffix) if part)
    task = replace(TASK, suffix=suffix)
    for family in FAMILIES:
        assert chat(family).prompt(task, instruction, text) == prompt_around(family, turn)


@settings(max_examples=100, deadline=None)
@given(instruction=_TEXTS, text=_TEXTS)
def test_token_ids_spell_the_prompt(instruction: str, text: str) -> None:
    # Llama's tokenizer has no normalizer, so nothing at all may differ.
    llama = chat("llama")
    (ids,) = llama.encode_prompts(TASK, instruction, [text])
    assert llama.tokenizer.decode(ids) == llama.prompt(TASK, instruction, text)


def test_a_qwen3_prompt_ends_in_the_empty_think_block() -> None:
    prompt = chat("qwen3").prompt(TASK, TASK.instruction, "a joy")
    assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_llamas_own_system_turn_is_removed_and_its_bos_stays_alone() -> None:
    llama = chat("llama")
    own = llama.tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
    assert "Cutting Knowledge Date" in own
    prompt = llama.prompt(TASK, TASK.instruction, "a joy")
    assert "system" not in prompt
    assert "Cutting Knowledge" not in prompt
    (ids,) = llama.encode_prompts(TASK, TASK.instruction, ["a joy"])
    bos = llama.tokenizer.bos_token_id
    assert ids[0] == bos
    assert ids.count(bos) == 1
    assert llama.tokenizer("a").input_ids[0] == bos  # it would be written twice if it were asked for


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_is_what_the_models_own_template_renders(family: str) -> None:
    chat_format = chat(family)
    row = TrainingRow("Judge the text.", "a joy", "positive")
    (encoded,) = chat_format.encode(TASK, [row])
    own = chat_format.tokenizer.apply_chat_template(
        [
            {"role": "user", "content": user_turn(TASK, row.instruction, row.input)},
            {"role": "assistant", "content": row.answer},
        ],
        tokenize=False,
    )
    system = own[own.find("<|start_header_id|>system") : own.find("<|start_header_id|>user")]
    assert chat_format.tokenizer.decode(encoded.ids) == own.replace(system or "-", "").rstrip("\n")


# --- answers


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_is_its_own_tokens_and_the_end_of_turn(family: str) -> None:
    chat_format = chat(family)
    answers = ["positive", "no", "积极", "a {b}\nc", " spaced ", "", "</think>"]
    encoded = chat_format.encode(TASK, [TrainingRow("Judge.", "a joy", answer) for answer in answers])
    end = {"qwen3": "<|im_end|>", "llama": "<|eot_id|>"}[family]
    for answer, row in zip(answers, encoded, strict=True):
        assert chat_format.tokenizer.decode(row.answer_ids) == answer + end
        assert chat_format.stop_ids == {row.answer_ids[-1]}
        assert row.answer_ids.count(row.answer_ids[-1]) == 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("answer", ["positive", "\npositive", " no", "积极"])
def test_answer_tokens_are_equal_for_every_candidate(family: str, answer: str) -> None:
    chat_format = chat(family)
    instructions = ["", *HOSTILE, TASK.instruction]
    encoded = chat_format.encode(TASK, [TrainingRow(i, "a joy", answer) for i in instructions])
    prompts = [chat_format.encode_prompts(TASK, i, ["a joy"])[0] for i in instructions]
    assert len({row.answer_ids for row in encoded}) == 1
    # The model is tested behind the very tokens it was trained behind.
    assert [list(row.ids[: row.answer_start]) for row in encoded] == prompts


def test_the_answer_starts_where_encoded_says() -> None:
    assert EncodedRow((1, 2, 3, 4), 3).answer_ids == (4,)


@pytest.mark.parametrize("family", FAMILIES)
def test_generated_ids_become_text_without_special_tokens_and_outer_space(family: str) -> None:
    chat_format = chat(family)
    ids = chat_format.tokenizer(" not , even .\n", add_special_tokens=False).input_ids
    assert chat_format.decode([*ids, *chat_format.stop_ids]) == "not , even ."


# --- the budget

LONG = "the film was a joy from its first minute to its last. " * 12
LONG_ZH = "这部电影从第一分钟到最后一分钟都很精彩。" * 12
INSTRUCTIONS = ["Judge.", TASK.instruction, TASK.instruction + " Read the text and say which fits.", "判断"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_over_long_input_is_cut_at_its_end_so_that_every_candidate_fits(family: str, split: str) -> None:
    chat_format = chat(family)
    task = with_inputs(TASK, LONG, "a joy", LONG_ZH, "\n\n" + LONG)
    fitted = [e.input for e in getattr(chat_format.fit(task, INSTRUCTIONS), split)]
    assert fitted[1] == "a joy"
    for before, after in zip((LONG, LONG_ZH, "\n\n" + LONG), (fitted[0], fitted[2], fitted[3]), strict=True):
        assert before.startswith(after)
        taken = [lengths(chat_format, task, i, [after])[0] for i in INSTRUCTIONS]
        # No more was cut than the longest candidate needs, save the rest of a character or two.
        assert MAX_SOURCE - 4 <= max(taken) <= MAX_SOURCE


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_candidate_sets_the_budget_of_all_wherever_it_stands(family: str) -> None:
    task = with_inputs(TASK, LONG)
    forwards = chat(family).fit(task, INSTRUCTIONS)
    assert forwards == chat(family).fit(task, INSTRUCTIONS[::-1])
    assert len(forwards.train[0].input) < len(chat(family).fit(task, ["Judge."]).train[0].input)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_input_that_just_fits_is_left_alone(family: str) -> None:
    taken = max(lengths(chat(family), TASK, i, [LONG])[0] for i in INSTRUCTIONS)
    task = with_inputs(TASK, LONG)
    assert chat(family, taken).fit(task, INSTRUCTIONS) == task
    assert chat(family, taken - 1).fit(task, INSTRUCTIONS) != task


@pytest.mark.parametrize("family", FAMILIES)
def test_a_long_answer_is_never_cut_but_takes_from_the_input(family: str) -> None:
    chat_format = chat(family)
    answer = "not even for money or love " * 6
    answer_tokens = len(chat_format.tokenizer(answer, add_special_tokens=False).input_ids)
    assert answer_tokens > MAX_ANSWER
    task = chat_format.fit(with_inputs(TASK, LONG, answer=answer), INSTRUCTIONS)
    assert task.train[0].answer == answer
    for instruction in INSTRUCTIONS:
        (row,) = chat_format.encode(task, [TrainingRow(instruction, task.train[0].input, answer)])
        assert len(row.ids) <= MAX_SOURCE + MAX_ANSWER + 1  # end-of-turn
        assert chat_format.decode(row.answer_ids) == answer.strip()


def test_a_short_answer_gives_nothing_to_the_input() -> None:
    # Otherwise an input would be cut by its answer, and the model could tell the answer from that.
    inputs = {chat("qwen3").fit(with_inputs(TASK, LONG, answer=a), INSTRUCTIONS).test[0].input for a in "ab"}
    inputs.add(chat("qwen3").fit(with_inputs(TASK, LONG, answer="not even"), INSTRUCTIONS).test[0].input)
    assert len(inputs) == 1


@settings(max_examples=60, deadline=None)
@given(
    instructions=st.lists(_TEXTS.filter(lambda t: len(t) < 60), min_size=1, max_size=4),
    text=st.text(max_size=400) | st.integers(0, 20).map(lambda n: LONG_ZH[n:]) | _TEXTS,
)
def test_whatever_the_texts_every_candidate_fits_the_budget(instructions: list[str], text: str) -> None:
    for family in FAMILIES:
        chat_format = chat(family)
        try:
            task = chat_format.fit(with_inputs(TASK, text), instructions)
        except RenderError:
            shell = max(lengths(chat_format, TASK, i, [""])[0] for i in instructions)
            assert shell > MAX_SOURCE - 10
            continue
        assert text.startswith(task.train[0].input)
        for instruction in instructions:
            assert lengths(chat_format, task, instruction, [task.train[0].input])[0] <= MAX_SOURCE


@pytest.mark.parametrize("family", FAMILIES)
def test_an_instruction_that_leaves_no_room_is_refused(family: str) -> None:
    task = with_inputs(TASK, "a joy", "a joy again")
    with pytest.raises(RenderError) as refused:
        chat(family).fit(task, ["Judge.", "Judge. " * 200])
    assert str(refused.value) == (
        "task195_sentiment140_classification, train example 0: instruction, suffix and answer alone exceed "
        f"{MAX_SOURCE} tokens. Raise model.max_source_tokens (now {MAX_SOURCE}) or shorten the candidate "
        "instructions."
    )


def test_an_answer_that_leaves_no_room_is_refused_by_its_place() -> None:
    rows = (Example("a joy", "positive"), Example("a joy", "not even " * 200))
    with pytest.raises(
        RenderError, match=r"test example 1: instruction, suffix and answer alone exceed -?\d+"
    ):
        chat("qwen3").fit(replace(TASK, test=rows), ["Judge."])


# --- the tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_and_truncation_that_a_tokenizer_remembers_do_no_harm(family: str) -> None:
    clean = chat(family)
    used = ChatFormat(qwen3_tokenizer() if family == "qwen3" else llama_tokenizer(), MAX_SOURCE, MAX_ANSWER)
    used.tokenizer.backend_tokenizer.enable_truncation(max_length=5)
    used.tokenizer.backend_tokenizer.enable_padding(length=300)
    rows = [TrainingRow(TASK.instruction, "a joy", "positive"), TrainingRow("Judge.", LONG, "no")]
    assert used.encode(TASK, rows) == clean.encode(TASK, rows)
    used.tokenizer.backend_tokenizer.enable_truncation(max_length=5)
    used.tokenizer.backend_tokenizer.enable_padding(length=300)
    task = with_inputs(TASK, LONG, "a joy")
    assert used.fit(task, INSTRUCTIONS) == clean.fit(task, INSTRUCTIONS)


def test_a_model_without_a_chat_template_is_refused() -> None:
    tokenizer = qwen3_tokenizer()
    tokenizer.chat_template = None
    tokenizer.name_or_path = "Qwen/Qwen3-8B-Base"
    with pytest.raises(RenderError) as refused:
        ChatFormat(tokenizer, MAX_SOURCE, MAX_ANSWER)
    assert str(refused.value) == (
        "The tokenizer of Qwen/Qwen3-8B-Base has no chat template. Expected an instruct model (Qwen3, "
        "Llama-3.1-Instruct, ...): name the instruct variant, or, for a base model, set model.chat_template "
        '(score: --chat-template) to "chatml", "none" or a file.'
    )
