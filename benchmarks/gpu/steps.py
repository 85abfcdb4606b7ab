"""The steps of the smoke run. Each does what a run of sapo-lite does, and checks what must hold."""

import argparse
import gc
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

import torch
from torch import Tensor

from benchmarks.gpu import plain, rows
from benchmarks.gpu.record import Record
from benchmarks.gpu.shapes import SHAPES, write_model
from sapo_lite import generation
from sapo_lite.adapters import ADAPTERS, BlockAdapter, orthogonality
from sapo_lite.backbone import Backbone, load_backbone
from sapo_lite.chat import Encoded
from sapo_lite.recipe import AdapterConfig, ModelConfig, TrainingConfig
from sapo_lite.scoring import answer_nll, score
from sapo_lite.training import Step, train
from sapo_lite.types import Task, TrainRow

ROOT = Path(__file__).resolve().parents[2]

# Largest relative difference between losses that only rounding makes. In bfloat16 a product of other
# batch sizes is another kernel, and the loss per token moves by 0.002 to 0.008 nats.
SAME = {"bfloat16": 3e-3, "float32": 1e-5}
# The same between Unsloth's kernels and transformers' (relative; of logits, their norm).
ALIKE = {"bfloat16": 1e-2, "float32": 1e-4}
ALIKE_LOGITS = {"bfloat16": 5e-2, "float32": 1e-3}


class Smoke:
    """The steps, in order. Each keeps what later ones need."""

    backbone: Backbone
    adapter: BlockAdapter
    scored: Task  # examples of 16 lengths, up to the longest allowed
    encoded: list[Encoded]  # the same, as rows
    untrained: tuple[float, ...]  # their losses before anything was learned

    def __init__(self, options: argparse.Namespace, model: Path, work: Path, record: Record) -> None:
        self.options = options
        self.shape = SHAPES[options.shape]
        self.model = model  # the model's folder
        self.work = work  # for everything else that is written
        self.record = record

    def run(self) -> None:
        run = self.record.run
        run("write", self.write)
        run("load", self.load, needs=["write"])
        run("score", self.score, needs=["load"])
        run("attach", self.attach, needs=["score"])
        run("train", self.train, needs=["attach"])
        run("train again", self.train_again, needs=["train"])
        run("generate", self.generate, needs=["attach"])
        run("save", self.save, needs=["attach"])
        run("plain PEFT", self.plain_peft, needs=["save"])

    def write(self) -> None:
        written = write_model(self.model, self.shape)
        self.record.note("folder", f"{self.model} ({'written' if written else 'found'})")
        self.record.note("GB", self.shape.size / 1e9)

    def load(self) -> None:
        config = ModelConfig(
            name=str(self.model),
            quantization="nf4",
            dtype=self.options.dtype,
            max_source_tokens=self.shape.source,
            max_answer_tokens=self.shape.answer,
        )
        self.backbone = load_backbone(config)
        self.record.note("fused", self.backbone.fused)
        linears = 7 * self.shape.layers
        found = len(plain.quantised(self.backbone.model))
        self.record.check("layers in 4 bits", found == linears, found, f"{linears}")
        device = self.backbone.device.type
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
        self.record.check("device", device == wanted, device, wanted)
        shares = [(n + 1) / 16 for n in range(16)]
        self.scored = rows.task(self.backbone.chat, self.shape, shares, seed=1)
        self.encoded = self._encode(self.scored)
        longest = max(len(row.ids) for row in self.encoded)
        highest = max(max(row.ids) for row in self.encoded)
        self.record.check("longest row", longest <= self.shape.source + self.shape.answer, longest, "it fits")
        self.record.check("token ids", highest < self.shape.vocab, highest, f"below {self.shape.vocab}")

    def _encode(self, task: Task) -> list[Encoded]:
        return self.backbone.chat.encode(task, _as_published(task))

    def _losses(self, batch_tokens: int | None = None) -> tuple[float, ...]:
        return answer_nll(self.backbone, self.encoded, batch_tokens)[0]

    def _same(self, name: str, found: Sequence[float], wanted: Sequence[float], limit: float) -> None:
        difference = max(abs(x - y) / y for x, y in zip(found, wanted, strict=True))
        expected = "equal" if limit == 0 else f"within {limit:g}"
        self.record.check(name, difference <= limit, difference, f"{expected} (relative)")

    def score(self) -> None:
        """Losses of four candidates; then the same rows in smaller batches, and alone with full logits."""
        mode = self.backbone.model.training
        pool = rows.candidates(4)
        start = time.perf_counter()
        scores = score(self.backbone, self.scored, pool, examples=len(self.scored.train))
        tokens = len(pool) * sum(len(row.ids) for row in self.encoded)
        self.record.note("tokens per second", tokens / (time.perf_counter() - start))
        means = [s.token_mean for s in scores]
        self.record.note("loss per token", means)
        finite = all(math.isfinite(x) for s in scores for x in s.nll_sum)
        self.record.check("losses", finite, means, "finite")
        self.untrained = scores[0].nll_sum
        same = SAME[self.options.dtype]
        self._same("in smaller batches", self._losses(2 * self.shape.source), self.untrained, same)
        alone = [0, 7, 15]
        with self.backbone.inference(), self.backbone.autocast():
            rows_alone = [self.encoded[n] for n in alone]
            found = [plain.answer_loss(plain.answer_logits(self.backbone.model, r), r) for r in rows_alone]
        self._same("alone, full logits", found, [self.untrained[n] for n in alone], same)
        after = self.backbone.model.training
        self.record.check("mode restored", after == mode, f"training {after}", f"training {mode}")

    def attach(self) -> None:
        """LoRAInc with two blocks, the first open: nothing is learned yet, so no loss changes."""
        self.adapter = ADAPTERS["lorainc"](self.backbone, AdapterConfig(), tasks=2, checkpointing=True)
        attached = self._losses()
        self._same("losses with an empty adapter", attached, self.untrained, SAME[self.options.dtype])
        self.untrained = attached
        self.adapter.open_block(0, seed=0)
        self._same("losses with an open block", self._losses(), attached, 0)
        learning = {name for name, p in self.backbone.model.named_parameters() if p.requires_grad}
        only_lora = bool(learning) and all("lora_" in name for name in learning)
        self.record.check("trainable", only_lora, f"{len(learning)} tensors", "LoRA alone")

    def train(self) -> None:
        """The published lengths: one micro-batch of full rows, again and again, so that its loss must fall."""
        steps, seconds = self._train(self.options.steps, seed=2)
        losses = [step.loss for step in steps]
        self.record.note("seconds of the first step", seconds[0])
        self.record.note("seconds per step", median(seconds[1:]))
        self.record.note("losses", losses)
        self.record.check("losses", all(map(math.isfinite, losses)), losses[-1], "finite")
        self.record.check("loss", losses[-1] < losses[0] - 0.01, [losses[0], losses[-1]], "falls by 0.01")
        dtypes = {str(p.dtype) for pair in self.adapter.pairs for p in pair}
        self.record.check("LoRA weights", dtypes == {"torch.float32"}, sorted(dtypes), "torch.float32")
        self._check_moved()

    def _check_moved(self) -> None:
        grown = max(float(b.detach()[:, self.adapter.active].abs().max()) for _, b in self.adapter.pairs)
        self.record.check("open block", grown > 0, grown, "has moved")

    def train_again(self) -> None:
        """A few steps of the second block with O-LoRA's penalty: the first block must stay as it is."""
        before = self._losses()
        self.adapter.open_block(1, seed=1)
        self._same("losses with the second block open", self._losses(), before, 0)
        past = self.adapter.frozen_state()
        self.adapter.penalty = lambda: 0.5 * orthogonality(self.adapter)
        steps, _ = self._train(4, seed=3)
        self.adapter.penalty = None
        equal = all(torch.equal(x, y) for x, y in zip(past, self.adapter.frozen_state(), strict=True))
        self.record.check("past block", equal, "equal" if equal else "changed", "bit-identical")
        penalties = [step.penalty for step in steps]
        self.record.check("O-LoRA's penalty", min(penalties) > 0, penalties, "above 0")
        self._check_moved()

    def _train(self, count: int, seed: int) -> tuple[list[Step], list[float]]:
        """`count` optimiser steps, each on the same micro-batch of full rows, and the seconds of each."""
        size = self.options.micro_batch
        task = rows.task(self.backbone.chat, self.shape, [1.0] * size, seed)
        # A higher learning rate than the published 1e-4: the loss is to fall within a few steps.
        config = TrainingConfig(epochs=count, learning_rate=1e-3, batch_size=size, micro_batch_size=size)
        steps: list[Step] = []
        ends = [time.perf_counter()]

        def on_step(step: Step) -> None:  # its loss has been read, so the device has finished it
            steps.append(step)
            ends.append(time.perf_counter())

        train(
            self.backbone,
            self.adapter,
            task,
            _as_published(task),
            config,
            checkpoints=self.work / "checkpoints",
            seed=seed,
            on_step=on_step,
        )
        seconds = [end - start for start, end in zip(ends, ends[1:], strict=False)]
        lengths = [len(row.ids) for row in self._encode(task)]
        self.record.note("tokens per row", [min(lengths), max(lengths)])
        self.record.note("tokens per second", fmean(lengths) * size / median(seconds[1:]))
        return steps, seconds

    def generate(self) -> None:
        """32 answers of up to 64 tokens; two of them against the plain forward's own choice at every token."""
        before = self._losses()
        shares = [(n % 16 + 1) / 64 for n in range(32)]
        prompts = rows.prompts(self.backbone.chat, rows.task(self.backbone.chat, self.shape, shares, seed=4))
        start = time.perf_counter()
        answers = generation.generate(self.backbone, prompts, max_new_tokens=64, batch_size=16)
        self.record.note("seconds per answer", (time.perf_counter() - start) / len(answers))
        self.record.check("answers", len(answers) == len(prompts), len(answers), f"{len(prompts)}")
        decode = generation._generate_fused if self.backbone.fused else generation._generate_cached
        chosen = [prompts[0], prompts[15]]  # the shortest and the longest: the first is padded
        with self.backbone.inference():
            generated = decode(self.backbone, chosen, 64)
            pairs = list(zip(chosen, generated, strict=True))
            with self.backbone.autocast():
                logits = torch.cat([self._teacher_forced(p, g) for p, g in pairs if g])
        tokens = torch.tensor([token for g in generated for token in g], device=logits.device)
        gaps = logits.max(-1).values - logits.gather(1, tokens[:, None])[:, 0]
        self.record.note("largest gap to the likeliest token, nats", float(gaps.max()))
        self.record.note("share of likeliest tokens", float((gaps == 0).float().mean()))
        tied = float((gaps <= _rounding(logits, self.options.dtype)).float().mean())
        self.record.check("likeliest tokens, up to ties of rounding", tied >= 0.9, tied, "at least 0.9")
        self._same("losses after generating", self._losses(), before, 0)

    def _teacher_forced(self, prompt: Sequence[int], generated: Sequence[int]) -> Tensor:
        return plain.answer_logits(self.backbone.model, Encoded((*prompt, *generated), len(prompt)))

    def save(self) -> None:
        """The adapter saved, wiped out, and loaded again."""
        before = self._losses()
        self.adapter.save(self.work / "adapter")
        with torch.no_grad():
            for a, b in self.adapter.pairs:
                a.zero_()
                b.zero_()
        self._same("losses without the adapter", self._losses(), self.untrained, 0)
        self.adapter.load(self.work / "adapter")
        self._same("losses with the adapter loaded", self._losses(), before, 0)
        size = sum(path.stat().st_size for path in (self.work / "adapter").iterdir())
        self.record.note("MB of the saved adapter", size / 1e6)

    def plain_peft(self) -> None:
        """Another process loads base and adapter without Unsloth: it must find the same."""
        chosen = [self.encoded[n] for n in (0, 7, 15)]
        with self.backbone.inference(), self.backbone.autocast():
            ours = [plain.answer_logits(self.backbone.model, row).cpu() for row in chosen]
        sums = plain.quantised(self.backbone.model)
        plain.write_job(self.work, self.backbone.config, chosen)
        del self.backbone, self.adapter  # one model at a time on the device
        gc.collect()
        torch.cuda.empty_cache()
        command = [sys.executable, "-m", "benchmarks.gpu.plain", str(self.work)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
        theirs = torch.load(self.work / "answers.pt")
        self.record.note_memory(json.loads((self.work / "memory.json").read_text()))
        equal = sum(theirs["quantised"].get(name) == value for name, value in sums.items())
        self.record.check("4-bit weights", equal == len(sums), equal, f"all {len(sums)} have the same bytes")
        found, wanted = (
            [plain.answer_loss(x, row) for x, row in zip(logits, chosen, strict=True)]
            for logits in (ours, theirs["logits"])
        )
        self._same("losses", found, wanted, ALIKE[self.options.dtype])
        distance = max(float((x - y).norm() / y.norm()) for x, y in zip(ours, theirs["logits"], strict=True))
        limit = ALIKE_LOGITS[self.options.dtype]
        self.record.check("logits", distance <= limit, distance, f"within {limit:g} (relative norm)")


def _as_published(task: Task) -> list[TrainRow]:
    """The task's training examples under its original instruction."""
    return [TrainRow(task.instruction, e.input, e.answer) for e in task.train]


def _rounding(logits: Tensor, dtype: str) -> Tensor:
    """Differences between the largest logits that rounding may make: two steps of bfloat16 at their size."""
    if dtype == "float32":
        return logits.new_full(logits.shape[:1], 1e-4)
    return 2 * torch.exp2(logits.abs().max(-1).values.log2().floor() - 7)
