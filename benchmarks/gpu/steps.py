"""The steps of the smoke run. Each is a step of a run of sapo-lite, with checks."""

import argparse
import gc
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.gpu import plain, rows
from benchmarks.gpu.compare import ALIKE, Compare
from benchmarks.gpu.policy import train_a_policy
from benchmarks.gpu.record import Record
from benchmarks.gpu.shapes import SHAPES
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.adapters.olora import orthogonality
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.steps import Step
from sapo_lite.learning.trainer import train
from sapo_lite.model import generation
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import padded
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.generation_fused import generate_fused
from sapo_lite.model.load import load_backbone
from sapo_lite.model.loss import answer_nll
from sapo_lite.model.selfcheck import check_packs
from sapo_lite.prompts.scoring import score
from sapo_lite.recipe import AdapterConfig, ModelConfig, TrainingConfig
from sapo_lite.types import Task, TrainingSet

ROOT = Path(__file__).resolve().parents[2]


class Smoke:
    """The steps in order, and the state between them."""

    backbone: Backbone
    adapter: BlockAdapter
    scored: Task  # 16 examples, from a sixteenth of the longest allowed to the longest
    encoded: list[EncodedRow]  # the same as rows
    untrained: tuple[float, ...]  # their losses before anything was learned

    def __init__(self, options: argparse.Namespace, model: Path, work: Path, record: Record) -> None:
        self.options = options
        self.shape = SHAPES[options.shape]
        self.model = model  # folder of the model
        self.work = work  # folder for everything else that is written
        self.record = record
        self.compare = Compare(record, options.dtype)

    def run(self) -> None:
        run = self.record.run
        run("write", self.write)
        run("load", self.load, needs=["write"])
        run("score", self.score, needs=["load"])
        run("attach", self.attach, needs=["score"])
        run("packs", self.packs, needs=["attach"])
        run("train", self.train, needs=["attach"])
        run("train again", self.train_again, needs=["train"])
        run("generate", self.generate, needs=["attach"])
        run("policy", self.policy, needs=["attach"])
        run("save", self.save, needs=["attach"])
        run("plain PEFT", self.plain_peft, needs=["save"])

    def write(self) -> None:
        """The model folder, as it would come from the hub. Another process writes it, on the GPU."""
        self.record.note("weights, GB", self.shape.size / 1e9)
        self.record.note("were", _python("benchmarks.gpu.shapes", self.options.shape, str(self.model)))

    def load(self) -> None:
        """Quantised to NF4 by the loader that a run uses on a GPU, or by the other one."""
        config = ModelConfig(
            name=str(self.model),
            quantization="nf4",
            dtype=self.options.dtype,
            loader=self.options.loader,
            max_source_tokens=self.shape.source,
            max_answer_tokens=self.shape.answer,
        )
        self.backbone = load_backbone(config)
        self.record.note("Unsloth's fused path", self.backbone.fused)
        linears, found = 7 * self.shape.layers, len(plain.packed_bytes(self.backbone.model))
        self.record.check("layers in 4 bits", found == linears, found, f"{linears}")
        device, wanted = self.backbone.device.type, "cuda" if torch.cuda.is_available() else "cpu"
        self.record.check("device", device == wanted, device, wanted)
        shares = [(n + 1) / 16 for n in range(16)]
        self.scored = rows.task(self.backbone.chat, self.shape, shares, seed=1)
        self.encoded = rows.encode(self.backbone.chat, self.scored)
        longest, allowed = max(len(row.ids) for row in self.encoded), self.shape.source + self.shape.answer
        self.record.check("longest row", longest <= allowed, longest, f"at most {allowed}")
        highest = max(max(row.ids) for row in self.encoded)
        self.record.check("token ids", highest < self.shape.vocab, highest, f"below {self.shape.vocab}")

    def score(self) -> None:
        """Four candidates; then the rows of the first in smaller batches, and alone with full logits."""
        mode = self.backbone.model.training
        smaller = self._losses(batch_tokens=2 * self.shape.source)  # the first call compiles kernels
        pool = rows.candidates(4)
        start = time.perf_counter()
        scores = score(self.backbone, self.scored, pool, examples=len(self.scored.train))
        tokens = len(pool) * sum(len(row.ids) for row in self.encoded)
        self.record.note("tokens per second", tokens / (time.perf_counter() - start))
        means = [s.token_mean for s in scores]
        finite = all(math.isfinite(loss) for s in scores for loss in s.nll_sum)
        self.record.check("losses per token", finite, means, "finite")
        self.untrained = scores[0].nll_sum
        self.compare.same("in smaller batches", smaller, self.untrained)
        chosen = [0, 7, 15]
        alone = [self._logits_alone(self.encoded[n]) for n in chosen]
        losses = [plain.answer_loss(x, self.encoded[n]) for x, n in zip(alone, chosen, strict=True)]
        self.compare.same("alone, full logits", losses, [self.untrained[n] for n in chosen])
        together = self._logits_together([self.encoded[n] for n in chosen])
        self.compare.close("logits from hidden states, together", together, alone)
        after = self.backbone.model.training
        self.record.check("mode restored", after == mode, f"training {after}", f"training {mode}")

    def attach(self) -> None:
        """LoRAInc with two blocks, the first open: nothing is learned yet, so losses must not change."""
        self.adapter = METHODS["lorainc"].build(self.backbone, AdapterConfig(), tasks=2, checkpointing=True)
        attached = self._losses()
        self.compare.same("losses with an empty adapter", attached, self.untrained)
        self.untrained = attached
        self.adapter.open_block(0, seed=0)
        self.compare.equal("losses with an open block", self._losses(), attached)
        learning = [name for name, p in self.backbone.model.named_parameters() if p.requires_grad]
        only_lora = bool(learning) and all("lora_" in name for name in learning)
        self.record.check("trainable", only_lora, f"{len(learning)} tensors", "LoRA alone")

    def packs(self) -> None:
        """Rows behind one copy of their prefix against padded rows: losses, gradients, seconds."""
        found = check_packs(self.backbone, self.encoded, gradients=True)
        self.record.check("self-check of packs", found is None, found or "agrees", "agrees")
        losses, seconds = {}, {}
        for packs in (True, False, True, False):  # the first round of each compiles
            self.backbone.packs = packs
            start = time.perf_counter()
            losses[packs] = self._losses()
            seconds[packs] = time.perf_counter() - start
        self.backbone.packs = found is None
        self.untrained = self._losses()  # in the batches of the steps that compare with it
        self.compare.same("packed and padded", losses[True], losses[False])
        self.record.note("seconds packed", seconds[True])
        self.record.note("seconds padded", seconds[False])

    def train(self) -> None:
        """Repeated steps on one micro-batch of the longest rows, so that its loss must fall."""
        steps, seconds = self._train(self.options.steps, seed=2)
        losses = [step.loss for step in steps]
        self.record.note("seconds of the first step", seconds[0])
        self.record.check("losses", all(map(math.isfinite, losses)), losses, "finite")
        self.record.check("loss", losses[-1] < losses[0] - 0.01, [losses[0], losses[-1]], "falls by 0.01")
        dtypes = {str(p.dtype) for pair in self.adapter.pairs for p in pair}
        self.record.check("LoRA weights", dtypes == {"torch.float32"}, sorted(dtypes), "torch.float32")
        self._check_moved()

    def train_again(self) -> None:
        """A few steps of the second block with O-LoRA's penalty: the first block must not change."""
        before = self._losses()
        self.adapter.open_block(1, seed=1)
        self.compare.equal("losses with the second block open", self._losses(), before)
        past = self.adapter.frozen_state()
        self.adapter.penalty = lambda: 0.5 * orthogonality(self.adapter)
        steps, _ = self._train(4, seed=3)
        self.adapter.penalty = None
        equal = all(torch.equal(x, y) for x, y in zip(past, self.adapter.frozen_state(), strict=True))
        self.record.check("first block", equal, "equal" if equal else "changed", "bit-identical")
        penalties = [step.penalty for step in steps]
        self.record.check("O-LoRA's penalty", all(p > 0 for p in penalties), penalties, "above 0")
        self._check_moved()

    def _train(self, count: int, seed: int) -> tuple[list[Step], list[float]]:
        """`count` optimiser steps, all on the same micro-batch, and the seconds of each."""
        size = self.options.micro_batch
        task = rows.task(self.backbone.chat, self.shape, [1.0] * size, seed)
        # A higher learning rate than the published 1e-4: the loss is to fall within a few steps.
        config = TrainingConfig(epochs=count, learning_rate=1e-3, batch_size=size, micro_batch_size=size)
        steps: list[Step] = []
        ends = [time.perf_counter()]

        def on_step(step: Step) -> None:  # its loss has been read, so the device is done with it
            steps.append(step)
            ends.append(time.perf_counter())

        folder, learned = self.work / "checkpoints", rows.train_rows(task)
        model, adapter = self.backbone, self.adapter
        train(
            model,
            adapter,
            [TrainingSet(task, learned)],
            config,
            checkpoints=folder,
            seed=seed,
            on_step=on_step,
        )
        seconds = [end - start for start, end in pairwise(ends)]
        lengths = [len(row.ids) for row in rows.encode(self.backbone.chat, task)]
        self.record.note("tokens of a row", f"{min(lengths)} to {max(lengths)}")
        self.record.note("seconds per step", median(seconds[1:]))
        self.record.note("tokens per second", sum(lengths) / median(seconds[1:]))
        return steps, seconds

    def _check_moved(self) -> None:
        grown = max(float(b.detach()[:, self.adapter.active].abs().max()) for _, b in self.adapter.pairs)
        self.record.check("open block", grown > 0, grown, "has moved")

    def generate(self) -> None:
        """32 answers of up to 64 tokens; two of them token by token against the plain forward's choice."""
        before = self._losses()
        chat = self.backbone.chat
        shares = [(n % 16 + 1) / 64 for n in range(32)]
        prompts = rows.prompts(chat, rows.task(chat, self.shape, shares, seed=4))
        start = time.perf_counter()
        answers = generation.generate(self.backbone, prompts, max_new_tokens=64, batch_size=16)
        self.record.note("seconds per answer", (time.perf_counter() - start) / len(answers))
        self.record.check("answers", len(answers) == len(prompts), len(answers), f"{len(prompts)}")
        uncached = partial(generation.generate_cached, prefix=None)
        decode = generate_fused if self.backbone.fused else uncached
        chosen = [prompts[0], prompts[15]]  # the shortest, which is padded, and the longest
        with self.backbone.inference():
            generated = decode(self.backbone, chosen, 64)
        pairs = zip(chosen, generated, strict=True)
        logits = torch.cat([self._logits_alone(EncodedRow((*p, *g), len(p))) for p, g in pairs])
        tokens = torch.tensor([token for g in generated for token in g], device=logits.device)
        self.compare.likeliest(tokens, logits)
        self.compare.equal("losses after generating", self._losses(), before)

    def policy(self) -> None:
        """Two steps of a rewriting policy beside the adapter; then the policy is removed."""
        before = self._losses()
        chat, shares = self.backbone.chat, [1 / 8, 1 / 4, 1 / 2, 3 / 4]
        prompts = rows.prompts(chat, rows.task(chat, self.shape, shares, seed=5))
        rewards, moved = train_a_policy(self.backbone, prompts, self.work / "policy")
        self.record.check("rewards", len(rewards) == 2 and all(map(math.isfinite, rewards)), rewards, "two")
        self.record.check("policy", moved > 0, moved, "has moved")
        left = [name for name, _ in self.backbone.model.named_parameters() if ".policy." in name]
        self.record.check("left of it", not left, len(left), "nothing")
        self.compare.equal("losses after the policy", self._losses(), before)

    def save(self) -> None:
        """The adapter saved, set to zero, and loaded again."""
        before = self._losses()
        self.adapter.save(self.work / "adapter")
        with torch.no_grad():
            for a, b in self.adapter.pairs:
                a.zero_()
                b.zero_()
        self.compare.equal("losses without the adapter", self._losses(), self.untrained)
        self.adapter.load(self.work / "adapter")
        self.compare.equal("losses with the adapter loaded", self._losses(), before)
        size = sum(path.stat().st_size for path in (self.work / "adapter").iterdir())
        self.record.note("adapter, MB", size / 1e6)

    def plain_peft(self) -> None:
        """Another process loads base and adapter without Unsloth, and must get the same losses and logits."""
        chosen = [self.encoded[n] for n in (0, 7, 15)]
        ours = [self._logits_alone(row).cpu() for row in chosen]
        weights = plain.packed_bytes(self.backbone.model)
        plain.write_job(self.work, self.backbone.config, chosen)
        del self.backbone, self.adapter  # one model at a time on the device
        gc.collect()
        torch.cuda.empty_cache()
        _python("benchmarks.gpu.plain", str(self.work))
        theirs = torch.load(self.work / "answers.pt")
        self.record.note_memory(theirs["memory"])
        equal = sum(theirs["packed_bytes"].get(name) == value for name, value in weights.items())
        self.record.check("4-bit weights", equal == len(weights), equal, f"all {len(weights)} the same bytes")
        losses, reference = (
            [plain.answer_loss(x, row) for x, row in zip(logits, chosen, strict=True)]
            for logits in (ours, theirs["logits"])
        )
        self.compare.same("losses", losses, reference, ALIKE)
        self.compare.close("logits", ours, theirs["logits"])

    def _losses(self, batch_tokens: int | None = None) -> tuple[float, ...]:
        return answer_nll(self.backbone, self.encoded, batch_tokens)[0]

    def _logits_alone(self, row: EncodedRow) -> Tensor:
        with self.backbone.inference(), self.backbone.autocast():
            return plain.answer_logits(self.backbone.model, row)

    def _logits_together(self, chosen: Sequence[EncodedRow]) -> list[Tensor]:
        """The same logits from sapo-lite's code: one padded batch, and the head at answer tokens only."""
        batch = padded(chosen, range(len(chosen))).to(self.backbone.device)
        with self.backbone.inference(), self.backbone.autocast():
            hidden = self.backbone.answer_states(batch.ids, batch.rows, batch.columns)
            logits = self.backbone.head(hidden).float()
        return [logits[batch.owners == n] for n in range(len(chosen))]


def _python(module: str, *arguments: str) -> str:
    """Output of a module run in a separate process; RuntimeError if it fails."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return done.stdout.strip()
