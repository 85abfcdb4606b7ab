"""A program that loads and trains a model on the CPU, and prints what each part takes in memory.

    python footprint_measured.py FOLDER QUANTIZATION:DTYPE ...

A line of JSON for each case. Memory is what the system counts as resident. Each case in a process of its own,
since a process that has done something else reuses memory that it already holds.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from transformers import Qwen3Config, Qwen3ForCausalLM

import tiny
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import padded
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.load import load_backbone
from sapo_lite.model.loss import token_nll
from sapo_lite.recipe import ModelConfig, TrainingConfig
from sapo_lite.types import TrainingRow, TrainingSet

# So large that each part outweighs what else a process allocates.
SHAPE = {
    "vocab_size": 40_000,
    "hidden_size": 384,
    "intermediate_size": 1024,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": False,
}
RANK, BLOCKS = 384, 4
LONG, ANSWER = 512, 256  # tokens of a row that is scored alone, and of its answer


def write_model(folder: Path) -> None:
    """The model in bfloat16, as the hub has most."""
    tokenizer = tiny.qwen3_tokenizer()
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(**SHAPE, **ends, bos_token_id=None)).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def resident(kind: str = "VmRSS") -> int:
    """Bytes of memory that this process holds, or ("VmHWM") held at its peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def peak_of(work: Callable[[], object]) -> int:
    """Bytes that the work takes at its peak, the second time."""
    work()
    before = resident()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    work()
    return resident("VmHWM") - before


def score(backbone: Backbone, answer: int) -> int:
    row = EncodedRow(tuple(100 + n % 300 for n in range(LONG)), LONG - answer)
    batch = padded([row], [0])
    with backbone.inference():
        return peak_of(lambda: token_nll(backbone, batch))


def backward(backbone: Backbone, answer: int) -> int:
    """Bytes of a forward and a backward pass. Layers are checkpointed since the training before."""
    row = EncodedRow(tuple(100 + n % 300 for n in range(LONG)), LONG - answer)
    batch = padded([row], [0])

    def step() -> None:
        with backbone.autocast():
            loss = token_nll(backbone, batch).sum()
        loss.backward()
        backbone.model.zero_grad(set_to_none=False)  # gradients are not what is measured here

    backbone.model.train()
    return peak_of(step)


def use_libraries() -> None:
    """With another model: some are imported, and their pages read, only when they are used."""
    with tempfile.TemporaryDirectory() as other:
        folder = tiny.save_model("qwen3", Path(other))
        for quantization in ("none", "nf4"):
            backbone = tiny.load(folder, quantization)
            trained(backbone, with_adapter(backbone, rank=4))


def measure(folder: Path, quantization: str, dtype: str) -> dict[str, int]:
    settings = {"quantization": quantization, "dtype": dtype, "loader": "transformers"}
    config = ModelConfig(name=str(folder), max_source_tokens=192, max_answer_tokens=24, **settings)
    before = resident()
    backbone = load_backbone(config)
    for weight in backbone.model.parameters():  # they may be read from the file only when they are used
        weight.sum()
    found = {"weights": resident() - before}
    before = resident()
    adapter = with_adapter(backbone, RANK)
    found["adapter"] = resident() - before
    found |= trained(backbone, adapter)
    found["forward"] = score(backbone, 8)
    found["logits"] = score(backbone, ANSWER)
    found["backward"] = backward(backbone, 8)
    found["logits in training"] = backward(backbone, ANSWER)
    return found


def with_adapter(backbone: Backbone, rank: int) -> BlockAdapter:
    """An adapter whose last block is open."""
    config = tiny.adapter_config(rank=rank, alpha=rank)
    adapter = METHODS["lorainc"].build(backbone, config, tasks=BLOCKS, checkpointing=True)
    adapter.open_block(BLOCKS - 1, seed=0)
    return adapter


def trained(backbone: Backbone, adapter: BlockAdapter) -> dict[str, int]:
    """Memory of a step of two micro-batches: its peak before the optimiser, and what the optimiser adds."""
    task, points = tiny.make_task(4), dict[str, int]()
    sets = [TrainingSet(task, [TrainingRow(task.instruction, e.input, e.answer) for e in task.train])]
    before = resident()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def before_the_optimiser(*_: object) -> None:
        points.update(peak=resident("VmHWM"), begun=resident())

    def after_the_optimiser(*_: object) -> None:
        points.update(done=resident())

    hooks = [
        register_optimizer_step_pre_hook(before_the_optimiser),
        register_optimizer_step_post_hook(after_the_optimiser),
    ]
    config = TrainingConfig(epochs=1, batch_size=4, micro_batch_size=2)
    with tempfile.TemporaryDirectory() as folder:
        train(backbone, adapter, sets, config, checkpoints=Path(folder, "checkpoints"), seed=0)
    for hook in hooks:
        hook.remove()
    return {"gradients": points["peak"] - before, "optimiser": points["done"] - points["begun"]}


if __name__ == "__main__":
    use_libraries()
    for case in sys.argv[2:]:
        if not os.fork():
            use_libraries()  # a forked process has not their pages
            print(json.dumps(measure(Path(sys.argv[1]), *case.split(":"))), flush=True)
            os._exit(0)
        _, status = os.wait()
        if status:
            sys.exit(f"{case}: status {status}")
