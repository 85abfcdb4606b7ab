"""Greedy answers: those of transformers' own `generate` for each prompt alone, in batches or not."""

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from sapo_lite.learning.methods import METHODS
from sapo_lite.model import generation
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import common_prefix
from sapo_lite.model.generation import generate, generate_cached
from sapo_lite.model.generation_fused import FIRST_ROUND, generate_fused, sample_fused
from sapo_lite.model.generation_inputs import stop_tokens
from tiny import FAMILIES, adapter_config, fill_blocks, load, make_task

TASK = make_task(8)
LIMIT = 22
MAKE = Callable[..., Backbone]
families = pytest.mark.parametrize("family", FAMILIES)
quantizations = pytest.mark.parametrize("quantization", ["none", "nf4"])


def random_ids(count: int, seed: int) -> list[int]:
    """Token ids that are ordinary text to both tokenizers."""
    return random.Random(seed).choices(range(16, 480), k=count)


SHARED = random_ids(90, seed=0)
LAYOUTS = {
    "a long prefix": [SHARED + random_ids(n, seed=n) for n in (5, 9, 7, 22, 1)],
    "a prefix of one token": [[SHARED[0], 20 + n, *random_ids(20 - n, seed=n)] for n in range(5)],
    "no prefix": [[20 + n, *random_ids(10 + 3 * n, seed=n)] for n in range(5)],
    "equal prompts": [SHARED] * 5,
    "equal prompts among others": [SHARED[:60], [*SHARED[:30], 7], SHARED[:60], [*SHARED[:30], 7]],
    "prompts that begin others": [SHARED[:n] for n in (40, 90, 39, 41, 2)],
    "prompts of one token": [[SHARED[0]], [SHARED[0]], SHARED[:2], SHARED[:9]],
    "lengths far apart": [SHARED[:8] + random_ids(n, seed=n) for n in (1, 170, 3, 60, 2)],
    "a single prompt": [SHARED],
}


@pytest.fixture(scope="module")
def answering(make_backbone: MAKE) -> Callable[..., tuple[Backbone, list[list[int]]]]:
    """A backbone with LoRA, and the ids of its answers: from transformers' `generate` on each prompt
    alone, up to the stop token.

    A random model seldom says end-of-turn, so some of the tokens that it does say are made to end an
    answer, by a list in its generation config as Llama 3.1 has one.
    """
    endless: dict[tuple[str, str], list[list[int]]] = {}

    def make(family: str, quantization: str = "none") -> tuple[Backbone, list[list[int]]]:
        backbone = make_backbone(family, quantization)
        adapter = METHODS["lorainc"].build(backbone, adapter_config(), tasks=2, checkpointing=False)
        fill_blocks(adapter, 2)
        config = backbone.causal_lm.generation_config
        if (family, quantization) not in endless:
            config.eos_token_id = None
            endless[family, quantization] = plain_answers(backbone, prompts(backbone))
        answers = endless[family, quantization]
        last = {*answers[6], *answers[7]}  # these two rows find no end
        ends = [backbone.tokenizer.eos_token_id]
        for n in range(5):
            ends += [token for token in answers[n] if token not in last][3 * n :][:1]
        config.eos_token_id = ends
        return backbone, [cut(answer, ends) for answer in answers]

    return make


def plain_answers(backbone: Backbone, rows: Sequence[list[int]], limit: int = LIMIT) -> list[list[int]]:
    """What transformers generates for each prompt alone, greedily: `limit` tokens at most."""
    backbone.model.eval()
    answers = []
    for prompt in rows:
        ids = torch.tensor([prompt])
        mask = torch.ones_like(ids)
        output = backbone.model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=limit, do_sample=False, pad_token_id=0
        )
        answers.append(output[0, len(prompt) :].tolist())
    return answers


def cut(answer: list[int], ends: list[int]) -> list[int]:
    return answer[: next((n for n, token in enumerate(answer) if token in ends), None)]


def prompts(backbone: Backbone) -> list[list[int]]:
    return backbone.chat.encode_prompts(TASK, TASK.instruction, [e.input for e in TASK.test])


def spy_on_shapes(backbone: Backbone) -> list[tuple[int, int]]:
    """(rows, tokens a row) that the model is fed in each forward pass from now on."""
    shapes: list[tuple[int, int]] = []
    backbone.causal_lm.get_input_embeddings().register_forward_pre_hook(
        lambda _, inputs: shapes.append(tuple(inputs[0].shape))
    )
    return shapes


@pytest.mark.slow
@quantizations
@families
def test_answers_equal_transformers_generate_row_by_row(
    answering: MAKE, family: str, quantization: str
) -> None:
    backbone, expected = answering(family, quantization)
    lengths = [len(answer) for answer in expected]
    assert len(set(lengths)) > 3  # the premise: rows end at different times, some not at all
    assert max(lengths) == LIMIT
    texts = [backbone.chat.decode(answer) for answer in expected]
    assert len(set(texts)) > 4
    for batch_size in (3, 64):
        assert generate(backbone, prompts(backbone), max_new_tokens=LIMIT, batch_size=batch_size) == texts
        order = random.Random(batch_size).sample(range(8), 8)
        shuffled = [prompts(backbone)[i] for i in order]
        answers = generate(backbone, shuffled, max_new_tokens=LIMIT, batch_size=batch_size)
        assert answers == [texts[i] for i in order]


@families
def test_the_ids_before_the_stop_token_are_the_answer(answering: MAKE, family: str) -> None:
    backbone, expected = answering(family)
    with backbone.inference():
        assert generate_cached(backbone, prompts(backbone), LIMIT, prefix=None) == expected


def test_the_stop_tokens_end_the_generate_of_transformers(answering: MAKE) -> None:
    backbone, expected = answering("llama")
    ends = backbone.causal_lm.generation_config.eos_token_id
    assert [cut(answer, ends) for answer in plain_answers(backbone, prompts(backbone))] == expected


def test_answers_take_at_most_the_tokens_allowed(answering: MAKE) -> None:
    backbone, expected = answering("qwen3")
    with backbone.inference():
        for limit in (1, 5):
            answers = generate_cached(backbone, prompts(backbone), limit, prefix=None)
            assert answers == [answer[:limit] for answer in expected]
            assert max(len(answer) for answer in answers) == limit


@pytest.mark.slow
def test_a_learned_answer_is_generated_and_ends(
    make_backbone: MAKE, quick_collections: None, tmp_path: Path
) -> None:
    from sapo_lite.learning.trainer import train
    from sapo_lite.recipe import TrainingConfig
    from sapo_lite.types import TrainingRow, TrainingSet

    backbone = make_backbone("llama")
    modules = ("q_proj", "v_proj", "o_proj", "up_proj", "down_proj")
    lora = adapter_config(target_modules=modules)
    adapter = METHODS["lorainc"].build(backbone, lora, tasks=1, checkpointing=False)
    adapter.open_block(0, seed=0)
    rows = [TrainingRow(TASK.instruction, e.input, "not even {money}") for e in TASK.train]
    config = TrainingConfig(epochs=30, learning_rate=1e-2, batch_size=8, micro_batch_size=8)
    train(backbone, adapter, [TrainingSet(TASK, rows)], config, checkpoints=tmp_path / "checkpoints", seed=0)
    answers = generate(backbone, prompts(backbone), max_new_tokens=LIMIT, batch_size=4)
    assert answers == ["not even {money}"] * 8


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@quantizations
@families
def test_whatever_prompts_share_each_is_answered_as_it_is_alone(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch, family: str, quantization: str, layout: str
) -> None:
    backbone = make_backbone(family, quantization)
    fill_blocks(METHODS["lorainc"].build(backbone, adapter_config(), tasks=2, checkpointing=False), 2)
    config = backbone.causal_lm.generation_config
    config.eos_token_id = None
    endless = plain_answers(backbone, LAYOUTS[layout], limit=8)
    ends = [endless[0][2], endless[-1][5]]  # rows leave the batches at different times
    config.eos_token_id = ends
    expected = [cut(answer, [*ends, *stop_tokens(backbone)]) for answer in endless]
    monkeypatch.setattr(backbone.chat, "decode", list)  # the ids themselves
    for batch_size in (2, 64):
        answers = generate(backbone, LAYOUTS[layout], max_new_tokens=8, batch_size=batch_size)
        assert answers == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_all_prompts_begin_with_is_fed_once(make_backbone: MAKE, layout: str) -> None:
    backbone = make_backbone("qwen3")
    shapes = spy_on_shapes(backbone)
    backbone.causal_lm.generation_config.eos_token_id = list(range(512))
    generate(backbone, LAYOUTS[layout], max_new_tokens=LIMIT, batch_size=2)
    shared = {
        "a long prefix": 90,
        "a prefix of one token": 1,
        "equal prompts": 89,
        "equal prompts among others": 30,
        "prompts that begin others": 1,
        "lengths far apart": 8,
    }.get(layout, 0)
    lengths = sorted((len(prompt) - shared for prompt in LAYOUTS[layout]), reverse=True)
    batches = [lengths[start : start + 2] for start in range(0, len(lengths), 2)]
    assert shapes == [(1, shared)] * (shared > 0) + [(len(batch), batch[0]) for batch in batches]


@pytest.mark.slow
def test_prompts_of_a_model_with_a_sliding_window_are_answered_as_alone(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = shutil.copytree(make_backbone("qwen3").config.name, tmp_path / "sliding")
    config = json.loads((folder / "config.json").read_text())
    window = {"use_sliding_window": True, "sliding_window": 24}
    layers = {"layer_types": ["full_attention", "sliding_attention"]}
    (folder / "config.json").write_text(json.dumps({**config, **window, **layers}))
    backbone = load(folder)
    monkeypatch.setattr(backbone.chat, "decode", list)
    for layout in ("a long prefix", "lengths far apart"):
        endless = plain_answers(backbone, LAYOUTS[layout])
        assert endless != plain_answers(make_backbone("qwen3"), LAYOUTS[layout])  # the premise
        expected = [cut(answer, [*stop_tokens(backbone)]) for answer in endless]
        assert generate(backbone, LAYOUTS[layout], max_new_tokens=LIMIT, batch_size=64) == expected


@pytest.mark.parametrize(
    ("sequences", "shared"),
    [
        ([[1, 2, 3], [1, 2, 4], [1, 2, 3, 4]], 2),
        ([[1, 2], [1, 2, 3], [1, 2]], 2),
        ([(5, 6), (5, 6)], 2),
        ([[10, 1], [9, 1], [10, 1]], 0),
        ([[], [1]], 0),
        ([[1, 2]], 2),
    ],
)
def test_the_common_prefix_is_what_all_sequences_begin_with(sequences: Any, shared: int) -> None:
    assert common_prefix(sequences) == shared


def test_finished_rows_leave_the_batch(answering: MAKE) -> None:
    backbone, expected = answering("qwen3")
    # A row is fed once for each token of its answer and once for the stop token, if that fits.
    fed = [min(len(answer) + 1, LIMIT) for answer in expected]
    shapes = spy_on_shapes(backbone)
    generate(backbone, prompts(backbone), max_new_tokens=LIMIT, batch_size=64)
    (prefix_rows, _), *rest = shapes
    assert prefix_rows == 1
    assert [rows for rows, _ in rest] == [sum(rows > step for rows in fed) for step in range(max(fed))]
    assert rest[0][0] == 8
    assert len(set(rest)) > 3
    assert all(tokens == 1 for _, tokens in rest[1:])


def test_a_batch_that_is_finished_costs_nothing_more(answering: MAKE) -> None:
    backbone, _ = answering("qwen3")
    backbone.causal_lm.generation_config.eos_token_id = list(range(512))
    shapes = spy_on_shapes(backbone)
    done: list[int] = []
    answers = generate(backbone, prompts(backbone), max_new_tokens=LIMIT, batch_size=4, on_done=done.append)
    assert answers == [""] * 8
    assert [rows for rows, _ in shapes] == [1, 4, 4]  # the shared prefix and two batches
    assert done == [4, 4]


def test_batches_hold_prompts_of_like_length_longest_first(
    answering: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, _ = answering("qwen3")
    batches: list[list[int]] = []

    def spy(backbone: Backbone, chosen: list[list[int]], limit: int, prefix: Any) -> list[list[int]]:
        batches.append([len(prompt) for prompt in chosen])
        return [[] for _ in chosen]

    monkeypatch.setattr(generation, "generate_cached", spy)
    generate(backbone, prompts(backbone), max_new_tokens=LIMIT, batch_size=4)
    lengths = sorted((len(prompt) for prompt in prompts(backbone)), reverse=True)
    assert batches == [lengths[:4], lengths[4:]]


def test_no_prompts_have_no_answers(answering: MAKE) -> None:
    assert generate(answering("qwen3")[0], [], max_new_tokens=LIMIT, batch_size=4) == []


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [3, 8])
@families
def test_generating_through_the_models_own_generate_gives_the_same_answers(
    answering: MAKE, monkeypatch: pytest.MonkeyPatch, family: str, batch_size: int
) -> None:
    backbone, expected = answering(family)
    for limit in (LIMIT, FIRST_ROUND, 3):
        answers: list[list[int]] = []
        with backbone.inference():
            for start in range(0, 8, batch_size):
                answers += generate_fused(backbone, prompts(backbone)[start : start + batch_size], limit)
        assert answers == [answer[:limit] for answer in expected]
    monkeypatch.setattr(backbone, "fused", True)
    texts = [backbone.chat.decode(answer) for answer in expected]
    assert generate(backbone, prompts(backbone), max_new_tokens=LIMIT, batch_size=batch_size) == texts


def test_only_unfinished_rows_get_a_second_round(answering: MAKE, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, expected = answering("qwen3")
    long = sum(len(answer) >= FIRST_ROUND for answer in expected)
    assert 0 < long < 8
    rounds: list[tuple[int, int]] = []
    own = backbone.model.generate

    def spy(**kwargs: Any) -> Any:
        rounds.append((len(kwargs["input_ids"]), kwargs["max_new_tokens"]))
        return own(**kwargs)

    monkeypatch.setattr(backbone.model, "generate", spy)
    with backbone.inference():
        generate_fused(backbone, prompts(backbone), LIMIT)
    assert rounds == [(8, FIRST_ROUND), (long, LIMIT - FIRST_ROUND)]


@families
def test_an_answer_ends_at_the_tokenizers_the_configs_or_the_templates_end(
    make_backbone: MAKE, family: str
) -> None:
    backbone = make_backbone(family)
    names = {"qwen3": ["<|im_end|>"], "llama": ["<|eot_id|>", "<|end_of_text|>"]}[family]
    assert stop_tokens(backbone) == set(backbone.tokenizer.convert_tokens_to_ids(names))
    backbone.causal_lm.generation_config.eos_token_id = 77
    backbone.tokenizer.eos_token_id = 78
    assert stop_tokens(backbone) == {77, 78, *backbone.chat.stop_ids}
    backbone.causal_lm.generation_config.eos_token_id = None
    assert stop_tokens(backbone) == {78, *backbone.chat.stop_ids}


@pytest.mark.slow
def test_dropout_is_off_while_generating_and_the_mode_found_is_restored(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    config = adapter_config(dropout=0.5)
    fill_blocks(METHODS["lorainc"].build(backbone, config, tasks=1, checkpointing=False), 1)
    texts = [backbone.chat.decode(cut(answer, [2])) for answer in plain_answers(backbone, prompts(backbone))]
    backbone.model.train()
    assert generate(backbone, prompts(backbone), max_new_tokens=LIMIT, batch_size=4) == texts
    assert backbone.model.training


@pytest.mark.slow
@families
def test_sampled_answers_of_the_fused_path_are_those_of_our_own_generation_all_in_one_batch(
    answering: Callable[..., tuple[Backbone, list[list[int]]]], family: str
) -> None:
    # Unsloth's `generate` is transformers' with other kernels.
    backbone, _ = answering(family)
    rows = prompts(backbone)
    seeds = list(range(len(rows)))
    calls: list[tuple[int, ...]] = []
    own = backbone.model.generate

    def counted(**given: Any) -> Any:
        calls.append(tuple(given["input_ids"].shape))
        return own(**given)

    with backbone.inference(), pytest.MonkeyPatch.context() as patch:
        expected = generate_cached(backbone, rows, LIMIT, None, generation._drawn(seeds, 1.5))
        patch.setattr(backbone.model, "generate", counted)
        found = sample_fused(backbone, rows, LIMIT, generation._drawn(seeds, 1.5))
        assert [shape[0] for shape in calls] == [len(rows)]
        other = sample_fused(backbone, rows[::-1], LIMIT, generation._drawn(seeds[::-1], 1.5))
    assert found == expected == other[::-1]
    assert len({tuple(answer) for answer in found}) > 1
    with backbone.inference():
        greedy = sample_fused(backbone, rows, LIMIT, generation._greedy)
    assert greedy == generate_fused(backbone, rows, LIMIT)
