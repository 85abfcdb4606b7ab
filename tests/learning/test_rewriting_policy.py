"""The policy: trained with GRPO beside the learner's LoRA, and removed without a trace afterwards."""

import io
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from sapo_lite.data.tasks import load_sequence
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.rewriting import Rewriting, rewrite
from sapo_lite.learning.rewriting.lora import base_alone, policy_lora, undisturbed
from sapo_lite.learning.rewriting.policy import policy_loss, train_policy
from sapo_lite.learning.rewriting.rollouts import Rollout, roll_out
from sapo_lite.learning.rollout_counts import policy_steps
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.load import load_backbone
from sapo_lite.recipe import RewriteConfig, TrainingConfig, load_recipe
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.types import TrainingRow, TrainingSet
from tiny import FAMILIES, adapter_config, fill_blocks, make_task, plain_model

MAKE = Callable[..., Backbone]
TASK = make_task(6)
ROWS = [TrainingRow(TASK.instruction, e.input, e.answer) for e in TASK.train]
PART = TrainingSet(TASK, ROWS)
SCRATCH = Path(tempfile.gettempdir()) / "sapo-lite-tests-scratch"  # TRL makes it, and writes nothing there

pytestmark = pytest.mark.usefixtures("quick_collections")
families = pytest.mark.parametrize("family", FAMILIES)


def learned(backbone: Backbone) -> BlockAdapter:
    adapter = METHODS["lorainc"].build(backbone, adapter_config(dropout=0.1), tasks=3, checkpointing=False)
    fill_blocks(adapter, 2)
    adapter.open_block(2, seed=2)
    return adapter


def logits(model: torch.nn.Module, backbone: Backbone) -> Tensor:
    ids = backbone.chat.encode_turn("the film was a joy")
    with backbone.inference():
        found: Tensor = model(input_ids=torch.tensor([ids])).logits
    return found


def state(backbone: Backbone) -> dict[str, Any]:
    """Everything that must be as before: weights, what is trainable, what acts, and how it answers."""
    model = backbone.model
    return {
        "weights": {name: p.detach().clone() for name, p in model.named_parameters()},
        "trainable": {name: p.requires_grad for name, p in model.named_parameters()},
        "modules": [name for name, _ in model.named_modules()],
        "adapters": (list(model.peft_config), model.active_adapters),
        "forwards": [vars(m).get("forward") for m in (model, backbone.causal_lm)],
        "tags": list(backbone.causal_lm.model_tags or []),
        "training": model.training,
        "checkpointing": backbone.causal_lm.is_gradient_checkpointing,
        "input hooks": len(backbone.causal_lm.get_input_embeddings()._forward_hooks),
        "logits": logits(model, backbone),
        "random": (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()),
    }


def assert_same(one: Any, other: Any, where: str = "state") -> None:
    if isinstance(one, Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_same(one[key], other[key], f"{where}: {key}")
    elif isinstance(one, tuple | list):
        assert len(one) == len(other), where
        for n, (x, y) in enumerate(zip(one, other, strict=True)):
            assert_same(x, y, f"{where}[{n}]")
    else:
        assert one == other, where


# --- a LoRA beside the learner's


@families
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_within_the_policys_lora_the_base_answers_and_afterwards_the_learner(
    make_backbone: MAKE, family: str, quantization: str
) -> None:
    backbone = make_backbone(family, quantization)
    learned(backbone)
    before = state(backbone)
    plain = logits(plain_model(backbone), backbone)
    with undisturbed(backbone), policy_lora(backbone, rank=4, alpha=8, seed=0) as lora:
        assert torch.equal(logits(backbone.model, backbone), plain)
        assert [p for p in backbone.model.parameters() if p.requires_grad] == lora
        assert all(p.dtype is torch.float32 for p in lora)
        for p in lora:
            p.data += 0.1
        assert not torch.equal(logits(backbone.model, backbone), plain)
        with base_alone(backbone):
            assert torch.equal(logits(backbone.model, backbone), plain)
        backbone.model.train()
        backbone.model.add_model_tags(["grpo"])
        torch.rand(3), random.random(), np.random.rand()
    assert_same(state(backbone), before)


def test_the_policy_is_gone_after_an_error(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    learned(backbone)
    before = state(backbone)
    with (
        pytest.raises(KeyboardInterrupt),
        undisturbed(backbone),
        policy_lora(backbone, rank=4, alpha=8, seed=0),
    ):
        raise KeyboardInterrupt
    assert_same(state(backbone), before)


# --- GRPO


@families
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_loss_is_that_of_grpo_on_rollouts_of_the_policy_itself(
    make_backbone: MAKE, family: str, temperature: float
) -> None:
    """-advantage x probability ratio (1, with the gradient of the log-probability), mean over tokens."""
    backbone = make_backbone(family)
    learned(backbone)
    prompts = backbone.chat.encode_prompts(TASK, TASK.instruction, [row.input for row in ROWS[:2]])
    rollouts = roll_out(backbone, prompts, 2, temperature=temperature, batch_size=4, draws=random.Random(0))
    advantages = torch.tensor([0.5, -1.0, 2.0, 0.0])
    with policy_lora(backbone, rank=4, alpha=8, seed=0) as lora:
        expected, tokens = torch.zeros(()), 0
        for n, rollout in enumerate(rollouts):
            ids = torch.tensor([[*prompts[n // 2], *rollout.ids]])
            logits = backbone.model(input_ids=ids).logits[0].float() / temperature
            log = logits.log_softmax(-1)[:-1].gather(1, ids[0, 1:, None])[-len(rollout.ids) :, 0]
            expected = expected - (advantages[n] * (log - log.detach()).exp()).sum()
            tokens += len(rollout.ids)
        gradients = torch.autograd.grad(expected / tokens, lora)
        inputs = {
            **padded("prompt", [prompts[n // 2] for n in range(4)], left=True),
            **padded("completion", [rollout.ids for rollout in rollouts]),
            "advantages": advantages,
            "num_items_in_batch": torch.tensor(tokens),
        }
        found = torch.autograd.grad(policy_loss(backbone, inputs, temperature), lora)
    assert any(g.abs().max() > 1e-3 for g in gradients)
    for one, other in zip(found, gradients, strict=True):
        assert (one - other).abs().max() <= 1e-5 * max(other.abs().max(), 1e-3)


def padded(name: str, rows: Sequence[Sequence[int]], *, left: bool = False) -> dict[str, Tensor]:
    """As TRL pads: prompts on the left, completions on the right."""
    length = max(map(len, rows))
    ids, mask = torch.zeros(2, len(rows), length, dtype=torch.long)
    for n, row in enumerate(rows):
        own = slice(length - len(row), length) if left else slice(0, len(row))
        ids[n, own], mask[n, own] = torch.tensor(row), 1
    return {f"{name}_ids": ids, f"{name}_mask": mask}


def settings(**changes: Any) -> RewriteConfig:
    return RewriteConfig(
        **{"rollouts": 4, "batch_size": 2, "prompts": 6, "learning_rate": 0.1, "rank": 4, **changes}
    )


@pytest.mark.parametrize(
    ("rows", "changes", "steps"),
    [(6, {}, 3), (7, {}, 3), (1, {}, 1), (6, {"epochs": 5}, 15), (3, {"batch_size": 4}, 1)],
)
def test_a_step_has_as_many_rows_as_the_recipe_says(rows: int, changes: dict[str, int], steps: int) -> None:
    assert policy_steps(rows, settings(**changes)) == steps


def evenness(rollout: Rollout) -> float:
    return sum(i % 2 == 0 for i in rollout.ids) / len(rollout.ids)


def learn_to_say(
    backbone: Backbone, tmp_path: Path, config: RewriteConfig, rows: int = 6, **changes: Any
) -> tuple[list[float], list[Sequence[int]]]:
    """A policy rewarded for the share of its tokens that are even: mean rewards, and the rows asked for."""
    prompts = backbone.chat.encode_prompts(TASK, TASK.instruction, [row.input for row in ROWS[:rows]])
    asked: list[Sequence[int]] = []
    draws = random.Random(0)

    def roll(numbers: Sequence[int]) -> list[Rollout]:
        asked.append(numbers)
        wanted = [prompts[n] for n in numbers]
        return roll_out(backbone, wanted, config.rollouts, temperature=1.0, batch_size=8, draws=draws)

    def reward(numbers: Sequence[int], rollouts: Sequence[Rollout]) -> list[float]:
        assert len(rollouts) == len(numbers) * config.rollouts
        return [evenness(one) for one in rollouts]

    options = {"checkpointing": False, "scratch": tmp_path / "scratch", "seed": 0, **changes}
    with (
        undisturbed(backbone),
        policy_lora(backbone, rank=4, alpha=16, seed=0) as lora,
    ):
        rewards = train_policy(backbone, lora, prompts, roll, reward, config, **options)
    return rewards, asked


@pytest.mark.slow
def test_a_step_takes_the_gradient_of_all_its_rollouts_weighted_by_their_groups_advantages(
    make_backbone: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")
    learned(backbone)
    steps: list[list[Tensor]] = []
    groups: list[tuple[int, list[Rollout]]] = []
    step, real = torch.optim.AdamW.step, roll_out

    def spy(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        steps.append([p.grad.clone() for group in self.param_groups for p in group["params"]])
        return step(self, *args, **kwargs)

    def remember(*args: Any, **kwargs: Any) -> list[Rollout]:
        found = real(*args, **kwargs)
        groups.extend((n, found[n * 4 : n * 4 + 4]) for n in range(len(args[1])))
        return found

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    monkeypatch.setitem(globals(), "roll_out", remember)
    _, asked = learn_to_say(backbone, tmp_path, settings(prompts=2), rows=2)
    prompts = backbone.chat.encode_prompts(TASK, TASK.instruction, [row.input for row in ROWS])
    with policy_lora(backbone, rank=4, alpha=16, seed=0) as lora:
        loss, tokens = torch.zeros(()), 0
        for place, group in groups:
            rewards = torch.tensor([evenness(one) for one in group])
            advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-4)
            for advantage, one in zip(advantages, group, strict=True):
                ids = torch.tensor([[*prompts[asked[0][place]], *one.ids]])
                log = backbone.model(input_ids=ids).logits[0].log_softmax(-1)[:-1]
                loss = loss - advantage * log.gather(1, ids[0, 1:, None])[-len(one.ids) :].sum()
                tokens += len(one.ids)
        gradients = torch.autograd.grad(loss / tokens, lora)
    norm = torch.stack([g.norm() for g in gradients]).norm().clamp(min=1.0)  # the Trainer clips to 1
    assert len(steps) == 1
    assert any(g.abs().max() > 1e-3 for g in gradients)
    for one, other in zip(
        sorted(steps[0], key=lambda g: float(g.abs().sum())),
        sorted((g / norm for g in gradients), key=lambda g: float(g.abs().sum())),
        strict=True,
    ):
        assert (one - other).abs().max() <= 1e-4 * max(other.abs().max(), 1e-3)


@pytest.mark.slow
@families
@pytest.mark.parametrize("checkpointing", [False, True])
def test_grpo_leaves_no_trace(make_backbone: MAKE, tmp_path: Path, family: str, checkpointing: bool) -> None:
    backbone = make_backbone(family)
    learned(backbone)
    before = state(backbone)
    learn_to_say(backbone, tmp_path, settings(), checkpointing=checkpointing)
    assert_same(state(backbone), before)


@pytest.mark.slow
def test_grpo_raises_the_reward(make_backbone: MAKE, tmp_path: Path) -> None:
    backbone = make_backbone("qwen3")
    learned(backbone)
    reported: list[float] = []
    rewards, asked = learn_to_say(
        backbone, tmp_path, settings(epochs=12, rollouts=8), on_step=reported.append
    )
    assert reported == rewards
    assert len(rewards) == len(asked) == 36
    assert all(len(numbers) == 2 for numbers in asked)
    # Every epoch has every row once.
    assert all(sorted(n for numbers in asked[i : i + 3] for n in numbers) == [*range(6)] for i in (0, 3, 33))
    assert sum(rewards[-6:]) / 6 > sum(rewards[:6]) / 6 + 0.1


@pytest.mark.slow
def test_the_same_seed_trains_the_same_policy(make_backbone: MAKE, tmp_path: Path) -> None:
    backbone = make_backbone("qwen3")
    learned(backbone)
    first, _ = learn_to_say(backbone, tmp_path, settings(epochs=2))
    torch.manual_seed(77)
    random.seed(77)
    assert learn_to_say(backbone, tmp_path, settings(epochs=2))[0] == first
    assert learn_to_say(backbone, tmp_path, settings(epochs=2), seed=1)[0] != first


@pytest.mark.slow
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_training_goes_on_as_if_there_had_been_no_policy(
    make_backbone: MAKE, tmp_path: Path, quantization: str
) -> None:
    config = TrainingConfig(
        epochs=1, learning_rate=1e-2, batch_size=2, micro_batch_size=2, gradient_checkpointing=False
    )

    def blocks(*, with_policy: bool) -> list[tuple[Tensor, Tensor]]:
        backbone = make_backbone("qwen3", quantization)
        adapter = learned(backbone)
        if with_policy:
            learn_to_say(backbone, tmp_path, settings())
        train(backbone, adapter, [PART], config, checkpoints=tmp_path / "checkpoints", seed=3)
        adapter.save(tmp_path / f"{with_policy}")
        return adapter.state()

    assert_same(blocks(with_policy=True), blocks(with_policy=False))
    for file in (tmp_path / "True").iterdir():
        assert file.read_bytes() == (tmp_path / "False" / file.name).read_bytes(), file.name


# --- on the lab


def rewrite_lab(task: str, *overrides: str, learned: bool = False) -> Rewriting:
    """The rewriting of one lab task on its embedded backbone, whose learner has `learned` a task or not."""
    recipe = load_recipe(
        "lab",
        [
            "model.loader=transformers",
            f"sequence.tasks=['{task}']",
            "sequence.train_examples=48",
            "scoring.score_examples=8",
            "prompt.strategy=rewrite",
            *overrides,
        ],
    )
    backbone = load_backbone(recipe.model)
    adapter = METHODS["lorainc"].build(backbone, recipe.adapter, tasks=2, checkpointing=False)
    if learned:
        fill_blocks(adapter, 1)
    adapter.open_block(1, seed=0)
    (loaded,) = load_sequence(recipe.sequence)
    rows = [TrainingRow(loaded.instruction, e.input, e.answer) for e in loaded.train]
    show = PlainDisplay(Console(file=io.StringIO()))
    return rewrite(backbone, TrainingSet(loaded, rows), recipe, seed=0, scratch=SCRATCH, progress=show)


@pytest.mark.slow
def test_grpo_raises_the_mean_reward_on_the_lab() -> None:
    """In the last of three epochs over the same 24 rows, compared with the first."""
    settings = ("rewrite.prompts=24", "rewrite.learning_rate=2e-3", "rewrite.epochs=3")
    rewards = rewrite_lab("winner", *settings).policy_rewards
    assert len(rewards) == 9
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.03


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["rl", "best_of"])
def test_rewrites_do_not_depend_on_what_was_learned_before(policy: str) -> None:
    settings = [f"rewrite.policy={policy}", "rewrite.prompts=8", "rewrite.batch_size=4", "rewrite.rollouts=4"]
    fresh = rewrite_lab("oldest", *settings)
    assert any(row.rewrite for row in fresh.rows)
    assert rewrite_lab("oldest", *settings, learned=True) == fresh
