"""What docs/models.md says of architectures, shown on tiny random models of each.

Losses of packs and padded batches, and answers, are those of plain transformers, one row at a time and
without padding; an adapter that was trained here is the same in plain PEFT.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM

from architectures import ARCHITECTURES, build, save
from sapo_lite.errors import BackboneError, TrainingError
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import padded
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.decoding import check_generation
from sapo_lite.model.generation import generate, stop_tokens
from sapo_lite.model.head import is_projection
from sapo_lite.model.load import load_backbone
from sapo_lite.model.loss import answer_nll, token_nll
from sapo_lite.model.selfcheck import (
    check_batches,
    check_packs,
    read_rows_alone,
    require_plain_logits,
)
from sapo_lite.model.shape import shape_of
from sapo_lite.model.targets import choose_targets
from sapo_lite.recipe import AdapterConfig, ModelConfig, TrainingConfig
from sapo_lite.types import TrainingRow, TrainingSet
from tiny import make_task, plain_nll, row_nll

ROOT = Path(__file__).parents[2]
TASK = make_task(4)
# Inputs that are shorter and longer than the windows of 64 and the positions of 128 of some models.
INPUTS = ["film joy", "again", *("money love even first " * n for n in (1, 8, 16))]
SCALED = {
    "gemma2", "gemma3n", "gemma4", "gemma4-vision", "granite", "granite-moe", "cohere", "cohere2",
    "minicpm3", "modernbert-decoder", "recurrent-gemma",
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What a row of the table in docs/models.md says of the architectures that it names."""

    score: str
    run: str
    packs: str
    targets: str


def table() -> dict[str, Said]:
    """By name in the tests."""
    text = (ROOT / "docs/models.md").read_text(encoding="utf-8").partition("## Architectures")[2]
    text = text.partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "| `" in line
    ]
    return {name: Said(*others) for _, names, *others in rows for name in names.split("`")[1::2]}


SAID = table()


@pytest.fixture(autouse=True)
def quiet(quick_collections: None) -> Iterator[None]:
    transformers.utils.logging.disable_progress_bar()
    yield
    transformers.utils.logging.enable_progress_bar()


def load(folder: Path) -> Backbone:
    return load_backbone(
        ModelConfig(
            name=str(folder),
            quantization="none",
            dtype="float32",
            loader="transformers",
            max_source_tokens=192,
            max_answer_tokens=24,
        )
    )


def encoded(backbone: Backbone, inputs: Sequence[str] = INPUTS) -> list[EncodedRow]:
    return backbone.chat.encode(TASK, [TrainingRow(TASK.instruction, text, "positive") for text in inputs])


def checked(backbone: Backbone, rows: Sequence[EncodedRow]) -> None:
    """Choose packs, padded batches or single rows, as the program does before it scores."""
    require_plain_logits(backbone, rows)
    if check_batches(backbone, rows):
        read_rows_alone(backbone)
    check_packs(backbone, rows, gradients=False)


def attach(backbone: Backbone, **settings: Any) -> BlockAdapter:
    config = AdapterConfig(rank=4, alpha=16, dropout=0.0, **settings)
    adapter = METHODS["olora"].build(backbone, config, tasks=2, checkpointing=False)
    adapter.open_block(0, seed=0)
    return adapter


def learn(backbone: Backbone, adapter: BlockAdapter, folder: Path) -> None:
    """Two steps on the open block."""
    rows = [TrainingRow(TASK.instruction, e.input, e.answer) for e in TASK.train]
    config = TrainingConfig(
        epochs=2, learning_rate=1e-2, batch_size=4, micro_batch_size=4, gradient_checkpointing=False
    )
    train(backbone, adapter, [TrainingSet(TASK, rows)], config, checkpoints=folder / "checkpoints", seed=0)


def assert_losses(backbone: Backbone, model: Any, inputs: Sequence[str] = INPUTS) -> None:
    """Losses of the backbone, long rows first and last, are those of the model by plain forward passes."""
    rows = encoded(backbone, inputs)
    expected = [plain_nll(model, row) for row in rows]
    assert answer_nll(backbone, rows)[0] == pytest.approx(expected, rel=2e-6)
    assert answer_nll(backbone, rows[::-1])[0] == pytest.approx(expected[::-1], rel=2e-6)


def one_by_one(backbone: Backbone, prompt: Sequence[int], limit: int) -> str:
    """The greedy answer without a cache, a batch or padding."""
    ids, stop = list(prompt), stop_tokens(backbone)
    with backbone.inference():
        for _ in range(limit):
            logits = backbone.causal_lm(input_ids=torch.tensor([ids])).logits
            if (token := int(logits[0, -1].argmax())) in stop:
                break
            ids.append(token)
    return backbone.chat.decode(ids[len(prompt) :])


# --- every architecture


@pytest.mark.slow
@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_losses_training_and_answers_are_those_of_plain_transformers(name: str, tmp_path: Path) -> None:
    said = SAID[name]
    backbone = load(save(name, tmp_path))
    rows = encoded(backbone)
    adapter = attach(backbone)
    checked(backbone, rows)
    assert backbone.packs is (said.packs == "yes")
    assert (backbone.budget_share == 0) is (said.score != "yes")  # row by row
    assert adapter.model.peft_config["default"].target_modules == set(said.targets.split(", "))
    assert (backbone.unusual_targets is None) is (said.targets == "q_proj, v_proj")
    assert_losses(backbone, backbone.model)
    before = answer_nll(backbone, rows)[0]
    learn(backbone, adapter, tmp_path)
    assert max(abs(x - y) for x, y in zip(before, answer_nll(backbone, rows)[0], strict=True)) > 1e-3
    prompts = backbone.chat.encode_prompts(TASK, TASK.instruction, INPUTS[:3])
    if said.run == "no":
        with pytest.raises(BackboneError, match="cannot be run: expected a model whose cache"):
            check_generation(backbone, prompts)
    elif said.run == "yes":
        assert (check_generation(backbone, prompts) is None) is (name != "mpt")
        answers = generate(backbone, prompts, max_new_tokens=2, batch_size=3)
        assert answers == [one_by_one(backbone, prompt, 2) for prompt in prompts]
    adapter.save(tmp_path / "adapter")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert_losses(backbone, PeftModel.from_pretrained(plain, tmp_path / "adapter"), INPUTS[:3])


def test_the_table_in_the_docs_has_every_architecture_that_is_tested_and_no_other() -> None:
    assert set(ARCHITECTURES) == set(SAID)


# --- heads


@pytest.mark.parametrize("name", ["llama", *sorted(SCALED)])
def test_a_head_that_does_more_than_project_is_noticed(name: str) -> None:
    assert is_projection(build(name)) is (name not in SCALED)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("gemma2", torch.float32),
        ("gemma2", torch.bfloat16),
        ("minicpm3", torch.float32),
        ("modernbert-decoder", torch.float32),
    ],
)
def test_gradients_go_through_the_models_own_head(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    backbone = load(save(name, tmp_path))
    backbone.model.to(dtype)
    adapter = attach(backbone, target_modules="all-linear")
    torch.manual_seed(0)
    for _, b in adapter.pairs:
        b.data[:, :4] = 0.1 * torch.randn(b[:, :4].shape)
    backbone.model.eval()
    rows = encoded(backbone, INPUTS[:3])
    weights = [weight for pair in adapter.pairs for weight in pair]

    def gradient(loss: Tensor) -> Tensor:
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        return torch.cat([g.flatten().float() for g in found if g is not None])

    ours = gradient(token_nll(backbone, padded(rows, range(3))).sum())
    plain = gradient(torch.stack([row_nll(backbone.model, row) for row in rows]).sum())
    assert plain.norm() > 0.1
    assert (ours - plain).norm() <= (1e-5 if dtype is torch.float32 else 0.05) * plain.norm()


def test_a_scaled_head_is_exact_in_four_bits(tmp_path: Path) -> None:
    save("granite", tmp_path)
    backbone = load_backbone(
        ModelConfig(name=str(tmp_path), dtype="float32", loader="transformers", max_source_tokens=192)
    )
    rows = encoded(backbone)
    checked(backbone, rows)
    expected = [plain_nll(backbone.model, row) for row in rows]
    assert answer_nll(backbone, rows)[0] == pytest.approx(expected, rel=1e-4)


# --- target modules


def test_all_linear_layers_of_the_decoder_are_adapted_and_the_head_is_not(tmp_path: Path) -> None:
    backbone = load(save("gpt2", tmp_path))
    adapter = attach(backbone, target_modules="all-linear")
    assert adapter.model.peft_config["default"].target_modules == {"c_attn", "c_fc", "c_proj"}
    assert len(adapter.pairs) == 2 * 4
    assert backbone.unusual_targets is None


def test_a_vision_tower_gets_no_lora(tmp_path: Path) -> None:
    backbone = load(save("gemma3-vision", tmp_path))
    attach(backbone)
    adapted = [name for name, _ in backbone.model.named_parameters() if ".lora_A." in name]
    assert len(adapted) == 4
    assert all(".language_model." in name for name in adapted)


def test_layers_whose_weight_alone_is_read_and_those_of_two_outputs_are_left_out() -> None:
    assert choose_targets(build("mamba2"), "all-linear").names == ("in_proj",)
    assert "router" not in choose_targets(build("llama4"), "all-linear").names
    assert "lm_head" not in choose_targets(build("modernbert-decoder"), "all-linear").names


def test_notices_say_what_was_chosen_and_why() -> None:
    hint = "(adapter.target_modules chooses others)"
    told = {name: choose_targets(build(name), "auto").notice for name in ("gpt2", "lfm2", "qwen3")}
    assert told == {
        "gpt2": f"LoRA is on c_attn: this model has no q_proj and v_proj {hint}",
        "lfm2": f"LoRA is on in_proj, q_proj, v_proj: 1 of 2 layers have no q_proj and v_proj {hint}",
        "qwen3": None,
    }


def test_layers_of_unknown_kinds_are_an_error_that_names_them() -> None:
    model = build("gpt2")
    for block in model.transformer.h:
        block.attn.mixer = block.attn.c_attn
        del block.attn.c_attn
    with pytest.raises(TrainingError) as refused:
        choose_targets(model, "auto")
    assert str(refused.value) == (
        'This model\'s decoder has unknown layers. Set adapter.target_modules to "auto", "all-linear" or '
        "some of c_fc, c_proj, mixer."
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "targets", "method"),
    [("gpt2", "auto", "olora"), ("phi3", "auto", "olora"), ("gpt2", "all-linear", "ewc")],
)
def test_fused_and_transposed_layers_learn_and_keep_earlier_blocks(
    name: str, targets: str, method: str, tmp_path: Path
) -> None:
    backbone = load(save(name, tmp_path))
    config = AdapterConfig(rank=4, alpha=16, dropout=0.0, target_modules=targets)
    adapter = METHODS[method].build(backbone, config, tasks=2, checkpointing=False)
    adapter.open_block(0, seed=0)
    learn(backbone, adapter, tmp_path)
    adapter.open_block(1, seed=1)
    before = adapter.frozen_state()
    learn(backbone, adapter, tmp_path)
    assert all(torch.equal(x, y) for x, y in zip(before, adapter.frozen_state(), strict=True))
    own = [b[:, adapter.active] for _, b in adapter.pairs]
    assert all(bool(b.any()) for b in own)


# --- mixtures of experts


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixtral", "qwen3-moe", "gpt-oss"])
def test_a_mixture_of_experts_answers_between_two_tasks(name: str, tmp_path: Path) -> None:
    backbone = load(save(name, tmp_path))
    adapter = attach(backbone)
    prompts = backbone.chat.encode_prompts(TASK, TASK.instruction, INPUTS[:3])
    for stage in range(2):
        adapter.open_block(stage, seed=stage)
        learn(backbone, adapter, tmp_path)
        assert backbone.causal_lm.config.output_router_logits is False
        answers = generate(backbone, prompts, max_new_tokens=2, batch_size=2)
        assert answers == [one_by_one(backbone, prompt, 2) for prompt in prompts]


def test_a_mixture_of_experts_that_asks_for_router_logits_answers(tmp_path: Path) -> None:
    save("mixtral", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"output_router_logits": True}))
    backbone = load(tmp_path)
    prompts = backbone.chat.encode_prompts(TASK, TASK.instruction, INPUTS[:2])
    answers = generate(backbone, prompts, max_new_tokens=3, batch_size=2)
    assert answers == [one_by_one(backbone, prompt, 3) for prompt in prompts]


# --- packs in training


def test_rows_are_not_packed_where_the_model_has_dropout_of_its_own(tmp_path: Path) -> None:
    shapes = {}
    for name in ("gpt2", "llama"):
        backbone = load(save(name, tmp_path / name))
        adapter = attach(backbone)
        fed: list[int] = []
        embedding = backbone.causal_lm.get_input_embeddings()
        embedding.register_forward_pre_hook(lambda _, given, fed=fed: fed.append(len(given[0])))
        learn(backbone, adapter, tmp_path)
        shapes[name] = set(fed)
    assert shapes == {"gpt2": {len(TASK.train)}, "llama": {1}}  # rows of a batch


def test_a_models_own_dropout_is_read_from_its_configuration(tmp_path: Path) -> None:
    told = {name: load(save(name, tmp_path / name)).dropout for name in ("gpt2", "opt", "llama", "gpt-neox")}
    assert told == {"gpt2": "resid_pdrop 0.1", "opt": "dropout 0.1", "llama": None, "gpt-neox": None}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_shape_of_a_model_has_the_numbers_of_the_model(name: str) -> None:
    model = build(name)
    shape = shape_of(model.config, name)
    assert shape.weights == sum(weight.numel() for weight in model.parameters())
    assert all(width > 0 for width in asdict(shape.widths).values())
    targets = choose_targets(model, "auto")
    lora = LoraConfig(r=4, target_modules=list(targets.names), task_type="CAUSAL_LM", **targets.options)
    assert shape.lora(4) == get_peft_model(model, lora).get_nb_trainable_parameters()[0]
