"""Scoring as in SAPO's released code, written by us: the baseline.

`Trainer.evaluate` once for every candidate: batches of 8 in the order of the file, padded on the left,
logits over the whole vocabulary at every token. Every string is tokenised twice, once only the prompt, to
find the tokens without a label, and once in full.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sapo_lite.model.attention import CHUNKED
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import user_turn
from sapo_lite.prompts.losses import RELEASED_BATCH
from sapo_lite.types import Candidate, Task

IGNORED = -100  # label of a token that has no loss


class ReleasedLoop:
    """A trainer for evaluation only, and the loop around it. It may write to `folder`."""

    def __init__(self, backbone: Backbone, folder: Path) -> None:
        from transformers import PrinterCallback, Trainer, TrainingArguments

        self.backbone = backbone
        on_cpu = backbone.device.type == "cpu"
        arguments = TrainingArguments(
            output_dir=str(folder),
            per_device_eval_batch_size=RELEASED_BATCH,
            bf16=backbone.dtype is torch.bfloat16,
            use_cpu=on_cpu,
            dataloader_pin_memory=not on_cpu,
            label_names=["labels"],
            remove_unused_columns=False,
            disable_tqdm=True,
            report_to="none",
        )
        self._trainer = Trainer(backbone.model, arguments, data_collator=self._pad_left)
        self._trainer.remove_callback(PrinterCallback)

    def score(self, task: Task, candidates: Sequence[Candidate], examples: int) -> list[float]:
        """The mean of batch means of every candidate, in nats per answer token."""
        config = self.backbone.causal_lm.config
        if config._attn_implementation == CHUNKED:
            config._attn_implementation = "sdpa"  # its value before sapo-lite used packs
        losses = []
        for candidate in candidates:
            rows = [self._row(task, candidate.text, e.input, e.answer) for e in task.train[:examples]]
            losses.append(float(self._trainer.evaluate(rows)["eval_loss"]))
        return losses

    def _row(self, task: Task, instruction: str, text: str, answer: str) -> dict[str, list[int]]:
        chat, tokenizer = self.backbone.chat, self.backbone.tokenizer
        prompt = chat.prompt(task, instruction, text)
        whole = chat.frame.conversation(user_turn(task, instruction, text), answer)
        unlabelled = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
        return {"ids": ids, "labels": [IGNORED] * unlabelled + ids[unlabelled:]}

    def _pad_left(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """input_ids, attention_mask and labels: int64 [B, longest]."""
        longest = max(len(row["ids"]) for row in rows)

        def padded(key: str, filler: int) -> Tensor:
            return torch.tensor([[filler] * (longest - len(row[key])) + row[key] for row in rows])

        ids = padded("ids", self.backbone.tokenizer.pad_token_id)
        lengths = torch.tensor([len(row["ids"]) for row in rows])
        mask = (torch.arange(longest) >= longest - lengths[:, None]).long()
        return {"input_ids": ids, "attention_mask": mask, "labels": padded("labels", IGNORED)}
