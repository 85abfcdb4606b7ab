"""`score_prompts`: the losses of `sapo_lite.prompts.scoring`, on a model left exactly as found."""

import copy
import importlib.util
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import peft
import pytest
import torch
import transformers
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedConfig

from sapo_lite import Leaderboard, score_prompts
from sapo_lite.errors import BackboneError, DataError, RenderError
from sapo_lite.leaderboard.board import board
from sapo_lite.leaderboard.external_model import _runs_unsloth
from sapo_lite.model.attention import CHUNKED
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import ChatFormat
from sapo_lite.prompts.confidence import certainty, statement
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.scoring import race_scores, score
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.types import Candidate, Example, Task, TrainingRow
from small import ROOT
from tiny import FAMILIES, candidate_score, load, make_task, qwen3_tokenizer

TASK = make_task(40)
SUFFIX = TASK.suffix
PROMPTS = [
    TASK.instruction,
    "Is the text happy?\nSay positive or negative.",
    "判断情感 {0}",
    'Label "it" as positive or negative, please.',
]
CANDIDATES = [Candidate(i, text, "file") for i, text in enumerate(PROMPTS)]


@pytest.fixture(scope="module")
def folder(make_backbone: Callable[..., Backbone]) -> Callable[[str], Path]:
    """Folder of a tiny model by family."""
    return lambda family="qwen3": Path(make_backbone(family).config.name)


@pytest.fixture
def bare(folder: Callable[..., Path]) -> Callable[..., tuple[Any, Any]]:
    """A fresh model and tokenizer by transformers alone."""

    def make(family: str = "qwen3", **options: Any) -> tuple[Any, Any]:
        options = {"dtype": torch.float32, **options}
        model = AutoModelForCausalLM.from_pretrained(folder(family), **options)
        return model, AutoTokenizer.from_pretrained(folder(family))

    return make


def with_lora(model: Any, *names: str, dropout: float = 0.0, **options: Any) -> Any:
    """Adapters far from zero, the last of `names` active."""
    torch.manual_seed(3)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=4,
        lora_alpha=16,
        lora_dropout=dropout,
        target_modules=["q_proj", "v_proj"],
        init_lora_weights=False,
        **options,
    )
    first, *others = names or ("default",)
    model = peft.get_peft_model(model, config, adapter_name=first)
    for name in others:
        model.add_adapter(name, config)
        model.set_adapter(name)
    return model


def ranks(model: Any, tokenizer: Any, **options: Any) -> Leaderboard:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return score_prompts(model, tokenizer, TASK.train, PROMPTS, suffix=SUFFIX, **options)


def losses(found: Leaderboard) -> dict[int, float]:
    return {row.index: row.loss for row in found.rows}


# --- the same losses


@pytest.mark.slow
@pytest.mark.parametrize("adapter", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_those_of_scoring(
    bare: Callable[..., tuple[Any, Any]], folder: Callable[[str], Path], family: str, adapter: bool
) -> None:
    model, tokenizer = bare(family)
    backbone = load(folder(family))
    if adapter:
        model, backbone.model = with_lora(model), with_lora(backbone.model)
    expected = {s.index: s.loss for s in score(backbone, TASK, CANDIDATES, examples=40)}
    found = ranks(model, tokenizer, race=False)
    assert losses(found) == pytest.approx(expected, rel=1e-6)
    assert [row.rank for row in found.rows] == [1, 2, 3, 4]
    assert [row.loss for row in found.rows] == sorted(expected.values(), key=lambda loss: loss)
    for row in found.rows:
        assert row.prompt == PROMPTS[row.index]
        assert (row.partial, row.examples_scored, row.examples) == (False, 40, 40)
        difference = None if row.index == 0 else pytest.approx(row.loss - losses(found)[0])
        assert row.difference_to_original == difference


@pytest.mark.slow
def test_losses_are_those_of_scoring_in_four_bits(
    bare: Callable[..., tuple[Any, Any]], folder: Callable[[str], Path]
) -> None:
    backbone = load(folder("qwen3"), "nf4")
    expected = {s.index: s.loss for s in score(backbone, TASK, CANDIDATES, examples=40)}
    found = ranks(backbone.model, backbone.tokenizer, race=False)
    assert losses(found) == pytest.approx(expected, rel=1e-6)
    assert losses(found) != pytest.approx(losses(ranks(*bare(), race=False)), rel=1e-3)


@pytest.mark.slow
def test_a_race_is_that_of_scoring_and_says_what_is_partial(bare: Callable[..., tuple[Any, Any]]) -> None:
    task = make_task(120)
    model, tokenizer = bare()
    found = score_prompts(model, tokenizer, task.train, PROMPTS, suffix=SUFFIX, seed=5)
    backbone = load(Path(model.name_or_path))
    scores = race_scores(backbone, task, CANDIDATES, examples=120, seed=5)
    assert losses(found) == pytest.approx({s.index: s.loss for s in scores}, rel=1e-6)
    measured = {s.index: len(s.examples) for s in scores}
    assert min(measured.values()) < 120
    for row in found.rows:
        assert row.examples_scored == measured[row.index]
        assert row.partial == (row.examples_scored < 120)
    whole = score_prompts(model, tokenizer, task.train, PROMPTS, suffix=SUFFIX, race=False)
    assert whole.best.index == found.best.index
    assert not any(row.partial for row in whole.rows)


def test_certainty_is_that_of_the_scores(bare: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = bare()
    scores = score(load(Path(model.name_or_path)), TASK, CANDIDATES, examples=40)
    found = ranks(model, tokenizer, race=False)
    assert found.certainty is not None
    assert found.certainty.chosen == found.best.index
    assert found.statement == statement(certainty(scores, found.best.index))


def test_only_the_first_examples_are_scored(bare: Callable[..., tuple[Any, Any]]) -> None:
    few = ranks(*bare(), limit=8, race=False)
    assert {row.examples for row in few.rows} == {8}
    model, tokenizer = bare()
    same = score_prompts(model, tokenizer, TASK.train[:8], PROMPTS, suffix=SUFFIX, race=False)
    assert losses(few) == losses(same)


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        [(e.input, e.answer) for e in TASK.train],
        [{"sentence": e.input, "label": e.answer} for e in TASK.train],
        datasets.Dataset.from_list([{"text": e.input, "label": e.answer, "id": 1} for e in TASK.train]),
    ],
)
def test_examples_come_in_several_shapes(bare: Callable[..., tuple[Any, Any]], given: Any) -> None:
    model, tokenizer = bare()
    found = score_prompts(model, tokenizer, given, PROMPTS, suffix=SUFFIX)
    assert losses(found) == losses(ranks(model, tokenizer))


def test_the_language_decides_the_word_before_the_input(bare: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = bare()
    backbone = load(Path(model.name_or_path))
    expected = score(backbone, replace(TASK, language="zh"), CANDIDATES, examples=40)
    found = ranks(model, tokenizer, language="zh", race=False)
    assert losses(found) == pytest.approx({s.index: s.loss for s in expected}, rel=1e-6)


def test_a_single_prompt_has_a_loss_and_no_rival(bare: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = bare()
    found = score_prompts(model, tokenizer, TASK.train, PROMPTS[:1], suffix=SUFFIX)
    assert losses(found) == pytest.approx({0: losses(ranks(model, tokenizer, race=False))[0]})
    assert (found.certainty, found.statement) == (None, None)
    assert "best: #0, the original\n" in repr(found)


# --- left as found


def snapshot(model: Any, tokenizer: Any) -> dict[str, Any]:
    """All state of model and tokenizer that scoring could change."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    configs = [m.config for m in model.modules() if isinstance(getattr(m, "config", None), PreTrainedConfig)]
    return {
        "modes": [module.training for module in model.modules()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "weights": [p.detach().clone() for p in model.parameters()],
        "types": [(p.dtype, p.device) for p in model.parameters()],
        "buffers": [b.clone() for b in model.buffers()],
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "configs": [repr(config.to_dict()) for config in configs],
        "attention": [config._attn_implementation for config in configs],
        "four bits": [four_bit_state(m) for m in model.modules() if hasattr(m, "quant_state")],
        "generation": base.generation_config.to_json_string(),
        "hooks": [
            [len(hooks) for name, hooks in vars(m).items() if name.endswith("_hooks")]
            for m in model.modules()
        ],
        "forwards": [vars(m).get("forward") for m in model.modules()],
        "adapters": copy.copy(getattr(model, "active_adapters", None)),
        "tokenizer": (tokenizer.pad_token, tokenizer.padding_side, tokenizer.truncation_side),
        "backend": tokenizer.backend_tokenizer.to_str(),
        "chance": (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()),
        "autocast": torch.is_autocast_enabled("cpu"),
        "grad": torch.is_grad_enabled(),
        "torch": (
            torch.get_default_dtype(),
            torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(),
            [getattr(torch.backends.cudnn, flag) for flag in ("benchmark", "deterministic", "enabled")],
        ),
        "environment": dict(os.environ),
    }


def four_bit_state(layer: Any) -> list[Any]:
    """State of a layer that bitsandbytes changes in a forward pass."""
    settled = (layer.support_avx512bf16_for_cpu, layer.compute_dtype, layer.compute_type_is_set)
    return [settled, getattr(layer.weight.quant_state, "packing_format_for_cpu", False)]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@contextmanager
def left_as_found(model: Any, tokenizer: Any) -> Iterator[None]:
    before = snapshot(model, tokenizer)
    yield
    after = snapshot(model, tokenizer)
    assert [name for name in before if not same(before[name], after[name])] == []


def in_training(family: str, bare: Callable[..., tuple[Any, Any]]) -> tuple[Any, Any]:
    """A model in the middle of things: mixed modes, pending gradients, two adapters, checkpointing; a
    tokenizer that remembers padding and truncation."""
    model, tokenizer = bare(family)
    model = with_lora(model, "one", "two", dropout=0.5)
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
    model.train()
    model.get_base_model().model.layers[0].eval()
    model(input_ids=torch.arange(5, 25)[None], labels=torch.arange(5, 25)[None]).loss.backward()
    tokenizer.padding_side = "left"
    tokenizer.backend_tokenizer.enable_truncation(9)
    tokenizer.backend_tokenizer.enable_padding(length=11)
    return model, tokenizer


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_model_and_tokenizer_are_left_as_found(bare: Callable[..., tuple[Any, Any]], family: str) -> None:
    model, tokenizer = in_training(family, bare)
    assert (tokenizer.pad_token is None) == (family == "llama")
    with left_as_found(model, tokenizer):
        found = ranks(model, tokenizer)
    # It was scored with the active adapter at full scale, with dropout off and nothing cut.
    plain, _ = bare(family)
    expected = ranks(with_lora(plain, "one", "two"), bare(family)[1])
    assert losses(found) == pytest.approx(losses(expected), rel=1e-6)


NF4 = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_compute_dtype=torch.float32,
    bnb_4bit_use_double_quant=True,
)


def gradient_norm(model: Any) -> float:
    model.zero_grad()
    ids = torch.arange(5, 25)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    return sum(float(p.grad.norm()) for p in model.parameters() if p.grad is not None)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_in_four_bits_learns_afterwards_as_before(
    bare: Callable[..., tuple[Any, Any]], family: str, mode: bool
) -> None:
    model, tokenizer = bare(family, quantization_config=NF4)
    model = with_lora(model).train(mode)
    before = gradient_norm(model)
    assert before > 0
    for layer in model.modules():
        if hasattr(layer, "compute_type_is_set"):  # as if nothing had been computed yet
            layer.compute_dtype, layer.compute_type_is_set = None, False
    with left_as_found(model, tokenizer):
        ranks(model, tokenizer)
    assert gradient_norm(model) == before


@pytest.mark.slow
def test_four_bit_weights_that_an_evaluation_has_repacked_are_scored_and_stay_as_they_are(
    bare: Callable[..., tuple[Any, Any]],
) -> None:
    model, tokenizer = bare(quantization_config=NF4)
    expected = losses(ranks(model, tokenizer, race=False))
    with torch.no_grad():
        model.eval()(input_ids=torch.arange(5, 25)[None])  # repacks where the CPU knows avx512_bf16
    with left_as_found(model, tokenizer):
        found = ranks(model, tokenizer, race=False)
    assert found.notices == ()
    assert losses(found) == pytest.approx(expected, rel=0.02)


def router_in_training() -> Any:
    """A mixture of experts as TRL's trainers set it up."""
    model = family("qwen3_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64)
    model.config.output_router_logits, model.config.use_cache = True, False
    model = with_lora(model).train()
    model(input_ids=torch.arange(5, 25)[None])  # the first forward pass puts transformers' own hooks in place
    return model


def with_a_vision_tower() -> Any:
    """Configs inside each other, and a window that rows are longer than."""
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
        "vision_use_head": False,
    }
    kinds = ["sliding_attention", "full_attention"]
    text = {**SHAPE, "num_key_value_heads": 2, "sliding_window": 64, "layer_types": kinds}
    torch.manual_seed(7)
    config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    return AutoModelForCausalLM.from_config(config)


def with_capped_logits() -> Any:
    return family("gemma2", final_logit_softcapping=1.0)


@pytest.mark.slow
@pytest.mark.parametrize("make", [router_in_training, with_a_vision_tower, with_capped_logits])
def test_other_families_are_left_as_found(make: Callable[[], Any]) -> None:
    model, tokenizer = make(), qwen3_tokenizer()
    tokenizer.padding_side = "left"
    next(model.parameters()).grad = torch.ones_like(next(model.parameters()))
    next(model.modules()).register_forward_hook(lambda *_: None)
    with left_as_found(model, tokenizer):
        board = score_prompts(
            model, tokenizer, TASK.train, PROMPTS[:2], progress=PlainDisplay(Console(quiet=True))
        )
    assert len(board.rows) == 2


class Broken(PlainDisplay):
    """Fails as soon as there is a score to show."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.attention = error, ""

    def candidates(self, *_: object, **__: object) -> None:
        self.attention = self.model.config._attn_implementation
        raise self.error

    def _print(self, text: str) -> None:
        pass


@pytest.mark.parametrize("error", [RuntimeError("lost"), KeyboardInterrupt()])
def test_model_and_tokenizer_are_left_as_found_after_an_error(
    bare: Callable[..., tuple[Any, Any]], error: BaseException
) -> None:
    model, tokenizer = in_training("qwen3", bare)
    progress = Broken(error)
    progress.model = model
    with left_as_found(model, tokenizer), pytest.raises(type(error)):
        ranks(model, tokenizer, progress=progress)
    assert progress.attention == CHUNKED  # it did happen in the middle


@pytest.mark.slow
def test_training_goes_on_to_the_bit_as_if_nothing_had_been_scored(
    bare: Callable[..., tuple[Any, Any]],
) -> None:
    def train(scoring: bool) -> list[torch.Tensor]:
        model, tokenizer = bare()
        model = with_lora(model, dropout=0.3)
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
        model.train()
        torch.manual_seed(0)
        ids = torch.randint(0, 400, (4, 3, 20))
        for batch in ids:
            loss = model(input_ids=batch, labels=batch).loss
            if scoring:  # between the forward and the backward pass
                ranks(model, tokenizer, limit=6)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        return [p.detach() for p in model.parameters()]

    assert same(train(scoring=False), train(scoring=True))


def test_the_callers_autocast_does_not_change_losses(bare: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = bare()
    with torch.autocast("cpu", torch.bfloat16):
        inside = ranks(model, tokenizer)
        assert torch.is_autocast_enabled("cpu")
    assert losses(inside) == losses(ranks(model, tokenizer))


@pytest.mark.slow
def test_a_forward_that_accelerate_has_put_its_autocast_over_is_taken(
    bare: Callable[..., tuple[Any, Any]],
) -> None:
    model, tokenizer = bare()
    expected = losses(ranks(model, tokenizer))
    model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)
    assert losses(ranks(model, tokenizer)) == expected


@pytest.mark.slow
def test_a_compiled_model_is_scored_as_what_is_inside(bare: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = bare()
    assert losses(ranks(torch.compile(model), tokenizer)) == losses(ranks(model, tokenizer))


@pytest.mark.slow
def test_weights_beside_lora_count_and_switched_off_adapters_do_not(
    bare: Callable[..., tuple[Any, Any]],
) -> None:
    plain, tokenizer = bare()
    model = with_lora(bare()[0], modules_to_save=["lm_head"], ensure_weight_tying=True)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(1.5)
    head = ranks(model, tokenizer)
    assert losses(head) != pytest.approx(losses(ranks(with_lora(bare()[0]), tokenizer)), rel=1e-2)
    with model.disable_adapter():
        assert losses(ranks(model, tokenizer)) == pytest.approx(losses(ranks(plain, tokenizer)), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "close"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_models_in_16_bits_give_nearly_the_same_losses(
    bare: Callable[..., tuple[Any, Any]], dtype: torch.dtype, close: float
) -> None:
    model, tokenizer = bare(dtype=dtype)
    model = with_lora(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # float16 may have to do without packs
        found = score_prompts(model, tokenizer, TASK.train, PROMPTS, suffix=SUFFIX, race=False)
    exact = ranks(with_lora(bare()[0]), tokenizer, race=False)
    assert losses(found) == pytest.approx(losses(exact), abs=close)
    assert losses(found) != losses(exact)


def test_a_model_that_does_not_take_packs_is_scored_all_the_same(
    bare: Callable[..., tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = bare()
    expected = losses(ranks(model, tokenizer))
    monkeypatch.setattr("sapo_lite.model.backbone.sees_everything", lambda *_: False)
    with pytest.warns(UserWarning, match="using padded batches, which are slower") as caught:
        found = score_prompts(model, tokenizer, TASK.train, PROMPTS, suffix=SUFFIX)
    assert losses(found) == pytest.approx(expected, rel=1e-5)
    assert found.notices == (str(caught[0].message),)
    assert caught[0].filename == __file__


@pytest.mark.slow
def test_another_attention_implementation_is_kept(bare: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = bare(attn_implementation="eager")
    with left_as_found(model, tokenizer):
        found = ranks(model, tokenizer)
    assert model.config._attn_implementation == "eager"
    assert losses(found) == pytest.approx(losses(ranks(*bare())), rel=1e-5)


# --- lengths


def test_over_long_inputs_are_cut_by_one_budget_and_told_of(bare: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = bare()
    rows = [*TASK.train[:5], Example("love " * 600, "positive")]
    with pytest.warns(UserWarning, match="were cut") as caught:
        found = score_prompts(model, tokenizer, rows, PROMPTS, suffix=SUFFIX, race=False)
    expected_notice = (
        "1 of 6 inputs were cut at their end: with prompt and answer they are longer than 512 tokens"
    )
    assert [str(warning.message) for warning in caught] == [expected_notice]
    assert found.notices == (expected_notice,)
    backbone = load(Path(model.name_or_path))
    backbone.chat.max_source, backbone.chat.max_answer = 511, 0  # less the end of the turn
    task = backbone.chat.fit(replace(TASK, train=tuple(rows)), PROMPTS)
    scores = score(backbone, task, CANDIDATES, examples=6)
    assert losses(found) == pytest.approx({s.index: s.loss for s in scores}, rel=1e-6)
    longest = max(len(backbone.chat.encode_prompts(task, p, [task.train[5].input])[0]) for p in PROMPTS)
    assert 500 < longest <= 512


@pytest.mark.slow
def test_the_budget_can_be_set_and_is_the_shortest_that_anyone_names(
    bare: Callable[..., tuple[Any, Any]],
) -> None:
    model, tokenizer = bare()
    for limited, options in (("max_tokens", {"max_tokens": 90}), ("tokenizer", {}), ("unsloth", {})):
        tokenizer.model_max_length = 90 if limited == "tokenizer" else 10**30
        if limited == "unsloth":
            model.max_seq_length = 90
        with pytest.warns(UserWarning, match="longer than 90 tokens"):
            score_prompts(model, tokenizer, TASK.train, PROMPTS, suffix=SUFFIX, **options)


def test_a_prompt_that_leaves_no_room_is_an_error(bare: Callable[..., tuple[Any, Any]]) -> None:
    with pytest.raises(RenderError) as caught:
        ranks(*bare(), max_tokens=60)
    assert str(caught.value) == (
        "example 1: expected room for its input, found none: prompt #1, suffix and answer are 63 tokens, "
        "the limit is 60. Shorten the prompt or the answer."
    )


def test_examples_sorted_by_answer_are_told_of(bare: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = bare()
    rows = [("x", "yes")] * 30 + [("y", "no")] * 20 + [("z", "maybe")]
    with pytest.warns(UserWarning, match="shuffle") as caught:
        found = score_prompts(model, tokenizer, rows, PROMPTS[:2], limit=20)
    assert [str(warning.message) for warning in caught] == [
        'the first 20 of 51 examples have no answer "no", which 20 later ones have: shuffle the examples, '
        "or use more of them"
    ]
    assert found.notices == (str(caught[0].message),)


# --- errors


@pytest.mark.parametrize(
    ("examples", "prompts", "options", "message"),
    [
        ([], PROMPTS, {}, "expected at least one example, found none"),
        (TASK.train, [], {}, "expected at least one prompt, found none"),
        (TASK.train, "Is it?", {}, 'expected prompts as a list of texts, found "Is it?"'),
        (TASK.train, ["a", 1], {}, 'expected prompts as a list of texts, found ["a", 1]'),
        (TASK.train, ["a", "b", "a"], {}, 'expected different prompts, found "a" as 0 and 2'),
        (
            TASK.train,
            PROMPTS,
            {"language": "de"},
            'expected language "en" or "zh", and a limit above 0; found de, 250',
        ),
    ],
)
def test_what_is_wrong_with_the_arguments_is_one_sentence(
    bare: Callable[..., tuple[Any, Any]], examples: Any, prompts: Any, options: Any, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        score_prompts(*bare(), examples, prompts, **options)
    assert str(caught.value) == message


def test_a_tokenizer_without_chat_template_is_an_error(bare: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = bare()
    tokenizer.chat_template = None
    with pytest.raises(RenderError, match=r"set tokenizer\.chat_template to the one that you train with"):
        ranks(model, tokenizer)


SHAPE = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "initializer_range": 0.15,
    "pad_token_id": 0,
}


def family(name: str, **settings: Any) -> Any:
    torch.manual_seed(7)
    config = transformers.AutoConfig.for_model(name, **SHAPE, **settings)
    return AutoModelForCausalLM.from_config(config).eval()


def test_virtual_tokens_are_refused(bare: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = bare()
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    with pytest.raises(BackboneError) as caught:
        ranks(peft.get_peft_model(model, config), tokenizer)
    assert str(caught.value) == (
        "Qwen3ForCausalLM cannot be scored: expected the logits of its own forward pass, found others "
        "(adapters that add virtual tokens or act on a part of the input alone are not supported)"
    )


@pytest.mark.parametrize("words", [1, 60])
def test_an_adapter_that_acts_on_a_part_of_the_input_is_refused_however_long_it_is(
    bare: Callable[..., tuple[Any, Any]], words: int
) -> None:
    model, tokenizer = bare()
    opened = tokenizer("<|im_start|>assistant\n", add_special_tokens=False).input_ids
    model = with_lora(model, alora_invocation_tokens=opened)
    rows = [("joy " * words, "positive"), ("again " * words, "negative")]
    with left_as_found(model, tokenizer), pytest.raises(BackboneError, match="act on a part of the input"):
        score_prompts(model, tokenizer, rows, PROMPTS)


def test_what_is_no_causal_language_model_is_refused(bare: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = bare()
    expected = "expected a causal language model of transformers or PEFT, found "
    with pytest.raises(BackboneError) as caught:
        ranks(model.model, tokenizer)
    assert str(caught.value) == expected + "Qwen3Model."
    with pytest.raises(BackboneError) as caught:
        ranks(torch.nn.DataParallel(model), tokenizer)
    hint = " Unwrap it first, as by accelerator.unwrap_model(model)."
    assert str(caught.value) == expected + "DataParallel." + hint
    with pytest.raises(BackboneError, match=r"on the CPU or on CUDA, found meta\. Move it first"):
        ranks(copy.deepcopy(model).to("meta"), tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "mistral", "gemma3_text", "qwen3_moe", "granite"])
def test_models_of_other_families_give_their_own_losses(name: str) -> None:
    settings = {
        "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4},
        "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64},
        "mistral": {"sliding_window": 4096},
        "granite": {"logits_scaling": 8.0},
    }
    if name == "gpt2":
        config = transformers.GPT2Config(vocab_size=512, initializer_range=0.15, **settings[name])
        torch.manual_seed(7)
        model = AutoModelForCausalLM.from_config(config).eval()
    else:
        model = family(name, **settings.get(name, {}))
    tokenizer = qwen3_tokenizer()
    backbone = load_chat(tokenizer, replace(TASK, train=TASK.train[:10]))
    found = ranks(model, tokenizer, race=False, limit=10)
    for row in found.rows:
        rows = backbone(row.prompt)
        total = sum(own_nll(model, ids, start) for ids, start in rows)
        tokens = sum(len(ids) - start for ids, start in rows)
        assert row.loss == pytest.approx(total / tokens, rel=1e-5)


def uneven(short: int, longest: int) -> list[Example]:
    """Four examples of a word or two, then some of up to `longest` words."""
    rng = random.Random(1)
    lengths = [rng.randint(1, 2) if n < 4 else rng.randint(short, longest) for n in range(14)]
    return [Example(" ".join(rng.choices(["film", "joy", "again"], k=length)), "no") for length in lengths]


def with_scaled_positions() -> Any:
    """Phi-3 with LongRoPE: what a row's positions are depends on whether its batch has one beyond 128."""
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 8,
        "long_factor": [4.0] * 8,
        "original_max_position_embeddings": 128,
    }
    shape = {**SHAPE, "max_position_embeddings": 512, "num_key_value_heads": 2}
    torch.manual_seed(7)
    config = transformers.Phi3Config(**shape, original_max_position_embeddings=128, rope_parameters=rope)
    return AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize(
    ("make", "notice"),
    [
        (with_a_vision_tower, "this model's attention does not reach over whole rows: "),
        (
            with_scaled_positions,
            "with this model, a row's loss changes with the rows beside it (its positions ",
        ),
    ],
)
def test_faults_that_only_long_rows_show_are_found_where_the_first_rows_are_short(
    make: Callable[[], Any], notice: str
) -> None:
    model, tokenizer = make().eval(), qwen3_tokenizer()
    examples = uneven(20, 100)
    chat = load_chat(tokenizer, replace(TASK, train=tuple(examples), suffix=""))
    with pytest.warns(UserWarning, match="slower") as caught:
        found = score_prompts(model, tokenizer, examples, PROMPTS[:2], race=False)
    assert [str(warning.message)[: len(notice)] for warning in caught] == [notice]
    for row in found.rows:
        rows = chat(row.prompt)
        total = sum(own_nll(model, ids, start) for ids, start in rows)
        assert row.loss == pytest.approx(total / sum(len(ids) - start for ids, start in rows), rel=1e-5)


def test_rows_that_are_all_longer_are_read_together() -> None:
    model, tokenizer = with_scaled_positions().eval(), qwen3_tokenizer()
    examples = [example for example in uneven(60, 100) if len(example.input.split()) >= 60]
    long = "Say yes or no. " * 20
    found = score_prompts(model, tokenizer, examples, [long, long + "Please."], race=False)
    assert found.notices == ()


def load_chat(tokenizer: Any, task: Task) -> Callable[[str], list[tuple[tuple[int, ...], int]]]:
    """From a prompt to the token ids of the task's rows, and where their answers start."""
    chat = ChatFormat(tokenizer, 512, 32)

    def rows(prompt: str) -> list[tuple[tuple[int, ...], int]]:
        given = [TrainingRow(prompt, e.input, e.answer) for e in task.train]
        return [(row.ids, row.answer_start) for row in chat.encode(task, given)]

    return rows


def own_nll(model: Any, ids: tuple[int, ...], start: int) -> float:
    """Summed NLL of an answer by the model's own loss, which is a mean."""
    labels = torch.tensor([[-100] * start + list(ids[start:])])
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), labels=labels).loss.item() * (len(ids) - start)


# --- what is shown


def made_up() -> Leaderboard:
    """Three prompts: one wins, one leaves the race after two of four examples, which are the easier ones."""
    texts = ["Decide whether it is good.", "Is it [good]?\nSay so. " + "And why? " * 8, "Good or bad?"]
    pool = [Candidate(i, text, "file") for i, text in enumerate(texts)]
    scores: list[CandidateLoss] = [
        candidate_score(0, [2.0, 2.0, 2.6, 2.6], [2, 2, 2, 2]),
        candidate_score(1, [1.0, 1.2, 1.6, 1.8], [2, 2, 2, 2]),
        candidate_score(2, [2.2, 2.2], [2, 2], total=4),
    ]
    return board(pool, scores, None, ["a notice"])


def test_the_table_is_readable_at_a_glance() -> None:
    assert [line.rstrip() for line in repr(made_up()).splitlines()] == [
        "3 prompts by answer loss, in nats per token",
        "rank  prompt     loss  to original  examples  text",
        "   1      #1   0.7000      -0.4500         4  "
        "Is it [good]? Say so. And why? And why? And why? And why? And w…",
        "   2      #0   1.1500                      4  (original) Decide whether it is good.",
        "   3      #2  ~1.2500      +0.1000    2 of 4  Good or bad?",
        "n of N examples, ~ losses estimated: the race was clear by then. --all (race=False) scores all.",
        "",
        "best: #1",
        "Is it [good]?",
        "Say so. And why? And why? And why? And why? And why? And why? And why? And why?",
    ]


def test_json_holds_everything() -> None:
    found = made_up()
    assert found.to_json() == {
        "best": 1,
        "prompts": [
            {
                "rank": row.rank,
                "index": index,
                "prompt": row.prompt,
                "loss": pytest.approx(loss),
                "comparable_loss": pytest.approx(comparable),
                "difference_to_original": difference if difference is None else pytest.approx(difference),
                "partial": index == 2,
                "examples_scored": 2 if index == 2 else 4,
                "examples": 4,
            }
            for row, index, loss, comparable, difference in zip(
                found.rows,
                (1, 0, 2),
                (0.7, 1.15, 1.1),
                (0.7, 1.15, 1.25),
                (-0.45, None, 0.1),
                strict=True,
            )
        ],
        "certainty": None,
        "statement": None,
        "notices": ["a notice"],
    }


@pytest.mark.slow
def test_progress_is_shown_where_asked_for_and_the_final_table_is_the_boards_own(
    bare: Callable[..., tuple[Any, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    model, tokenizer = bare()
    capsys.readouterr()
    ranks(model, tokenizer, race=False)
    assert capsys.readouterr() == ("", "")
    ranks(model, tokenizer, race=False, progress=PlainDisplay(Console(width=100)))
    shown = capsys.readouterr().out
    assert "scoring: 80/160 examples" in shown
    assert "candidates scored" not in shown


@pytest.mark.slow
def test_importing_the_package_is_light() -> None:
    program = (
        "import sys, sapo_lite; assert 'torch' not in sys.modules; from sapo_lite import score_prompts; "
        "assert 'torch' in sys.modules; print(sapo_lite.Leaderboard, hasattr(sapo_lite, 'nothing'))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "<class 'sapo_lite.leaderboard.board.Leaderboard'> False\n", done.stderr


# --- Unsloth's CUDA models, as far as they can be tested without CUDA


def test_a_model_with_unsloths_forward_is_recognised_by_its_class(
    bare: Callable[..., tuple[Any, Any]],
) -> None:
    model, _ = bare()
    assert not _runs_unsloth(model)

    def forward(self: object) -> None: ...

    forward.__module__ = "unsloth.models.llama"
    assert _runs_unsloth(type("Qwen3ForCausalLM", (), {"forward": forward})())


def test_unsloth_still_puts_its_forward_into_the_classes() -> None:
    spec = importlib.util.find_spec("unsloth")  # does not import it
    if spec is None or spec.origin is None:
        pytest.skip("Unsloth is not installed")
    models = Path(spec.origin).parent / "models"
    for name in ("llama", "qwen2", "qwen3", "qwen3_moe", "gemma", "gemma2", "granite", "cohere"):
        assert "ForCausalLM.forward = CausalLM_fast_forward(" in (models / f"{name}.py").read_text(), name
    assert (
        "MistralForCausalLM.forward = MistralForCausalLM_fast_forward" in (models / "mistral.py").read_text()
    )
