"""TRL's SFTTrainer on the rows that sapo-lite trains on: its own collator, sampler, loss and optimiser.

The model has sapo-lite's LoRA already. TRL 1.15 computes its loss, which it takes at answer tokens only, with
a Triton kernel, and so does not train on a CPU. Here the same sums are computed by torch.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import TrainerCallback

from benchmarks.speed.scoring.clock import Seconds, now, since
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow

UNLABELLED = -100


class Laps(TrainerCallback):
    """Time from the begin of a training to its end, without the making of its trainer."""

    def __init__(self) -> None:
        self.spent = self._begin = Seconds(0.0, 0.0)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._begin = now()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.spent = since(self._begin)


@contextmanager
def laps() -> Iterator[Laps]:
    """Context in which every trainer of transformers has this callback."""
    from transformers.trainer import DEFAULT_CALLBACKS

    found = Laps()
    with mock.patch("transformers.trainer.DEFAULT_CALLBACKS", [*DEFAULT_CALLBACKS, found]):
        yield found


class InTorch:
    """What TRL's kernel computes of the [N, vocabulary] logits, in its interface."""

    @staticmethod
    def apply(
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        temperature: float,
        _chunk: int,
        _softcap: float | None,
        scale: float,
        _outputs: Sequence[str],
    ) -> tuple[Tensor | None, ...]:
        log_p = (F.linear(hidden, weight, bias).float() * (scale / temperature)).log_softmax(-1)
        with torch.no_grad():  # TRL only logs them
            entropy = -(log_p.exp() * log_p).sum(-1)
            best = log_p.argmax(-1) == targets
        return log_p.gather(-1, targets[:, None])[:, 0], entropy, None, None, best


def train_with_trl(
    backbone: Backbone,
    rows: Sequence[EncodedRow],
    *,
    batch_size: int,
    rate: float,
    packing: bool,
    folder: Path,
) -> tuple[float, Seconds]:
    """The summed loss of an epoch in nats, and its cost.

    packing: TRL's; a batch is then one row of as many tokens as `batch_size` rows have on average
    """
    from datasets import Dataset
    from transformers import PrinterCallback

    lengths = [len(row.ids) for row in rows]
    mean = sum(lengths) // len(lengths)
    data = Dataset.from_list(
        [
            {"input_ids": row.ids, "labels": [UNLABELLED] * row.answer_start + list(row.answer_ids)}
            for row in rows
        ]
    )
    with mock.patch("trl.trainer.utils._ChunkedLogProbFunction", InTorch), laps() as lap:
        trainer = _summing()(
            model=backbone.model,
            args=_arguments(backbone, batch_size, rate, packing, max(*lengths, batch_size * mean), folder),
            train_dataset=data,
            processing_class=backbone.tokenizer,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        trainer.accelerator.unwrap_model(backbone.model, keep_fp32_wrapper=False)
        trainer.accelerator.free_memory()
    return trainer.summed, lap.spent


def _arguments(
    backbone: Backbone, batch_size: int, rate: float, packing: bool, longest: int, folder: Path
) -> Any:
    from trl import SFTConfig

    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=1 if packing else batch_size,
        train_sampling_strategy="random" if packing else "group_by_length",
        packing=packing,
        max_length=longest,
        learning_rate=rate,
        bf16=backbone.dtype is torch.bfloat16,
        use_cpu=backbone.device.type == "cpu",
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        save_strategy="no",
        disable_tqdm=True,
        report_to="none",
    )


def _summing() -> type[Any]:
    from trl import SFTTrainer

    class Summing(SFTTrainer):  # type: ignore[misc, unused-ignore]
        """Adds up the losses of all steps."""

        summed = 0.0

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            self.summed += float(loss.detach()) * float(num_items_in_batch)
            return loss

    return Summing
