"""The pretraining of one model, step by step."""

import os
import time
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from pretraining.batch import PackBatch, answer_logits, pack_batch
from pretraining.curriculum import Curriculum, encode
from pretraining.families import FAMILIES
from pretraining.mixture import PretrainExample
from pretraining.model import new_model
from pretraining.muon import Muon
from pretraining.tokenizer import train_tokenizer
from pretraining.twin import as_llama
from sapo_lite.model.backbone import Backbone
from sapo_lite.recipe import ModelConfig

_CONFIG = ModelConfig(
    name="lab", quantization="none", dtype="float32", max_source_tokens=448, max_answer_tokens=64
)
_RESTART = 0.4  # share of the learning rate at which its second fall begins
_MICRO_BATCH = 10  # packs, some 600 tokens: more do not fit a processor's caches


@dataclass(frozen=True)
class Plan:
    """The settings that decide the weights, together with the code: a checkpoint of another plan is refused.

    Plans that differ only in `steps` are the same while the rate of both is level. So a checkpoint from that
    phase may continue to more or fewer steps. `start` is the SHA-256 of the initial weights; None if they are
    random.
    """

    architecture: str
    steps: int
    seed: int = 0
    wordings: int = 40
    learning_rate: float = 2.5e-3
    start: str | None = None

    def size(self, step: int) -> int:
        """Number of instructions of a step: half of them while the rate is level, which then helps most."""
        return self.wordings // 2 if step < self.level else self.wordings

    def rate(self, step: int) -> float:
        """Learning rate: up over 100 steps, level, then down to 2 % of it; from `turn` on down once more."""
        if step < self.turn:
            left = min(1.0, (self.turn - step) / (self.turn - self.level))
        else:  # a warm restart (Loshchilov & Hutter 2017, arXiv 1608.03983)
            left = _RESTART * (self.steps - step) / (self.steps - self.turn)
        return self.learning_rate * min((step + 1) / 100, 1.0) * max(0.02, left)

    @property
    def level(self) -> int:
        """Steps before the rate falls."""
        return self.turn // 5

    @property
    def turn(self) -> int:
        """Steps before the rate, fallen to nearly nothing, falls once more."""
        return self.steps * 14 // 17


class Pretraining:
    """State of a pretraining: weights, optimisers, running losses and the number of steps done."""

    def __init__(self, plan: Plan, qwen: Any = None, **shape: Any) -> None:
        """`qwen` is the trained Qwen3 from which a Llama is made; None for random weights."""
        self.plan = plan
        self.step = 0
        self.seconds = 0.0
        self.tokens = 0
        self.curriculum = Curriculum(FAMILIES, plan.seed)
        self.tokenizer = train_tokenizer()
        if qwen is None:
            self.model = new_model(plan.architecture, plan.seed, **shape)
        else:
            self.model = as_llama(qwen, self._batch(Backbone(qwen, self.tokenizer, _CONFIG, fused=False)))
        self.backbone = Backbone(self.model, self.tokenizer, _CONFIG, fused=False)
        parameters = dict(self.model.named_parameters())
        matrices = [p for name, p in parameters.items() if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in parameters.items() if p.ndim != 2 or "embed" in name]
        self.optimizers = [
            Muon(matrices, lr=plan.learning_rate, weight_decay=0.05),
            torch.optim.AdamW(others, lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.01),
        ]

    def _batch(self, backbone: Backbone) -> PackBatch:
        """The examples of a first step."""
        drawn = self.curriculum.groups(0, self.plan.wordings)
        encoded = encode(backbone.chat, [example for group in drawn for example in group])
        return pack_batch(encoded, _numbered(drawn))

    def advance(self) -> float:
        """One optimiser step. Returns its loss, in nats per answer token."""
        began = time.perf_counter()
        drawn = self.curriculum.groups(self.step, self.plan.size(self.step))
        examples = [example for group in drawn for example in group]
        encoded = encode(self.backbone.chat, examples)
        answer_tokens = sum(len(e.answer_ids) for e in encoded)
        losses = torch.zeros(len(examples))
        groups = _numbered(drawn)
        groups.sort(key=lambda group: sum(len(encoded[n].ids) for n in group))  # little padding
        for start in range(0, len(groups), _MICRO_BATCH):
            batch = pack_batch(encoded, groups[start : start + _MICRO_BATCH])
            nll = cross_entropy(answer_logits(self.model, batch), batch.targets, reduction="none")
            (nll.sum() / answer_tokens).backward()
            losses.index_add_(0, batch.owners, nll.detach())
        self._move()
        self.curriculum.note(
            examples, [loss / len(e.answer_ids) for loss, e in zip(losses.tolist(), encoded, strict=True)]
        )
        self.step += 1
        self.tokens += sum(len(e.ids) for e in encoded)
        self.seconds += time.perf_counter() - began
        return losses.sum().item() / answer_tokens

    def _move(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.plan.rate(self.step)
            optimizer.step()
            optimizer.zero_grad()

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "plan": vars(self.plan),
                "step": self.step,
                "tokens": self.tokens,
                "seconds": self.seconds,
                "losses": self.curriculum.losses,
                "vocabulary": self.tokenizer.get_vocab(),
                "model": self.model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            },
            partial,
        )
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint.

        Raises:
            ValueError: it belongs to another plan, or the families have changed.
        """
        found = torch.load(path, weights_only=True)
        plan = Plan(**found["plan"])
        level = replace(plan, steps=self.plan.steps) == self.plan and found["step"] <= min(
            plan.level, self.plan.level
        )
        if not (plan == self.plan or level):
            raise ValueError(
                f"{path}: expected a checkpoint of {self.plan}, found {plan} after {found['step']} steps. "
                "Use the options it was made with, or delete it to start over."
            )
        # The order of both counts too.
        families = list(found["losses"]) == list(self.curriculum.losses)
        if not (families and found["vocabulary"] == self.tokenizer.get_vocab()):
            raise ValueError(
                f"{path}: expected a checkpoint of the present families and vocabulary, found others: "
                "the code has changed. Delete it to start over."
            )
        self.step, self.tokens, self.seconds = found["step"], found["tokens"], found["seconds"]
        self.curriculum.losses.update(found["losses"])
        self.model.load_state_dict(found["model"])
        for optimizer, state in zip(self.optimizers, found["optimizers"], strict=True):
            optimizer.load_state_dict(state)


def _numbered(groups: list[list[PretrainExample]]) -> list[list[int]]:
    """The numbers of each group's examples in the list of all examples."""
    starts = accumulate((len(group) for group in groups), initial=0)
    return [list(range(start, start + len(group))) for start, group in zip(starts, groups, strict=False)]
