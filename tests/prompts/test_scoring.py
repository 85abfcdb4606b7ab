"""Candidate losses: equal to a plain forward on each example alone, whatever the batch and the order."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from sapo_lite.data.tasks import load_sequence
from sapo_lite.lab.wordings import wordings
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import Group, packed, padded, shared_prefix
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.load import load_backbone
from sapo_lite.model.loss import answer_nll
from sapo_lite.prompts.losses import CandidateLoss, highest, lowest
from sapo_lite.prompts.racing import Round
from sapo_lite.prompts.scoring import race_scores, score
from sapo_lite.recipe import ModelConfig, SequenceConfig
from sapo_lite.types import Candidate, Task, TrainingRow
from tiny import (
    FAMILIES,
    adapter_config,
    candidate_score,
    fill_blocks,
    make_task,
    plain_model,
    plain_nll,
    with_inputs,
)

TASK = make_task(8)
CANDIDATES = [
    Candidate(0, TASK.instruction, "original"),
    Candidate(1, "Is the text happy? Say positive or negative.", "file"),
    Candidate(2, "判断情感 {0}", "file"),
    Candidate(3, "", "file"),
]


def learned(backbone: Backbone, blocks: int = 3, dropout: float = 0.0) -> BlockAdapter:
    """A backbone that has learned `blocks` of four tasks."""
    config = adapter_config(dropout=dropout)
    adapter = METHODS["lorainc"].build(backbone, config, tasks=4, checkpointing=False)
    fill_blocks(adapter, blocks)
    return adapter


def encoded(backbone: Backbone, candidate: Candidate, task: Task = TASK) -> list[EncodedRow]:
    return backbone.chat.encode(task, [TrainingRow(candidate.text, e.input, e.answer) for e in task.train])


# --- exactness


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_equal_plain_transformers_and_peft_on_each_example_alone(
    make_backbone: Callable[..., Backbone], tmp_path: Path, family: str
) -> None:
    backbone = make_backbone(family)
    bare = score(backbone, TASK, CANDIDATES, examples=8)
    learned(backbone).save(tmp_path / "adapter")
    scores = score(backbone, TASK, CANDIDATES, examples=8)

    base = plain_model(backbone)
    for candidate, result in zip(CANDIDATES, bare, strict=True):
        expected = [plain_nll(base, row) for row in encoded(backbone, candidate)]
        assert result.nll_sum == pytest.approx(expected, rel=1e-5)
    model = PeftModel.from_pretrained(base, tmp_path / "adapter")
    for candidate, result in zip(CANDIDATES, scores, strict=True):
        rows = encoded(backbone, candidate)
        assert result.nll_sum == pytest.approx([plain_nll(model, row) for row in rows], rel=1e-5)
        assert result.tokens == tuple(len(row.ids) - row.answer_start for row in rows)
    # LoRA has its say, and candidates and examples differ by far more than the tolerance.
    assert bare[0].nll_sum != pytest.approx(scores[0].nll_sum, rel=1e-2)
    assert len({round(s.token_mean, 3) for s in scores}) == len(CANDIDATES)


@pytest.mark.parametrize("family", FAMILIES)
def test_at_a_divided_scale_losses_are_those_of_an_adapter_whose_alpha_did_not_grow_with_its_rank(
    make_backbone: Callable[..., Backbone], tmp_path: Path, family: str
) -> None:
    # The released export of two blocks of rank 4 and alpha 16: rank 8, and alpha 16 still.
    backbone = make_backbone(family)
    adapter = METHODS["lorainc"].build(backbone, adapter_config(), tasks=2, checkpointing=False)
    fill_blocks(adapter, 2)
    before = score(backbone, TASK, CANDIDATES, examples=8)
    with adapter.scaled(1 / 2):
        scores = score(backbone, TASK, CANDIDATES, examples=8)
    assert score(backbone, TASK, CANDIDATES, examples=8) == before
    adapter.save(tmp_path / "adapter")
    file = tmp_path / "adapter/adapter_config.json"
    config = json.loads(file.read_text())
    assert (config["r"], config["lora_alpha"]) == (8, 32)
    file.write_text(json.dumps(config | {"lora_alpha": 16}))
    model = PeftModel.from_pretrained(plain_model(backbone), tmp_path / "adapter")
    for candidate, result in zip(CANDIDATES, scores, strict=True):
        expected = [plain_nll(model, row) for row in encoded(backbone, candidate)]
        assert result.nll_sum == pytest.approx(expected, rel=1e-5)
    assert scores[0].nll_sum != pytest.approx(before[0].nll_sum, rel=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_equal_a_plain_forward_in_four_bits(
    make_backbone: Callable[..., Backbone], family: str
) -> None:
    backbone = make_backbone(family, "nf4")
    learned(backbone)
    assert type(backbone.causal_lm.model.layers[0].mlp.up_proj).__name__ == "Linear4bit"
    for candidate in CANDIDATES:
        rows = encoded(backbone, candidate)
        nll_sum, _ = answer_nll(backbone, rows)
        assert nll_sum == pytest.approx([plain_nll(backbone.model, row) for row in rows], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_the_same_for_any_batch_size_and_any_order_of_examples(
    make_backbone: Callable[..., Backbone],
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    quantization: str,
    packs: bool,
) -> None:
    backbone = make_backbone(family, quantization)
    backbone.packs = packs
    learned(backbone)
    rows = encoded(backbone, CANDIDATES[0])
    alone = [plain_nll(backbone.model, row) for row in rows]
    shapes = spy_on_shapes(monkeypatch)
    for batch_tokens in (1, 150, 300, 2000):
        order = random.Random(batch_tokens).sample(range(len(rows)), len(rows))
        nll_sum, tokens = answer_nll(backbone, [rows[i] for i in order], batch_tokens)
        assert nll_sum == pytest.approx([alone[i] for i in order], rel=1e-5)
        assert tokens == tuple(len(rows[i].answer_ids) for i in order)
    # One row, some rows and all rows at a time.
    assert len(shapes) > 8 + 2 + 1
    assert shapes[:8] == [(1, n) for n in sorted(len(row.ids) - 1 for row in rows)]
    assert shapes[-1] == (pack_shape(rows) if packs else (8, max(len(row.ids) for row in rows) - 1))


def spy_on_shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of what is fed from now on."""
    shapes: list[tuple[int, ...]] = []
    forward = Backbone.answer_states

    def spy(self: Backbone, ids: torch.Tensor, *rest: torch.Tensor | None) -> torch.Tensor:
        shapes.append(tuple(ids.shape))
        return forward(self, ids, *rest)

    monkeypatch.setattr(Backbone, "answer_states", spy)
    return shapes


def pack_shape(rows: list[EncodedRow]) -> tuple[int, int]:
    prefix = shared_prefix(rows)
    return 1, prefix + sum(len(row.ids) - 1 - prefix for row in rows)


def test_a_pack_computes_the_shared_instruction_once(
    make_backbone: Callable[..., Backbone], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")
    shapes = spy_on_shapes(monkeypatch)
    score(backbone, TASK, CANDIDATES[:1], examples=8)
    rows = encoded(backbone, CANDIDATES[0])
    instruction = len(backbone.tokenizer(CANDIDATES[0].text).input_ids)
    assert sum(width for _, width in shapes) < sum(len(row.ids) for row in rows) - 6 * instruction


@pytest.mark.parametrize(
    "inputs",
    [
        ["same", "same", "same"],
        ["", "a", "ab"],
        ["\nfilm", "\n\nfilm", "film"],
        ["电影", "电", "film"],
        ["one"],
    ],
)
def test_packs_are_exact_however_much_the_rows_share(
    make_backbone: Callable[..., Backbone], inputs: list[str]
) -> None:
    backbone = make_backbone("qwen3")
    for suffix in (TASK.suffix, ""):
        task = replace(with_inputs(TASK, *inputs), suffix=suffix)
        rows = encoded(backbone, CANDIDATES[0], task)
        expected = [plain_nll(backbone.model, row) for row in rows]
        assert answer_nll(backbone, rows)[0] == pytest.approx(expected, rel=1e-5)


def test_the_first_examples_are_scored_and_each_candidate_is_told_as_it_is_finished(
    make_backbone: Callable[..., Backbone],
) -> None:
    backbone = make_backbone("qwen3")
    arrived: list[CandidateLoss] = []
    five = score(backbone, TASK, CANDIDATES, examples=5, on_score=arrived.append)
    first = score(backbone, replace(TASK, train=TASK.train[:5]), CANDIDATES, examples=100)
    assert five == first == arrived
    assert [s.index for s in five] == [0, 1, 2, 3]
    assert all(len(s.nll_sum) == len(s.tokens) == 5 for s in five)


def test_many_answer_tokens_are_projected_in_chunks_without_loss(
    make_backbone: Callable[..., Backbone], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("llama")
    rows = encoded(backbone, CANDIDATES[0])
    whole, _ = answer_nll(backbone, rows)
    widths: list[int] = []
    head = Backbone.head
    monkeypatch.setattr(Backbone, "head", lambda self, h: (widths.append(len(h)), head(self, h))[1])
    monkeypatch.setattr("sapo_lite.model.loss.HEAD_ROWS", 7)
    chunked, _ = answer_nll(backbone, rows)
    assert chunked == pytest.approx(whole, rel=1e-6)
    # The vocabulary projection is computed at answer tokens only.
    assert max(widths) == 7
    assert sum(widths) == sum(len(row.answer_ids) for row in rows)


def test_a_padded_batch_and_a_pack_spelled_out() -> None:
    # Prompts 1 2 5 and 1 2 6 8; answers 7 9 and 7.
    rows = [EncodedRow((1, 2, 5, 7, 9), 3), EncodedRow((1, 2, 6, 8, 7), 4)]
    batch = padded(rows, [0, 1])
    assert batch.ids.tolist() == [[1, 2, 5, 7], [1, 2, 6, 8]]
    assert (batch.rows.tolist(), batch.columns.tolist()) == ([0, 0, 1], [2, 3, 3])
    assert (batch.targets.tolist(), batch.owners.tolist()) == ([7, 9, 7], [0, 0, 1])
    pack = packed(rows, [Group(shared_prefix(rows), [0, 1])])
    assert pack.ids.tolist() == [[1, 2, 5, 7, 6, 8]]
    assert pack.layout is not None
    assert pack.layout.positions.tolist() == [[0, 1, 2, 3, 2, 3]]
    assert (pack.rows.tolist(), pack.columns.tolist()) == ([0, 0, 0], [2, 3, 5])
    assert (pack.targets.tolist(), pack.owners.tolist()) == ([7, 9, 7], [0, 0, 1])
    assert pack.layout.mask()[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 1, 1],
    ]


def test_the_shared_prefix_stops_short_of_the_token_that_predicts_an_answer() -> None:
    assert shared_prefix([EncodedRow((1, 2, 3, 4), 3), EncodedRow((1, 2, 3, 4), 3)]) == 2
    assert shared_prefix([EncodedRow((1, 2, 3, 4, 5), 4), EncodedRow((1, 2, 3), 2)]) == 1
    assert shared_prefix([EncodedRow((1, 2, 3), 2), EncodedRow((2, 2, 3), 2)]) == 0


# --- 21 candidates, as published


@pytest.fixture(scope="module")
def lab() -> tuple[Backbone, Task, list[Candidate]]:
    """The embedded backbone, which has learned to read, and a task of its own world with 20 wordings."""
    lengths = {"max_source_tokens": 256, "max_answer_tokens": 16}
    model = ModelConfig(name="lab", quantization="none", dtype="float32", loader="transformers", **lengths)
    (task,) = load_sequence(SequenceConfig(suite="lab", tasks=("stars",), train_examples=6, test_examples=1))
    candidates = [Candidate(0, task.instruction, "original")]
    candidates += [Candidate(n, text, "lab") for n, text in enumerate(wordings("stars", 20, 0), start=1)]
    return load_backbone(model), task, candidates


@pytest.fixture(scope="module")
def expected_sums(lab: tuple[Backbone, Task, list[Candidate]]) -> list[float]:
    backbone, task, candidates = lab
    return [sum(plain_nll(backbone.model, row) for row in encoded(backbone, c, task)) for c in candidates]


def ranks(sums: list[float]) -> list[int]:
    return sorted(range(len(sums)), key=sums.__getitem__)


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [1, 150, 10**9])
def test_of_21_candidates_the_ranks_are_those_of_plain_forwards(
    lab: tuple[Backbone, Task, list[Candidate]], expected_sums: list[float], tokens: int
) -> None:
    backbone, task, candidates = lab
    sums = [sum(answer_nll(backbone, encoded(backbone, c, task), tokens)[0]) for c in candidates]
    assert sums == pytest.approx(expected_sums, rel=1e-5)
    assert ranks(sums) == ranks(expected_sums)
    assert lowest(score(backbone, task, candidates, examples=6)).index == ranks(expected_sums)[0] > 0


# --- races


MANY = make_task(110)
RACERS = [*CANDIDATES, Candidate(4, "Say yes.", "file"), Candidate(5, "Judge the {mood}:\n", "file")]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_race_has_the_losses_and_the_winner_of_a_full_score(
    make_backbone: Callable[..., Backbone], family: str, seed: int
) -> None:
    backbone = make_backbone(family)
    arrived: list[CandidateLoss] = []
    ends: list[Round] = []
    raced = race_scores(
        backbone, MANY, RACERS, examples=110, seed=seed, on_score=arrived.append, on_round=ends.append
    )
    full = score(backbone, MANY, RACERS, examples=110)
    assert [s.index for s in raced] == [c.index for c in RACERS]
    assert lowest(raced).index == lowest(full).index
    order = max((s.examples for s in raced), key=len)
    assert len(set(order)) == len(order) == ends[-1].examples  # 110, unless one is left before that
    assert sorted(order) != list(order)
    for own, whole in zip(raced, full, strict=True):
        assert own.examples == order[: len(own.examples)]
        assert own.nll_sum == pytest.approx([whole.nll_sum[i] for i in own.examples], rel=1e-6)
        assert own.tokens == tuple(whole.tokens[i] for i in own.examples)
        assert own.partial is (len(own.examples) < 110)
        assert own.total == 110
    assert len({len(s.examples) for s in raced}) > 1
    # Progress is notified after each measurement, and last with the returned losses.
    assert {s.index: s for s in arrived} == {s.index: s for s in raced}
    assert len(arrived) == 6 + sum(len(end.left) for end in ends[:-1])
    assert [end.examples for end in ends] == [32, 64, 96, 110][: len(ends)]
    dropped = {index: end.examples for end in ends for index in end.dropped}
    assert all(len(s.examples) == dropped.get(s.index, ends[-1].examples) for s in raced)


@pytest.mark.slow
def test_a_race_is_the_same_for_the_same_seed(make_backbone: Callable[..., Backbone]) -> None:
    backbone = make_backbone("qwen3")
    first, again, other = (race_scores(backbone, MANY, RACERS, examples=70, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first[0].examples[:32] != other[0].examples[:32]
    assert max(max(s.examples) for s in first) < 70


def test_a_lone_candidate_is_scored_without_a_race(make_backbone: Callable[..., Backbone]) -> None:
    backbone = make_backbone("qwen3")
    arrived: list[CandidateLoss] = []
    raced = race_scores(backbone, TASK, CANDIDATES[1:2], examples=8, seed=0, on_score=arrived.append)
    assert raced == arrived == score(backbone, TASK, CANDIDATES[1:2], examples=8)
    assert not raced[0].partial


# --- the mode of the model


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_dropout_is_off_while_scoring_and_the_mode_found_is_restored(
    make_backbone: Callable[..., Backbone], quantization: str
) -> None:
    backbone = make_backbone("qwen3", quantization)
    learned(backbone, dropout=0.5)
    rows = encoded(backbone, CANDIDATES[0])
    reference = [plain_nll(backbone.model, row) for row in rows]
    for training in (True, False):
        backbone.model.train(training)
        assert answer_nll(backbone, rows)[0] == pytest.approx(reference, rel=1e-5)
        assert backbone.model.training is training
        dropouts = [m for m in backbone.model.modules() if isinstance(m, torch.nn.Dropout)]
        assert dropouts
        assert all(m.training is training for m in dropouts)


def test_the_mode_found_is_restored_after_an_error(make_backbone: Callable[..., Backbone]) -> None:
    backbone = make_backbone("qwen3")
    backbone.model.train()

    def fail() -> None:
        with backbone.inference():
            assert not backbone.model.training
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert backbone.model.training
    assert torch.is_grad_enabled()


# --- means and ranks


def test_the_mean_is_weighted_by_tokens() -> None:
    s = candidate_score(0, (2.0, 12.0), (1, 3))
    assert s.token_mean == (2.0 + 12.0) / (1 + 3)


def test_candidates_are_compared_by_their_token_means_not_by_means_over_examples() -> None:
    # 0: tokens (1 + 8) / (1 + 8) = 1.0, examples (1/1 + 8/8) / 2 = 1.0
    # 1: tokens (3 + 4) / (1 + 8) = 0.78, examples (3/1 + 4/8) / 2 = 1.75
    scores = [candidate_score(0, (1.0, 8.0), (1, 8)), candidate_score(1, (3.0, 4.0), (1, 8))]
    assert lowest(scores).index == 1
    assert highest(scores).index == 0


def test_ties_go_to_the_earlier_index_whatever_the_order() -> None:
    high, low = (4.0, 4.0), (1.0, 3.0)
    scores = [candidate_score(i, nll, (2, 2)) for i, nll in enumerate((high, low, low, high))]
    for order in (scores, scores[::-1]):
        assert lowest(order).index == 1
        assert highest(order).index == 0
