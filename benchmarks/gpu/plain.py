"""The reference: one row at a time with all its logits, and a process that never imports Unsloth.

    python -m benchmarks.gpu.plain FOLDER

FOLDER has `job.json` (a model's settings, and rows) and `adapter/`; the result is written to `answers.pt`.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu.record import memory
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.load import load_backbone
from sapo_lite.recipe import ModelConfig


def answer_logits(model: Any, row: EncodedRow) -> Tensor:
    """Logits at a row's answer tokens, by a forward pass of that row alone: float32 [A, vocabulary]."""
    device = next(model.parameters()).device
    with torch.no_grad():
        logits: Tensor = model(input_ids=torch.tensor([row.ids[:-1]], device=device)).logits
    return logits[0, row.answer_start - 1 :].float()


def answer_loss(logits: Tensor, row: EncodedRow) -> float:
    """Summed negative log-likelihood of a row's answer, in nats."""
    return float(F.cross_entropy(logits, torch.tensor(row.answer_ids, device=logits.device), reduction="sum"))


def packed_bytes(model: Any) -> dict[str, int]:
    """Sum of the bytes of every 4-bit weight, by the name of its layer in the base model."""
    sums = {}
    for name, module in model.named_modules():
        if type(module).__name__ == "Linear4bit":  # bitsandbytes' layer, or PEFT's around it
            name = name.removeprefix("base_model.model.").removesuffix(".base_layer")
            sums[name] = int(module.weight.data.sum(dtype=torch.int64))
    return sums


def write_job(folder: Path, config: ModelConfig, rows: Sequence[EncodedRow]) -> None:
    """Write the input of `main` into the folder."""
    job = {"model": config.model_dump(mode="json"), "rows": [[row.ids, row.answer_start] for row in rows]}
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")


def main(folder: Path) -> None:
    """Load the base with transformers and the adapter with PEFT, and save the rows' answer logits."""
    from peft import PeftModel

    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    config = ModelConfig(**{**job["model"], "loader": "transformers"})
    model = PeftModel.from_pretrained(load_backbone(config).model, str(folder / "adapter")).eval()
    assert "unsloth" not in sys.modules
    logits = [answer_logits(model, EncodedRow(tuple(ids), start)).cpu() for ids, start in job["rows"]]
    answers = {"logits": logits, "packed_bytes": packed_bytes(model), "memory": memory()}
    torch.save(answers, folder / "answers.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
