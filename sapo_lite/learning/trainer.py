"""Fine-tuning one task: TRL's SFTTrainer with our rows, our loss and one open LoRA block."""

import itertools
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from sapo_lite.errors import TrainingError
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.checkpoints import WriteChecksums, latest_checkpoint
from sapo_lite.learning.passes import Passes
from sapo_lite.learning.rank_gradients import add_up_over_ranks
from sapo_lite.learning.rows import RowBatcher
from sapo_lite.learning.steps import Step, StepMeter
from sapo_lite.learning.tracking import UNTRACKED
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.memory import training_budget
from sapo_lite.types import TrainingSet

if TYPE_CHECKING:
    from sapo_lite.recipe import TrainingConfig


def train(
    backbone: Backbone,
    adapter: BlockAdapter,
    training_sets: Sequence[TrainingSet],
    config: "TrainingConfig",
    *,
    checkpoints: Path,
    seed: int,
    on_step: Callable[[Step], None] = lambda _: None,
    tracking: Mapping[str, Any] = UNTRACKED,
) -> None:
    """Train the adapter's open block on the rows of all `training_sets`, shuffled together.

    Training continues from the newest checkpoint in `checkpoints`, if there is one.

    tracking: settings of the Trainer, from Tracking.training

    Raises:
        TrainingError: no rows, a row without answer tokens, a non-finite loss, or changed frozen blocks.
    """
    frozen, weights = adapter.frozen_state(), adapter.state()
    # Packs give exactly the gradients of padded batches, unless dropout draws masks (see model/batching.py).
    without_dropout = adapter.dropout == 0 and backbone.dropout is None
    pack = without_dropout if config.pack == "auto" else config.pack
    rows = RowBatcher(backbone, training_sets, pack=pack)
    _require_labels(training_sets, rows.encoded, some=backbone.chat.cut == "right")
    arguments = _sft_config(backbone, len(rows.encoded), config, checkpoints, seed, tracking)
    trainer = _sft_trainer(rows, adapter, arguments, on_step, config)
    # TRL casts the LoRA of quantised models to bfloat16 on construction, frozen blocks included.
    adapter.restore_float32(weights)
    if not any(p.requires_grad for p in backbone.model.parameters()):
        raise TrainingError("Nothing is trainable: every parameter of the model is frozen.")
    trainer.train(resume_from_checkpoint=latest_checkpoint(checkpoints))
    # Accelerate leaves its mixed-precision wrapper on the model: scoring must not depend on it.
    trainer.accelerator.unwrap_model(backbone.model, keep_fp32_wrapper=False)
    trainer.accelerator.free_memory()
    adapter.assert_frozen(frozen)
    shutil.rmtree(checkpoints, ignore_errors=True)


def _require_labels(
    training_sets: Sequence[TrainingSet], encoded: Sequence[EncodedRow], *, some: bool
) -> None:
    """Require answer tokens in every row, or in `some`: rows that are cut on the right may lose them."""
    empty = [i for i, e in enumerate(encoded) if not e.answer_ids]
    if len(empty) == len(encoded) or (empty and not some):
        ids = ", ".join(training_set.task.id for training_set in training_sets)
        raise TrainingError(
            f"{ids}: training rows {empty[:10] or '(none at all)'} have no answer token to learn from. "
            "Expected every row to end in an answer; check the task's file and the model's chat template."
        )


# Names of transformers. The warm-up of the second one is replaced (AnswerTrainer.create_scheduler).
_SCHEDULERS = {"cosine": "cosine", "constant": "constant_with_warmup"}


def logarithmic_warmup(step: int, warmup: int) -> float:
    """Share of the learning rate in optimiser step `step` (from 0), after `warmup` steps all of it.

    As DeepSpeed's WarmupLR with warmup_type "log", and 0 as its lowest rate. The engine of DeepSpeed sets the
    rate after a step, so the formula lags by one step, and the first two steps have a rate of 0.
    """
    if not warmup:
        return 1.0
    warmup = max(2, warmup)  # as there: the logarithm of 1 is 0
    return min(1.0, math.log(max(1, step)) / math.log(warmup))


def _sft_config(
    backbone: Backbone,
    rows: int,
    config: "TrainingConfig",
    checkpoints: Path,
    seed: int,
    tracking: Mapping[str, Any],
) -> Any:
    from trl import SFTConfig

    arguments = SFTConfig(
        output_dir=str(checkpoints),
        seed=seed,
        num_train_epochs=config.epochs,
        # AnswerTrainer.training_step divides them into passes.
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=1,
        learning_rate=config.learning_rate,
        lr_scheduler_type=_SCHEDULERS[config.schedule],
        warmup_steps=math.ceil(config.warmup * config.steps(rows)),
        # Weight decay would change frozen rows; 8-bit Adam was not tested to keep them bit-identical.
        optim="adamw_torch",
        weight_decay=0.0,
        # TRL's default switches a term on in the config of a mixture of experts, where generation reads it.
        router_aux_loss_coef=0.0,
        bf16=backbone.dtype is torch.bfloat16,
        use_cpu=backbone.device.type == "cpu",
        gradient_checkpointing=config.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        save_strategy="steps" if config.checkpoint_every else "no",
        save_steps=config.checkpoint_every or 500,
        save_total_limit=2,  # should the newest be damaged, the one before it is taken
        # Rows are already tokenised, cut and labelled; the trainer must not change them.
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        packing=False,
        padding_free=False,
        remove_unused_columns=False,
        dataloader_pin_memory=backbone.device.type == "cuda",
        disable_tqdm=True,
        logging_strategy="steps",
        logging_steps=1,
        **tracking,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # else the Trainer wraps the model in DataParallel; ranks have GPUs of their own
    return arguments


def _sft_trainer(
    rows: RowBatcher,
    adapter: BlockAdapter,
    arguments: Any,
    on_step: Callable[[Step], None],
    config: "TrainingConfig",
) -> Any:
    from datasets import Dataset
    from transformers import PrinterCallback

    trainer = _answer_trainer(rows, adapter, StepMeter(on_step), config)(
        model=rows.backbone.model,
        args=arguments,
        train_dataset=Dataset.from_dict({"row": list(range(len(rows.encoded)))}),
        data_collator=lambda features: {"row": torch.tensor([feature["row"] for feature in features])},
        processing_class=rows.backbone.tokenizer,
        callbacks=[WriteChecksums()],
    )
    trainer.remove_callback(PrinterCallback)  # steps are reported to the caller, not to stdout
    trainer.model_accepts_loss_kwargs = True  # our loss is already divided by the step's tokens
    return trainer


def _answer_trainer(
    rows: RowBatcher, adapter: BlockAdapter, meter: StepMeter, config: "TrainingConfig"
) -> Any:
    """SFTTrainer with the answers' loss plus the adapter's penalty, its steps measured by `meter`."""
    from trl import SFTTrainer  # after the backbone, so that Unsloth's version is the one imported

    limits = _limits(rows, adapter, config)

    class AnswerTrainer(SFTTrainer):  # type: ignore[misc, unused-ignore]
        def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
            """The rows of one optimiser step, in one batch, and the number of their answer tokens."""
            meter.begin()
            step_rows = list(itertools.islice(epoch_iterator, num_batches))
            numbers = [n for batch in step_rows for n in batch["row"].tolist()]
            step = self.state.global_step
            rows.begin(step, step * int(self.args.num_train_epochs) // self.state.max_steps, numbers)
            meter.tokens = rows.length(numbers)
            # At least 1: rows that are cut on the right may have lost all their answers.
            return step_rows, max(1, rows.tokens(numbers))

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            """The scheduler of transformers, but with a logarithmic warm-up before a constant rate."""
            if self.args.lr_scheduler_type == _SCHEDULERS["constant"]:
                warmup = int(self.args.warmup_steps)
                self.lr_scheduler = LambdaLR(self.optimizer, lambda step: logarithmic_warmup(step, warmup))
            return super().create_scheduler(num_training_steps, optimizer)

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            """Save the adapter. The Trainer's own way also pickles its arguments, and saves the tokenizer."""
            self.model.save_pretrained(output_dir or self.args.output_dir, save_embedding_layers=False)

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
            """Gradients of an optimiser step: of one pass after another, as many rows each as fit."""
            step = super().training_step

            def backward(part: list[int]) -> Tensor:
                step(model, {"row": part}, num_items_in_batch)
                return self._of_pass

            numbers, seed = inputs["row"].tolist(), f"{self.args.seed}/{self.state.global_step}"
            passes = add_up_over_ranks(rows, numbers, adapter, backward, num_items_in_batch, seed, limits)
            if not passes.finite:
                raise _not_finite(passes, self.state.global_step + 1)
            meter.losses = passes.losses
            return torch.stack(passes.losses).sum()

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Tensor:
            # Per token of the whole step, so the losses of passes add up.
            loss = rows.nll(inputs["row"]) / num_items_in_batch
            share = rows.tokens(inputs["row"]) / rows.own_tokens  # all of the penalty is added here
            penalty = torch.zeros_like(loss) if adapter.penalty is None else adapter.penalty() * share
            self._of_pass = torch.stack([loss.detach(), penalty.detach()])
            return loss + penalty

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            super().log(logs | meter.report(self.state, logs), start_time)

    return AnswerTrainer


def _limits(rows: RowBatcher, adapter: BlockAdapter, config: "TrainingConfig") -> dict[str, Any]:
    """How large a pass may be, for all of a training.

    What memory has room for depends on the time, and dropout's masks depend on the rows of a pass.
    """
    budget = training_budget(
        rows.backbone,
        checkpointing=config.gradient_checkpointing,
        dropout=adapter.dropout > 0,
        packed=rows.pack,
    )
    return {"most": config.micro_batch_size, "budget": budget, "too_long": _no_memory_for}


def _no_memory_for(row: int) -> TrainingError:
    return TrainingError(
        f"Memory does not suffice to train on row {row} (0-based). Set "
        "training.gradient_checkpointing = true, or lower model.max_source_tokens."
    )


def _not_finite(passes: Passes, step: int) -> TrainingError:
    for rows, (loss, penalty) in zip(passes.rows, (losses.tolist() for losses in passes.losses), strict=True):
        if not math.isfinite(loss + penalty):
            return TrainingError(
                f"The loss became {loss} (penalty {penalty}) in step {step}, at training rows {sorted(rows)} "
                "(0-based). Expected a finite loss: lower training.learning_rate, or look at these rows."
            )
    rows = sorted(row for part in passes.rows for row in part)
    return TrainingError(
        f"The gradient is not finite in step {step}, at training rows {rows} (0-based), although their loss "
        "is. Lower training.learning_rate, or look at these rows."
    )
