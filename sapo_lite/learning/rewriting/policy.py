"""Training the rewriting policy: TRL's GRPOTrainer with our prompts, rollouts, reward and loss."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sapo_lite.learning.rewriting.rollouts import Rollout
from sapo_lite.learning.rollout_counts import policy_steps, rows_of_a_step
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import batches
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.loss import token_nll

if TYPE_CHECKING:
    from sapo_lite.recipe import RewriteConfig

# `config.rollouts` rollouts of each numbered row, as neighbours, and their rewards.
Roll = Callable[[Sequence[int]], list[Rollout]]
Reward = Callable[[Sequence[int], Sequence[Rollout]], list[float]]


def train_policy(
    backbone: Backbone,
    parameters: Sequence[nn.Parameter],
    prompts: Sequence[Sequence[int]],
    roll: Roll,
    reward: Reward,
    config: "RewriteConfig",
    *,
    checkpointing: bool,
    scratch: Path,
    seed: int,
    on_step: Callable[[float], None] = lambda _: None,
) -> list[float]:
    """Train the policy's LoRA (its `parameters`) to answer `prompts` (token ids, one a row) for reward.

    A step rolls out `config.rollouts` answers to `config.batch_size` rows and learns from them once. There is
    no KL term: the alignment in the reward keeps the policy near the base. Returns the mean reward of each
    step's rollouts; `on_step` gets it too. `scratch` is a folder that TRL may create.
    """
    rewards: list[float] = []
    latest: list[Rollout] = []

    # TRL gets a row number in place of a prompt, since it would render and tokenise a text in its own way. It
    # repeats each number once per rollout.
    def different(rows: Sequence[str]) -> list[int]:
        return [int(row) for row in rows[:: config.rollouts]]

    def roll_out(rows: list[str], _trainer: Any) -> dict[str, Any]:
        latest[:] = roll(different(rows))
        return {
            "prompt_ids": [list(prompts[int(row)]) for row in rows],
            "completion_ids": [list(rollout.ids) for rollout in latest],
            "logprobs": None,  # needed only if something other than the policy drew them
        }

    def rewrite_reward(prompts: list[str], **_: Any) -> list[float]:
        found = reward(different(prompts), latest)
        rewards.append(sum(found) / len(found))
        return found

    arguments = _grpo_config(backbone, len(prompts), config, checkpointing, scratch, seed)
    trainer = _policy_trainer(
        backbone, arguments, len(prompts), roll_out, rewrite_reward, lambda: on_step(rewards[-1])
    )
    # TRL casts the trainable LoRA of quantised models to bfloat16 on construction.
    for parameter in parameters:
        parameter.data = parameter.data.float()
    trainer.train()
    trainer.accelerator.unwrap_model(backbone.model, keep_fp32_wrapper=False)
    trainer.accelerator.free_memory()
    return rewards


def policy_loss(backbone: Backbone, inputs: Mapping[str, Tensor], temperature: float) -> Tensor:
    """GRPO's loss of one micro-batch of B rollouts, all drawn from the current policy.

    All probability ratios are then 1, so none is clipped. The gradient is that of the mean of -advantage x
    log-probability over the tokens of the step's rollouts. The log-probabilities are computed as in scoring
    and training (packs included, on every path), at the temperature of the rollouts.

    prompt_ids, prompt_mask: int64 [B, P]; completion_ids, completion_mask: int64 [B, C]; advantages:
    float32 [B]; num_items_in_batch: the completion tokens of the step, a scalar
    """
    encoded = []
    for n in range(len(inputs["advantages"])):
        prompt, completion = (
            inputs[f"{part}_ids"][n][inputs[f"{part}_mask"][n].bool()].tolist()
            for part in ("prompt", "completion")
        )
        encoded.append(EncodedRow((*prompt, *completion), len(prompt)))
    losses = [
        (inputs["advantages"][batch.owners] * token_nll(backbone, batch, temperature)).sum()
        for batch in batches(backbone, encoded, pack=backbone.dropout is None)
    ]
    return torch.stack(losses).sum() / inputs["num_items_in_batch"]


def _policy_trainer(
    backbone: Backbone,
    arguments: Any,
    rows: int,
    roll_out: Callable[..., dict[str, Any]],
    reward: Callable[..., list[float]],
    on_step: Callable[[], None],
) -> Any:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOTrainer  # after the backbone, so that Unsloth's version is the one imported

    class PolicyTrainer(GRPOTrainer):  # type: ignore[misc, unused-ignore]
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Tensor:
            return policy_loss(backbone, inputs, arguments.temperature)

    class Report(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            on_step()

    with warnings.catch_warnings():
        # The warning that rollout_func may change in later versions: we bound TRL's version.
        warnings.filterwarnings("ignore", message=".*rollout_func.*")
        return PolicyTrainer(
            model=backbone.model,
            args=arguments,
            train_dataset=Dataset.from_dict({"prompt": [str(n) for n in range(rows)]}),
            reward_funcs=reward,
            rollout_func=roll_out,
            processing_class=backbone.tokenizer,
            callbacks=[Report()],
        )


def _grpo_config(
    backbone: Backbone, rows: int, config: "RewriteConfig", checkpointing: bool, scratch: Path, seed: int
) -> Any:
    from trl import GRPOConfig

    return GRPOConfig(
        output_dir=str(scratch),
        seed=seed,
        max_steps=policy_steps(rows, config),
        num_generations=config.rollouts,
        # A micro-batch is the rollouts of one row; a step draws all of its rollouts before the first backward
        # pass.
        per_device_train_batch_size=config.rollouts,
        gradient_accumulation_steps=rows_of_a_step(rows, config),
        max_completion_length=backbone.config.max_answer_tokens,
        temperature=config.temperature,
        beta=0.0,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant",
        optim="adamw_torch",
        weight_decay=0.0,
        router_aux_loss_coef=0.0,
        bf16=backbone.dtype is torch.bfloat16,
        use_cpu=backbone.device.type == "cpu",
        gradient_checkpointing=checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        dataloader_pin_memory=backbone.device.type == "cuda",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
