"""The recipe's sections on learning. Defaults are the published settings."""

import math
from typing import Literal

from sapo_lite.recipe.section import Section
from sapo_lite.recipe.values import (
    Count,
    CountOrNone,
    Fraction,
    MethodName,
    Modules,
    NotNegative,
    OptionalCount,
    OptionalNotNegative,
    Positive,
    Rank,
    Share,
    Switch,
    Temperature,
)


class AdapterConfig(Section):
    """The adapter method and its settings. The scale of every block is alpha / rank.

    `target_modules` are the layers that LoRA is put on: "auto" for q_proj and v_proj (as released) or what
    a model has in their place, "all-linear" for all linear layers of the decoder, or a list of names.
    `penalty_weight` applies to "olora" and "ewc" (default 100), once to every optimiser step. For "olora",
    0.5 is the default: the form of the original O-LoRA, which divides by the accumulated micro-batches.
    SAPO's released code adds 0.5 to each of 8 micro-batches undivided: its effective weight is 4.0. "ewc"
    computes the Fisher information on a task's first `fisher_examples` rows, and multiplies that of earlier
    tasks by `fisher_decay` at each task. "replay" mixes rows of earlier tasks into the new ones:
    `replay_share` times as many as these, or, if `replay_rows` is set, that many for each earlier task
    (InsCL: 200). With `replay_by` "similarity", tasks whose instruction is less similar to the new one get
    more of them (InsCL); with "uniform", all tasks get equally many.
    """

    method: MethodName = "lorainc"
    rank: Rank = 8
    alpha: Count = 32
    dropout: Share = 0.1
    target_modules: Modules = "auto"
    penalty_weight: OptionalNotNegative = None
    fisher_examples: Count = 100
    fisher_decay: Fraction = 1.0
    replay_share: Positive = 0.1
    replay_rows: OptionalCount = None
    replay_by: Literal["similarity", "uniform"] = "similarity"


class TrainingConfig(Section):
    """Fine-tuning on one task. An optimiser step has `batch_size` rows. It is computed in passes of at most
    `micro_batch_size` rows, and of fewer tokens where memory is short: that is a matter of speed alone.

    `pack` puts rows of one prompt after one copy of it; "auto" does so if that is exact, which it is without
    dropout of the LoRA or of the model. `checkpoint_every` is in optimiser steps, 0 for no checkpoints.
    `gradient_norm` measures the gradient on all rows before the first step.

    `warmup` is a share of all steps. With `schedule` "cosine", the learning rate rises linearly during the
    warm-up and then falls to 0 as a cosine. With "constant", it rises logarithmically and then stays: the
    WarmupLR of DeepSpeed, with which SAPO's released code trains, although its scripts say cosine.
    """

    epochs: Count = 10
    learning_rate: Positive = 1e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: Share = 0.05
    batch_size: Count = 64
    micro_batch_size: Count = 8
    pack: Literal["auto", True, False] = "auto"
    gradient_checkpointing: Switch = True
    gradient_norm: Switch = False
    checkpoint_every: CountOrNone = 0

    def steps(self, rows: int) -> int:
        """Number of optimiser steps of one task; the last step of an epoch may have fewer rows."""
        micro_batches = math.ceil(rows / self.micro_batch_size)
        return self.epochs * math.ceil(micro_batches / (self.batch_size // self.micro_batch_size))


class RewriteConfig(Section):
    """Training answers rewritten into the backbone's own distribution before a task is learned.

    "best_of" samples `rollouts` rewrites a row from the backbone and takes the best; "rl" trains a policy
    to rewrite first, with `rollouts` for each of the task's first `prompts` rows, `epochs` times, and
    `batch_size` rows in an optimiser step. The policy is a separate LoRA on the adapter's target modules,
    with scale alpha / rank. The reward adds `diversity_weight` x diversity to the likelihood; `threshold` is
    the ROUGE-L to the reference from which a long answer counts as consistent with it.
    """

    enabled: Switch = False
    policy: Literal["rl", "best_of"] = "rl"
    rollouts: Count = 10
    temperature: Temperature = 1.0
    diversity_weight: NotNegative = 0.1
    threshold: Share = 0.5
    prompts: Count = 512
    epochs: Count = 1
    batch_size: Count = 8
    learning_rate: Positive = 1e-5
    rank: Rank = 16
    alpha: Count = 32
