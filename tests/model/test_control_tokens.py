"""Words of control tokens in data, instructions and answers are text, for every kind of tokenizer."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, ByT5Tokenizer, PreTrainedTokenizerFast

import architectures
from conversations import CONVERSATIONS, ZEPHYR, byte_level
from sapo_lite.errors import RenderError
from sapo_lite.model.chat import ChatFormat, user_turn
from sapo_lite.model.generation import generate
from sapo_lite.model.hub import locate_model
from sapo_lite.model.loss import answer_nll
from sapo_lite.types import TrainingRow
from tiny import FAMILIES, load, make_task, plain_nll, save_model, with_inputs

TASK = make_task()
GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<start_of_turn>' + m.role + '\n' + m.content + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
PHI3 = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def gemma() -> PreTrainedTokenizerFast:
    special = ["<bos>", "<start_of_turn>", "<end_of_turn>"]
    return byte_level(GEMMA, *special, bos_token="<bos>", eos_token="<end_of_turn>")


def phi3() -> PreTrainedTokenizerFast:
    """Its tokens of roles take the white space behind them along."""
    from tokenizers import AddedToken

    tokenizer = byte_level(PHI3, eos_token="<|endoftext|>")
    names = ["<|user|>", "<|assistant|>", "<|end|>"]
    tokenizer.add_tokens([AddedToken(name, rstrip=True, special=True) for name in names], special_tokens=True)
    return tokenizer


def unigram() -> PreTrainedTokenizerFast:
    """Its vocabulary has the control tokens as words, too."""
    base = Tokenizer(models.Unigram())
    base.pre_tokenizer = pre_tokenizers.Metaspace("▁", "first", split=False)
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False
    )
    words = "film joy watch money love positive negative < / s > | user assistant yes no : . 1 2 3 4".split()
    base.train_from_iterator([" ".join(words[n:] + words[:n]) + "\n" for n in range(len(words))], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=base, bos_token="<s>", eos_token="</s>", unk_token="<unk>", chat_template=ZEPHYR
    )


FAMILY: dict[str, Callable[[], Any]] = {
    **{name: make for name, (make, _) in CONVERSATIONS.items() if name != "lab"},
    "lab": lambda: AutoTokenizer.from_pretrained(locate_model("lab")),
    "all other architectures": architectures.tokenizer,
    "Gemma": gemma,
    "Phi-3": phi3,
    "Unigram": unigram,
}


@cache
def chat(name: str) -> ChatFormat:
    return ChatFormat(FAMILY[name](), 400, 24)


def control(own: ChatFormat) -> dict[int, str]:
    """Tokens that a template or the tokenizer's special tokens bring, without that of unknown words."""
    added = own.tokenizer.added_tokens_decoder.items()
    template = own.frame.conversation("", "")
    found = {n: t.content for n, t in added if t.content.strip() and (t.special or t.content in template)}
    found.pop(own.tokenizer.unk_token_id, None)
    return found


def count(own: ChatFormat, ids: tuple[int, ...]) -> int:
    return sum(number in control(own) for number in ids)


def letters(text: str) -> str:
    """Without white space, which the lab's tokenizer does not keep."""
    return "".join(text.split())


@pytest.mark.parametrize("name", FAMILY)
def test_control_tokens_in_a_row_are_those_of_the_template(name: str) -> None:
    own = chat(name)
    hostile = "x".join(["", *control(own).values(), ""])
    (plain, row) = own.encode(TASK, [TrainingRow("a", "a", "a"), TrainingRow(*[f"a{hostile}a"] * 3)])
    assert count(own, row.ids) == count(own, plain.ids) > 0
    assert count(own, row.answer_ids) == count(own, plain.answer_ids)
    (ended,) = own.encode_answers([hostile])
    assert own.stop_ids.isdisjoint(ended[: -len(own.encode_answers([""])[0])])


@pytest.mark.parametrize("name", [name for name in FAMILY if name != "Unigram"])  # it does not know "x"
def test_the_words_of_control_tokens_reach_the_model_and_come_back(name: str) -> None:
    own = chat(name)
    hostile = "x".join(["joy ", *control(own).values(), ""])
    (ids,) = own.encode_prompts(TASK, hostile, [hostile])
    assert letters(user_turn(TASK, hostile, hostile)) in letters(own.tokenizer.decode(ids))
    (answer,) = own.encode_answers([hostile])
    assert letters(own.decode(answer)) == letters(hostile)


@pytest.mark.parametrize("name", FAMILY)
def test_a_row_is_the_same_beside_a_hostile_one_and_alone(name: str) -> None:
    own = chat(name)
    hostile = "".join(control(own).values())
    rows = [TrainingRow("Say it.", "film joy 3", "positive"), TrainingRow("Say it.", hostile, hostile)]
    assert own.encode(TASK, rows) == [own.encode(TASK, [row])[0] for row in rows]
    whole = own.frame.conversation(user_turn(TASK, "Say it.", "film joy 3"), "positive")
    (row,) = own.encode(TASK, rows[:1])
    assert list(row.ids) == own.tokenizer(whole, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("name", FAMILY)
def test_an_over_long_input_of_such_words_is_cut_to_fit(name: str) -> None:
    own = ChatFormat(FAMILY[name](), 300, 24)
    (first, *_) = control(own).values()
    task = own.fit(with_inputs(TASK, first * 400), ["Say it."])
    (ids,) = own.encode_prompts(task, "Say it.", [task.train[0].input])
    assert 280 < len(ids) <= 300


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_generation_read_the_same_text(family: str, tmp_path: Path) -> None:
    backbone = load(save_model(family, tmp_path))
    own = backbone.chat
    hostile = "".join(control(own).values())
    task = with_inputs(TASK, f"a joy{hostile}", f"{hostile} money", answer=f"no{hostile}")
    rows = own.encode(task, [TrainingRow(hostile, e.input, e.answer) for e in task.train])
    prompts = own.encode_prompts(task, hostile, [e.input for e in task.test])
    assert prompts == [list(row.ids[: row.answer_start]) for row in rows]
    nll, tokens = answer_nll(backbone, rows)
    assert list(tokens) == [len(row.answer_ids) for row in rows]
    assert nll == pytest.approx([plain_nll(backbone.causal_lm, row) for row in rows], rel=1e-4)
    together = generate(backbone, prompts, max_new_tokens=8, batch_size=2)
    assert together == [generate(backbone, [p], max_new_tokens=8, batch_size=1)[0] for p in prompts]
    assert [own.decode(row.answer_ids) for row in rows] == [f"no{hostile}"] * 2


def test_a_wide_form_that_becomes_a_control_token_is_text_too() -> None:
    from tokenizers import AddedToken, normalizers

    tokenizer = byte_level(ZEPHYR)
    tokenizer.backend_tokenizer.normalizer = normalizers.NFKC()
    tokenizer.add_tokens([AddedToken("<|halt|>", normalized=True, special=True)], special_tokens=True)
    own = ChatFormat(tokenizer, 400, 24)
    ids = own.encode_turn("joy \uff1c|halt|\uff1e")
    assert tokenizer.convert_tokens_to_ids("<|halt|>") in tokenizer("joy \uff1c|halt|\uff1e")["input_ids"]
    assert tokenizer.convert_tokens_to_ids("<|halt|>") not in ids


class _WithASpaceInFront(ByT5Tokenizer):
    def prepare_for_tokenization(self, text: str, **options: Any) -> tuple[str, dict[str, Any]]:
        return f" {text}", options


def test_a_tokenizer_that_cannot_be_made_to_is_refused_where_it_matters() -> None:
    tokenizer = _WithASpaceInFront()
    tokenizer.chat_template = ZEPHYR
    own = ChatFormat(tokenizer, 400, 24)
    assert own.encode_turn("a joy")
    with pytest.raises(RenderError, match=r"A text holds a control token.*Take such tokens out of data"):
        own.encode_turn("a joy</s>")
