"""Answers of every architecture are those of greedy decoding one by one, whatever its cache."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import architectures
from sapo_lite import score_prompts
from sapo_lite.errors import BackboneError
from sapo_lite.learning.rewriting.rollouts import roll_out
from sapo_lite.model import decoding
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.decoding import check_generation
from sapo_lite.model.generation import generate, generate_cached, read_prefix
from sapo_lite.model.generation_inputs import stop_tokens
from sapo_lite.run import adapter as run_adapter
from sapo_lite.run import prepare
from small import UNCUT, small_run
from tiny import load

MAKE = Callable[..., Backbone]
LIMIT = 8
RECURRENT = ["qwen3.5", "qwen3-next", "lfm2", "falcon-h1", "granite-hybrid", "jamba"]
# Attention that goes by position ids or by the mask, through a window, or with a latent cache.
OTHERS = ["llama", "bloom", "falcon-alibi", "gpt2", "opt", "gemma3-window", "deepseek-v3"]
NO_CACHE = ["mamba", "mamba2", "recurrent-gemma", "rwkv"]


def ids(count: int, seed: int) -> list[int]:
    return random.Random(seed).choices(range(3, 470), k=count)


SHARED = ids(30, seed=0)
PROMPTS = [SHARED + ids(length, seed=length) for length in (1, 40, 3, 17, 9, 17, 2, 33)]


def opened(name: str, folder: Path) -> Backbone:
    """A model in whose generation config some tokens that it does say end an answer."""
    backbone = load(architectures.save(name, folder))
    endless = one_by_one(backbone, PROMPTS[:4])
    ends = {token for place, answer in enumerate(endless) for token in answer[place : place + 1]}
    backbone.causal_lm.generation_config.eos_token_id = [2, *sorted(ends)]
    return backbone


@torch.no_grad()
def one_by_one(backbone: Backbone, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Greedy answers of plain forward passes: no cache, no other row."""
    answers = []
    for prompt in prompts:
        answer: list[int] = []
        while len(answer) < LIMIT:
            row = torch.tensor([[*prompt, *answer]])
            token = int(backbone.causal_lm(input_ids=row, use_cache=False).logits[0, -1].argmax())
            if token in stop_tokens(backbone):
                break
            answer.append(token)
        answers.append(answer)
    return answers


def answered(backbone: Backbone, batch_size: int) -> list[list[int]]:
    backbone.chat.decode = list  # type: ignore[method-assign,assignment]  # the ids themselves
    return generate(backbone, PROMPTS, max_new_tokens=LIMIT, batch_size=batch_size)  # type: ignore[return-value]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RECURRENT, *OTHERS])
def test_answers_are_those_of_greedy_decoding_one_by_one(name: str, tmp_path: Path) -> None:
    backbone = opened(name, tmp_path)
    assert check_generation(backbone, PROMPTS) is None
    expected = one_by_one(backbone, PROMPTS)
    assert len(set(map(len, expected))) > 1  # the premise: rows leave the batch at different times
    assert answered(backbone, 5) == expected
    assert backbone.decoding == "prefix"
    with backbone.inference():
        # A recurrent state would take in the padding between a prefix and the rest of a prompt.
        assert (read_prefix(backbone, PROMPTS) is None) == (name in (*RECURRENT, "gemma3-window"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen3.5", "lfm2", "falcon-h1", "llama"])
def test_copies_of_an_answer_are_that_answer(name: str, tmp_path: Path) -> None:
    backbone = opened(name, tmp_path)
    with backbone.inference():
        answers = generate_cached(backbone, PROMPTS, LIMIT, read_prefix(backbone, PROMPTS), copies=3)
    assert answers == [answer for answer in one_by_one(backbone, PROMPTS) for _ in range(3)]


def test_padding_goes_before_the_shared_beginning_where_attention_counts_places(tmp_path: Path) -> None:
    backbone = opened("mpt", tmp_path)
    expected = one_by_one(backbone, PROMPTS)
    assert answered(backbone, 8) != expected  # the premise
    notice = check_generation(backbone, PROMPTS)
    assert str(notice).startswith("this model does not take padding after a shared prefix (logits differ by ")
    assert backbone.decoding == "padded"
    assert answered(backbone, 8) == expected
    assert check_generation(backbone, PROMPTS) is None  # it is said once


def look_at_other_rows(backbone: Backbone) -> None:
    """Make every row's states depend on the number of rows."""
    forward = backbone.decoder.forward

    def scaled(**given: Any) -> Any:
        output = forward(**given)
        output.last_hidden_state[..., ::2] *= len(given["input_ids"])
        return output

    backbone.decoder.forward = scaled


def test_prompts_are_answered_one_by_one_where_they_change_each_other(tmp_path: Path) -> None:
    backbone = opened("llama", tmp_path)
    expected = one_by_one(backbone, PROMPTS)
    look_at_other_rows(backbone)
    assert answered(backbone, 8) != expected  # the premise
    notice = check_generation(backbone, PROMPTS)
    assert str(notice).startswith("this model answers a prompt differently beside other prompts (")
    assert backbone.decoding == "alone"
    assert answered(backbone, 8) == expected


def test_rollouts_of_prompts_one_by_one_keep_their_order(tmp_path: Path) -> None:
    backbone = opened("llama", tmp_path)
    settings: dict[str, Any] = {"temperature": 1e-4, "batch_size": 8}
    together = roll_out(backbone, PROMPTS, 2, draws=random.Random(0), **settings)
    backbone.decoding = "alone"
    assert roll_out(backbone, PROMPTS, 2, draws=random.Random(0), **settings) == together


@pytest.mark.slow
@pytest.mark.parametrize("name", NO_CACHE)
def test_a_model_without_a_usable_cache_is_refused_for_a_run_alone(name: str, tmp_path: Path) -> None:
    backbone = opened(name, tmp_path)
    with pytest.raises(BackboneError) as refusal:
        check_generation(backbone, PROMPTS)
    message = str(refusal.value)
    assert message.startswith(
        f"{type(backbone.causal_lm).__name__} cannot be run: expected a model whose cache"
    )
    assert message.endswith("`sapo-lite score` generates nothing, and may accept this one.")
    assert "\n" not in message
    scored = score_prompts(
        backbone.model, backbone.tokenizer, [("film", "yes"), ("joy", "no")], ["Say.", "So?"]
    )
    assert len(scored.rows) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen3.5", "mpt"])
def test_a_run_goes_through_with_any_cache_and_rewrites(name: str, tmp_path: Path) -> None:
    folder = architectures.save(name, tmp_path / "model")
    targets = "['Wqkv']" if name == "mpt" else "['q_proj','v_proj']"
    settings = [f"model.name={folder}", "training.epochs=1", f"adapter.target_modules={targets}"]
    rewriting = [
        UNCUT,
        "rewrite.enabled=true",
        "rewrite.policy=rl",
        "rewrite.prompts=4",
        "rewrite.rollouts=2",
    ]
    length = ["model.max_source_tokens=480"]  # a request to rewrite is long
    results, shown = small_run(tmp_path / "run", *settings, *rewriting, *length)
    assert ("does not take padding after a shared prefix" in shown) == (name == "mpt")
    assert len(results.matrices["original"]["rougeL"]) == 3  # untrained, and after each task


def test_a_run_of_a_model_without_a_cache_ends_before_anything_is_scored(tmp_path: Path) -> None:
    folder = architectures.save("mamba", tmp_path / "model")
    with pytest.raises(BackboneError, match="MambaForCausalLM cannot be run"):
        small_run(tmp_path / "run", f"model.name={folder}")
    assert not list((tmp_path / "run").glob("0*"))


@pytest.mark.slow
def test_a_run_tries_the_shortest_and_the_longest_prompt(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried: list[list[int]] = []
    own = decoding.check_generation

    def spy(backbone: Backbone, prompts: Sequence[Sequence[int]]) -> str | None:
        tried.append(sorted(map(len, prompts)))
        return own(backbone, prompts)

    monkeypatch.setattr(prepare, "check_generation", spy)
    monkeypatch.setattr(run_adapter, "check_generation", spy)
    _, shown = small_run(tmp_path / "run", "training.epochs=1")
    at_load, of_rows = tried
    assert at_load[0] < at_load[-1]
    assert of_rows[0] < of_rows[-1]
    assert "shared prefix" not in shown


def test_the_check_of_generation_takes_a_few_forward_passes(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    shapes: list[tuple[int, ...]] = []
    embeddings = backbone.causal_lm.get_input_embeddings()
    hook = embeddings.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape)))
    backbone.model.train()
    assert check_generation(backbone, PROMPTS) is None
    hook.remove()
    assert backbone.model.training
    # The shared beginning, both prompts behind it, answers that leave one after another; then each alone.
    assert shapes == [(1, 30), (2, 40), (3, 1), (2, 1), (1, 33), (1, 31), (1, 72), (1, 71)]


def test_too_little_memory_proves_nothing_of_generation(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")

    def full(**_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(backbone.causal_lm, "forward", full)
    assert check_generation(backbone, PROMPTS) is None
    assert backbone.decoding == "prefix"
