"""A prompt and its answer are the template's own conversation; what cannot be made so is refused."""

import json
import re
import shutil
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from peft import PeftModel
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from conversations import (
    CHATML,
    CONVERSATIONS,
    ENDS_WITHOUT_A_MARK,
    LLAMA2,
    WITH_A_CLOCK,
    byte_level,
    bytes_in_python,
    sentencepiece,
)
from forked import run_program
from pretraining.tokenizer import CHAT_TEMPLATE, train_tokenizer
from sapo_lite import score_prompts
from sapo_lite.errors import RenderError, RunFolderError
from sapo_lite.model.chat import ChatFormat, user_turn
from sapo_lite.model.chat_frame import ChatFrame, date_notice, render_frame
from sapo_lite.model.generation import generate
from sapo_lite.model.generation_inputs import stop_tokens
from sapo_lite.model.hub import locate_model
from sapo_lite.model.load import load_backbone
from sapo_lite.recipe import load_recipe
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.support.checked_json import write_checked
from sapo_lite.types import Task, TrainingRow
from small import SETTINGS, command, small_run
from tiny import load, make_task, row_nll, with_inputs

TASK = make_task()
ANSWERS = [
    "positive",
    "3",
    "not even 42 times",
    "积极",
    "first\nsecond",
    "{} \"a\" 'b'",
    "no </s <|im_end>",
]
ROWS = [
    ("film joy", "positive"),
    ("watch again 3", "2"),
    ("money love", "not even for love"),
    ("joy", "消极"),
]
PROMPTS = ["Say positive or negative.", "Is it positive?\nSay so."]


@cache
def chat(name: str) -> ChatFormat:
    return ChatFormat(CONVERSATIONS[name][0](), 400, 24)


def conversation(tokenizer: Any, turn: str, answer: str) -> str:
    """The template's own text; without Llama's system turn, which the published layout leaves out."""
    made: list[Any] = [turn, answer]
    if "is not string" in tokenizer.chat_template:
        made = [[{"type": "text", "text": text}] for text in made]
    messages = [{"role": "user", "content": made[0]}, {"role": "assistant", "content": made[1]}]
    text = tokenizer.apply_chat_template(messages, tokenize=False).rstrip()
    text = re.sub(r"<\|start_header_id\|>system.*?<\|eot_id\|>", "", text, flags=re.DOTALL)
    return text if tokenizer.chat_template != ENDS_WITHOUT_A_MARK else text + tokenizer.eos_token


def ids_of(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False).input_ids)


# --- prompt and answer


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_prompt_and_answer_are_the_whole_conversation(name: str, answer: str) -> None:
    tokenizer = chat(name).tokenizer
    (row,) = chat(name).encode(TASK, [TrainingRow("Say it.", "a film 3", answer)])
    assert row.ids == ids_of(
        tokenizer, conversation(tokenizer, user_turn(TASK, "Say it.", "a film 3"), answer)
    )
    (prompt,) = chat(name).encode_prompts(TASK, "Say it.", ["a film 3"])
    assert list(row.ids[: row.answer_start]) == prompt


# Templates strip the ends of a text; and a think tag is theirs to take out.
_TEXTS = st.text(max_size=60).map(str.strip).filter(lambda text: text and "think>" not in text)


@settings(max_examples=60, deadline=None)
@given(turn=_TEXTS, answer=_TEXTS)
@example(turn="[/INST] x", answer="[INST]")
@example(turn="x ", answer="▁y")
def test_whatever_the_texts_they_are_the_whole_conversation(turn: str, answer: str) -> None:
    task = TASK
    for name in CONVERSATIONS:
        own = chat(name)
        (row,) = own.encode(task, [TrainingRow(turn, "a film", answer)])
        whole = own.frame.conversation(user_turn(task, turn, "a film"), answer)
        assert row.ids == ids_of(own.tokenizer, whole), name


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_answer_tokens_are_equal_for_every_instruction(name: str) -> None:
    instructions = ["", "Say it.", "Is it {}?\n", "判断情感", "a b " * 20]
    for answer in [*ANSWERS, "\nfirst", " spaced "]:
        rows = chat(name).encode(TASK, [TrainingRow(i, "a film", answer) for i in instructions])
        assert len({row.answer_ids for row in rows}) == 1


def test_a_word_has_no_space_of_its_own_behind_a_line_end() -> None:
    own = chat("TinyLlama")
    (row,) = own.encode(TASK, [TrainingRow("Say it.", "film", "positive")])
    assert not own.tokenizer.convert_ids_to_tokens(row.answer_ids[0]).startswith("▁")
    assert own.tokenizer.convert_ids_to_tokens(own.tokenizer("positive").input_ids[0]).startswith("▁")


@pytest.mark.parametrize("name", ["R1", "Qwen3 Thinking", "Qwen3"])
def test_no_answer_stands_inside_an_open_think_block(name: str) -> None:
    prompt = chat(name).prompt(TASK, "Say it.", "film")
    assert prompt.count("<think>") == prompt.count("</think>")


def model_of(tokenizer: Any) -> Any:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=512, max_position_embeddings=512, initializer_range=0.3, **shape)
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("name", ["TinyLlama", "Llama 2, legacy", "R1", "no generation prompt", "parts only"])
def test_losses_are_those_of_the_templates_conversation(name: str) -> None:
    tokenizer = CONVERSATIONS[name][0]()
    model = model_of(tokenizer)
    found = score_prompts(model, tokenizer, ROWS, PROMPTS, race=False)
    for row in found.rows:
        total, tokens = 0.0, 0
        for text, answer in ROWS:
            turn = f"{row.prompt}\n\nText:\n{text}"
            whole = conversation(tokenizer, turn, answer)
            ids = ids_of(tokenizer, whole)
            # A space before the answer is part of its first token, or a token that belongs to it.
            start = len(ids_of(tokenizer, whole[: whole.rindex(answer)].rstrip(" ")))
            with torch.no_grad():
                known = model(input_ids=torch.tensor([ids])).logits.log_softmax(-1)[0, start - 1 : -1]
            total -= known.gather(1, torch.tensor(ids[start:])[:, None]).sum().item()
            tokens += len(ids) - start
        assert row.loss == pytest.approx(total / tokens, rel=1e-5)


# --- where an answer ends


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_an_answer_ends_at_special_tokens_alone(name: str) -> None:
    own = chat(name)
    assert set(own.tokenizer.convert_ids_to_tokens(sorted(own.stop_ids))) == set(CONVERSATIONS[name][1])


def saved(tokenizer: Any, folder: Path) -> Path:
    model = model_of(tokenizer)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_generation_goes_on_behind_the_space_of_an_end_of_turn(tmp_path: Path) -> None:
    backbone = load(saved(sentencepiece(LLAMA2, legacy=True), tmp_path))
    tokenizer, model = backbone.tokenizer, backbone.causal_lm
    space, three, end = tokenizer.convert_tokens_to_ids(["▁", "3", "</s>"])
    assert stop_tokens(backbone) == {end}
    (row,) = backbone.chat.encode(TASK, [TrainingRow("Say it.", "film", "3")])
    assert row.answer_ids == (space, three, space, end)
    optimizer = torch.optim.AdamW(model.requires_grad_(True).parameters(), lr=1e-2)
    for _ in range(30):
        logits = model(input_ids=torch.tensor([row.ids])).logits[0, row.answer_start - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(row.answer_ids))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    prompts = backbone.chat.encode_prompts(TASK, "Say it.", ["film"])
    assert generate(backbone, prompts, max_new_tokens=6, batch_size=1) == ["3"]


@pytest.mark.slow
def test_llama_2_chat_answers_and_learns_in_a_run(tmp_path: Path) -> None:
    folder = saved(sentencepiece(LLAMA2, legacy=True), tmp_path / "model")
    recipe = load_recipe("lab", [*SETTINGS, f"model.name={folder}", "sequence.tasks=['stars']"])
    backbone = load_backbone(recipe.model)
    (task,) = load_run_tasks(recipe.sequence, None)
    rows = backbone.chat.encode(
        task, [TrainingRow(task.instruction, e.input, e.answer) for e in task.train[:8]]
    )
    optimizer = torch.optim.AdamW(backbone.model.requires_grad_(True).parameters(), lr=1e-2)
    for _ in range(25):  # a random model says nothing of use
        optimizer.zero_grad()
        torch.stack([row_nll(backbone.model, row) for row in rows]).mean().backward()
        optimizer.step()
    backbone.model.save_pretrained(folder)
    settings = [f"model.name={folder}", "sequence.tasks=['stars']", "training.epochs=1"]
    _, shown = small_run(tmp_path / "run", *settings, "training.learning_rate=1e-3")
    assert "this model" not in shown  # packs and batches are taken
    stage = tmp_path / "run" / "01-stars"
    kept = json.loads((stage / "predictions/stars-original.json").read_text())["rows"]
    tested = [row["answer"] for row in kept]
    assert any(set(answer) & set("123") for answer in tested)
    plain = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(folder), stage / "adapter")
    assert tested == [answer_of(plain, backbone.tokenizer, task, e.input) for e in task.test]


def answer_of(model: Any, tokenizer: Any, task: Task, text: str) -> str:
    """What transformers generates by the chat template alone."""
    turn = {"role": "user", "content": user_turn(task, task.instruction, text)}
    prompt = tokenizer.apply_chat_template([turn], add_generation_prompt=True, return_tensors="pt")
    ids = prompt if isinstance(prompt, torch.Tensor) else prompt["input_ids"]
    said = model.generate(input_ids=ids, max_new_tokens=16, do_sample=False)
    return tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True).strip()


# --- over-long inputs


def test_an_over_long_input_is_cut_also_where_tokens_do_not_say_where_they_begin() -> None:
    own = ChatFormat(bytes_in_python(), 200, 24)
    for text in ("the film was a joy " * 30, "这部电影很精彩。" * 30):
        (row,) = own.fit(with_inputs(TASK, text), ["Say it.", "Say it, please."]).train
        assert text.startswith(row.input)
        (taken,) = own.encode_prompts(TASK, "Say it, please.", [row.input])
        assert 197 <= len(taken) <= 200


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_long_answer_takes_its_room_from_the_input(name: str) -> None:
    own = ChatFormat(CONVERSATIONS[name][0](), 300, 8)
    answer = "not even for money"
    task = own.fit(with_inputs(TASK, "film joy " * 200, answer=answer), ["Say it."])
    (row,) = own.encode(task, [TrainingRow("Say it.", task.train[0].input, answer)])
    (empty,) = own.encode(task, [TrainingRow("Say it.", "", "")])
    assert 0 <= 300 + 8 + len(empty.answer_ids) - len(row.ids) <= 4
    assert row.answer_ids == own.encode(task, [TrainingRow("", "", answer)])[0].answer_ids


# --- what is refused, in one sentence


def _eos_that_is_no_token() -> Any:
    tokenizer = byte_level(CHATML.replace("'<|im_end|>", "eos_token + '"))
    tokenizer.eos_token = "<end>"
    return tokenizer


def _beyond_the_vocabulary() -> Any:
    tokenizer = byte_level(CHATML)
    tokenizer.add_tokens([f"zzz{n}" for n in range(60)])
    return tokenizer


_SYSTEM = (
    "{% if messages[0].role != 'system' %}{{ raise_exception('a system message is required') }}{% endif %}"
)
REFUSED = {
    "demands a system message": (lambda: byte_level(_SYSTEM + CHATML), "a system message is required"),
    "broken": (lambda: byte_level("{% for m in messages %}{{ m.content "), "TemplateSyntaxError"),
    "wrong types": (lambda: byte_level("{{ messages[0].content + 1 }}"), "TypeError"),
    "no default": (lambda: byte_level({"rag": CHATML, "tool_use": CHATML}), "no default"),
    "lower": (lambda: byte_level(CHATML.replace("m.content", "m.content|lower")), "sapo-lite-turn"),
    "upper": (lambda: byte_level(CHATML.replace("m.content", "m.content|upper")), "SAPO-LITE-TURN"),
    "repeats": (lambda: byte_level(CHATML.replace("m.content", "m.content + m.content")), "each once"),
    "drops the answer": (lambda: byte_level("{{ messages[0].content + eos_token }}"), "each once"),
    "cuts at a line end": (
        lambda: byte_level(CHATML.replace("m.content", "m.content.split('\\n')[0]")),
        "each once",
    ),
    "no end": (lambda: byte_level(ENDS_WITHOUT_A_MARK, eos_token=None), "Set eos_token"),
    "plain end": (lambda: sentencepiece(CHATML), "found ordinary text, '▁' '<0x3C>'"),
    "eos no token": (_eos_that_is_no_token, "has the eos_token '<end>': expected one token"),
    "merges": (
        lambda: byte_level("{{ messages[0].content + ' e' + messages[-1].content + eos_token }}"),
        "to begin with a token of its own",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused_in_a_sentence(name: str) -> None:
    make, found = REFUSED[name]
    with pytest.raises(RenderError) as refused:
        score_prompts(model_of(make()), make(), ROWS, PROMPTS)
    assert found in str(refused.value)
    assert "expected" in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(RenderError, match=re.escape(str(refused.value)[:80])):
        ChatFormat(make(), 400, 24)


def test_a_token_that_the_model_lacks_is_named() -> None:
    tokenizer = _beyond_the_vocabulary()
    assert len(tokenizer) > 512
    beyond = tokenizer.convert_ids_to_tokens(len(tokenizer) - 1)
    with pytest.raises(RenderError, match=f"writes the token '{beyond}', number .*model's 512"):
        score_prompts(model_of(tokenizer), tokenizer, [(f"film {beyond}", "yes")], PROMPTS)
    # Tokens that no text has do no harm.
    assert len(score_prompts(model_of(tokenizer), tokenizer, ROWS, PROMPTS).rows) == 2


@pytest.mark.slow
def test_the_commands_say_it_in_one_line(tmp_path: Path) -> None:
    folder = saved(byte_level(_SYSTEM + CHATML), tmp_path / "model")
    (tmp_path / "examples.csv").write_text("text,label\nfilm,yes\n")
    (tmp_path / "prompts.txt").write_text("Say it.\nIs it?\n")
    loader = f"model.name={folder}", "model.loader=transformers"
    flags = [flag for setting in loader for flag in ("--set", setting)]
    calls: list[list[str | Path]] = [
        ["score", folder, tmp_path / "examples.csv", tmp_path / "prompts.txt"],
        ["run", "lab", "--plain", "--out", tmp_path / "run", *flags],
    ]
    for arguments in calls:
        done = run_program(command(*arguments))
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "a system message is required" in done.stderr


# --- templates that write the date


def test_a_frame_is_that_of_its_time() -> None:
    tokenizer = byte_level(WITH_A_CLOCK)
    days = [datetime(2026, 1, 31), datetime(2026, 2, 1)]
    before = [render_frame(tokenizer, day).before for day in days]
    assert "31 January 2026" in before[0]
    assert "01 February 2026" in before[1]
    assert render_frame(byte_level(CHATML), days[0]) == render_frame(byte_level(CHATML), days[1])


def test_scores_under_a_date_come_with_a_notice() -> None:
    tokenizer = byte_level(WITH_A_CLOCK)
    with pytest.warns(UserWarning, match="writes today's date into every prompt"):
        found = score_prompts(model_of(tokenizer), tokenizer, ROWS, PROMPTS, race=False)
    assert "date" in found.notices[0]
    assert date_notice(chat("Llama 3.1").tokenizer, chat("Llama 3.1").frame) is None


def test_a_kept_frame_gives_the_ids_of_its_day() -> None:
    tokenizer = byte_level(WITH_A_CLOCK)
    first = ChatFormat(tokenizer, 400, 24)
    later = ChatFormat(tokenizer, 400, 24)
    rows = [TrainingRow("Say it.", "film", "yes")]
    assert later.encode(TASK, rows) != first.encode(TASK, rows)
    assert later.with_frame(first.frame).encode(TASK, rows) == first.encode(TASK, rows)


def test_a_run_folder_keeps_the_first_frame(tmp_path: Path) -> None:
    first, later = ({"before": day, "between": "b", "end": "e"} for day in ("Monday", "Tuesday"))
    with RunFolder(tmp_path) as folder:
        assert folder.chat_frame(first) == first
        assert ChatFrame(**folder.chat_frame(later)) == ChatFrame("Monday", "b", "e")
        write_checked(tmp_path / "chat.json", {"before": "Monday"}, "run/chat")
        with pytest.raises(RunFolderError, match=r"chat\.json: expected the texts before, between, end"):
            folder.chat_frame(later)


@pytest.mark.slow
def test_a_run_goes_on_with_the_prompts_that_it_began_with(tmp_path: Path) -> None:
    model, out = tmp_path / "model", tmp_path / "run"
    shutil.copytree(locate_model("lab"), model)
    tokenizer = train_tokenizer()
    tokenizer.chat_template = "{{- strftime_now('%f') -}}" + CHAT_TEMPLATE  # microseconds: never the same
    tokenizer.save_pretrained(model)
    (model / "chat_template.jinja").write_text(tokenizer.chat_template)
    settings = [f"model.name={model}", "training.epochs=1", "sequence.train_examples=16"]
    small_run(out, *settings)
    losses, results = out / "02-odd_one_out" / "losses.json", out / "results.json"
    before = losses.read_bytes(), results.read_bytes()
    shutil.rmtree(losses.parent)
    results.unlink()
    small_run(out, *settings)
    assert (losses.read_bytes(), results.read_bytes()) == before
