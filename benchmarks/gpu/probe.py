"""Where the time goes on a card: its peak, and forward passes of packs, decoding and training steps.

    python -m benchmarks.gpu.probe FOLDER --loader unsloth --json probe.json

FOLDER holds a model (benchmarks.gpu.shapes writes one). Every measurement stands alone and is written at
once: one that fails is noted, and none begins after --seconds. `--tiny` has sizes for a CPU.
"""

import argparse
import json
import os
import random
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.scoring.limit import projections
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import AnswerBatch, Group, packed, padded
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.generation import generate
from sapo_lite.model.load import load_backbone
from sapo_lite.model.loss import token_nll
from sapo_lite.recipe import AdapterConfig, ModelConfig
from sapo_lite.support.library_logs import chatter_to

PREFIX, SUFFIX, ANSWER = 100, 60, 3  # tokens, as of a short task


class Notes:
    """Measurements one after another, written after each."""

    def __init__(self, path: Path | None, seconds: float) -> None:
        self.found: list[dict[str, Any]] = []
        self._path = path
        self._deadline = time.perf_counter() + seconds

    def take(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        if time.perf_counter() > self._deadline:
            self.found.append({"name": name, "left out": "no time"})
        else:
            try:
                self.found.append({"name": name, **measure()})
            except Exception as error:  # whatever it is, the rest is still wanted
                said = {
                    "error": f"{type(error).__name__}: {error}"[:300],
                    "trace": traceback.format_exc()[-2000:],
                }
                self.found.append({"name": name, **said})
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
        print(
            json.dumps({k: v for k, v in self.found[-1].items() if k not in ("trace", "kernels")}), flush=True
        )
        if self._path:
            self._path.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")


class Probe:
    """The measurements of one loaded model."""

    def __init__(self, backbone: Backbone, notes: Notes, tiny: bool) -> None:
        self.backbone, self.notes, self.tiny = backbone, notes, tiny
        self.cuda = backbone.device.type == "cuda"
        self.config = backbone.causal_lm.config
        self.sizes = (256, 512) if tiny else (1024, 4096, 8192, 16384)
        self.full = 512 if tiny else 8192

    def run(self) -> None:
        take = self.notes.take
        take("peak", self.peak)
        take("copy", self.copy)
        for tokens in self.sizes:
            take(f"pack of {tokens}", lambda: self.forward(self.pack(tokens)))  # noqa: B023
            take(f"pack of {tokens}, new lengths", lambda: self.forward(self.pack(tokens, seed=1)))  # noqa: B023
        take(f"pack of {self.full} in 5 groups", lambda: self.forward(self.pack(self.full, groups=5)))
        count = 4 if self.tiny else 48
        take(f"{count} padded rows", lambda: self.forward(self.padded_rows(count)))
        if self.cuda:
            take("kernels of a pack", self.kernels)
        for rows in (2, 4) if self.tiny else (16, 64, 128):
            take(f"decoding {rows}", lambda: self.decode(rows))  # noqa: B023
        if self.cuda:
            self.with_switches()
        self.training()

    # --- the machine

    def peak(self) -> dict[str, Any]:
        """Rate of large products in the model's number format."""
        size = 256 if self.tiny else 8192
        a, b = (torch.randn(size, size, device=self.backbone.device, dtype=self.backbone.dtype) for _ in "ab")
        return {"TFLOP/s": 2 * size**3 / self.seconds(lambda: a @ b, tries=5)[1] / 1e12}

    def copy(self) -> dict[str, Any]:
        """Bytes read and written a second by a copy within the memory."""
        source = torch.empty(2**20 if self.tiny else 2**30, dtype=torch.uint8, device=self.backbone.device)
        target = torch.empty_like(source)
        return {"GB/s": 2 * len(source) / self.seconds(lambda: target.copy_(source), tries=5)[1] / 1e9}

    def seconds(self, work: Callable[[], object], tries: int = 3) -> tuple[float, float]:
        """Of the first time, in which kernels are compiled and planned, and the median of the others."""
        took = []
        for _ in range(tries + 1):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            took.append(time.perf_counter() - start)
        return took[0], statistics.median(took[1:])

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    # --- what it is given

    def rows(self, count: int, seed: int) -> list[EncodedRow]:
        """Rows of one prefix; suffixes of unequal lengths, as real ones have."""
        draw, vocabulary = random.Random(seed), min(3000, self.config.vocab_size)
        head = [draw.randrange(3, vocabulary) for _ in range(PREFIX)]
        made = []
        for _ in range(count):
            length = round(SUFFIX * draw.uniform(0.7, 1.3))
            ids = (*head, *(draw.randrange(3, vocabulary) for _ in range(length)))
            made.append(EncodedRow(ids, len(ids) - ANSWER))
        return made

    def pack(self, tokens: int, seed: int = 0, groups: int = 1) -> AnswerBatch:
        """A pack of about so many tokens, in so many groups with a prefix each."""
        each = max(1, round((tokens / groups - PREFIX) / SUFFIX))
        made = [row for number in range(groups) for row in self.rows(each, 100 * seed + number)]
        parts = [Group(PREFIX, range(number * each, (number + 1) * each)) for number in range(groups)]
        return packed(made, parts).to(self.backbone.device)

    def padded_rows(self, count: int) -> AnswerBatch:
        return padded(self.rows(count, seed=2), range(count)).to(self.backbone.device)

    def operations(self, batch: AnswerBatch) -> float:
        """Floating point operations of a forward pass but for attention's own, a few per cent of them."""
        layer = sum(inner * outer for inner, outer in projections(self.config).values())
        head = self.config.hidden_size * self.config.vocab_size
        return 2.0 * (batch.ids.numel() * self.config.num_hidden_layers * layer + len(batch.targets) * head)

    # --- what is measured

    def forward(self, batch: AnswerBatch) -> dict[str, Any]:
        def run() -> None:
            with self.backbone.inference():
                token_nll(self.backbone, batch).sum().item()

        return self.figures(run, batch, passes=1)

    def figures(self, run: Callable[[], None], batch: AnswerBatch, passes: int) -> dict[str, Any]:
        """passes: how many forward passes' products the work has."""
        first, again = self.seconds(run)
        tokens = batch.ids.numel()
        return {
            "tokens": tokens,
            "first s": first,
            "s": again,
            "tokens/s": tokens / again,
            "TFLOP/s": passes * self.operations(batch) / again / 1e12,
        }

    def kernels(self) -> dict[str, Any]:
        from torch.profiler import ProfilerActivity, profile

        batch = self.pack(self.full, seed=1)
        activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
        with profile(activities=activities) as found, self.backbone.inference():
            token_nll(self.backbone, batch).sum().item()
        table = found.key_averages().table(sort_by="cuda_time_total", row_limit=25, max_name_column_width=70)
        return {"kernels": table}

    def decode(self, rows: int) -> dict[str, Any]:
        new = 4 if self.tiny else 24
        prompts = [row.ids for row in self.rows(rows, seed=3)]

        def run() -> None:
            generate(self.backbone, prompts, max_new_tokens=new, batch_size=rows)

        first, again = self.seconds(run, tries=1)
        return {"first s": first, "s": again, "answers/s": rows / again, "ms a step": 1000 * again / new}

    def with_switches(self) -> None:
        """What is off by default, to be measured: decoding steps as CUDA graphs, cuDNN's attention."""
        if self.backbone.fused:
            os.environ["UNSLOTH_DECODE_CUDA_GRAPHS"] = "1"  # read at every call
            for rows in (16, 128):
                self.notes.take(f"decoding {rows}, CUDA graphs", lambda: self.decode(rows))  # noqa: B023
            del os.environ["UNSLOTH_DECODE_CUDA_GRAPHS"]
            return
        torch.backends.cuda.enable_cudnn_sdp(True)
        self.notes.take("decoding 16, cuDNN", lambda: self.decode(16))
        self.notes.take("pack, newest lengths, cuDNN", lambda: self.forward(self.pack(self.full, seed=5)))
        torch.backends.cuda.enable_cudnn_sdp(False)

    def training(self) -> None:
        adapter: list[BlockAdapter] = []

        def attach() -> dict[str, Any]:
            config = AdapterConfig(dropout=0.0)
            adapter.append(METHODS["sequential"].build(self.backbone, config, tasks=1, checkpointing=True))
            adapter[0].open_block(0, seed=0)
            self.arm()
            return {"trainable": sum(p.numel() for p in self.weights())}

        self.notes.take("attach", attach)
        for name, batch in (
            (f"training, pack of {self.full}", lambda: self.pack(self.full, seed=1)),
            (f"training, pack of {self.full // 4}", lambda: self.pack(self.full // 4, seed=1)),
            ("training, 8 padded rows", lambda: self.padded_rows(8)),
        ):
            self.notes.take(name, lambda: self.step(batch()))  # noqa: B023

    def weights(self) -> Sequence[Tensor]:
        return [p for p in self.backbone.model.parameters() if p.requires_grad]

    def arm(self) -> None:
        """Gradient checkpointing, as a trainer switches it on."""
        model = self.backbone.model
        if self.backbone.fused:
            model.for_training(use_gradient_checkpointing=model._unsloth_gradient_checkpointing)
            return
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
        model.train()

    def step(self, batch: AnswerBatch) -> dict[str, Any]:
        weights = self.weights()

        def run() -> None:
            for weight in weights:
                weight.grad = None
            token_nll(self.backbone, batch).sum().backward()

        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        # Forward, once more for the backward pass, and the gradient of the states: frozen weights have none.
        found = self.figures(run, batch, passes=3)
        return found | ({"peak GB": torch.cuda.max_memory_allocated() / 1e9} if self.cuda else {})


def main() -> None:
    options = _options()
    config = ModelConfig(
        name=str(options.folder.absolute()),
        loader=options.loader,
        quantization="nf4",
        dtype=options.dtype,
        max_source_tokens=192 if options.tiny else 1536,
        max_answer_tokens=16 if options.tiny else 128,
    )
    notes = Notes(options.json, options.seconds)
    start = time.perf_counter()
    with chatter_to(options.log):
        backbone = load_backbone(config)
    notes.take("load", lambda: {"s": time.perf_counter() - start, "fused": backbone.fused})
    Probe(backbone, notes, options.tiny).run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.probe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER")
    add("--loader", choices=["unsloth", "transformers"], default="unsloth")
    add("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    add("--json", type=Path, metavar="FILE", help="written after every measurement")
    add("--log", type=Path, default=Path(os.devnull), metavar="FILE", help="what the libraries print")
    add("--seconds", type=float, default=75.0, help="no measurement begins later (75)")
    add("--tiny", action="store_true", help="sizes for a CPU")
    return parser.parse_args()


if __name__ == "__main__":
    main()
