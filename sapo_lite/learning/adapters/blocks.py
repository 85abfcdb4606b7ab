"""LoRA blocks inside ONE standard PEFT adapter.

An adapter of `blocks` blocks is a single LoRA of rank `rank * blocks` and alpha `alpha * blocks`,
so every block has the scale alpha/rank for any number of blocks. Block k owns rows
[k*rank, (k+1)*rank) of each A and the same columns of each B. Columns of B start at zero: a block
that has not been trained adds nothing. A saved adapter loads in plain PEFT and gives equal logits.
"""

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sapo_lite.errors import RunFolderError, TrainingError
from sapo_lite.model.chat_template import FILE as TEMPLATE
from sapo_lite.model.lora import clear, lora_layers, lora_pairs
from sapo_lite.model.memory import holds_layer_inputs
from sapo_lite.support.progress import Progress
from sapo_lite.types import TrainingSet

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone
    from sapo_lite.recipe import AdapterConfig

_MEMORY = "memory.safetensors"


@dataclass
class _OpenRows:
    """The rows of the open block, of which alone gradients are kept."""

    rows: slice = field(default_factory=lambda: slice(0, 0))

    def keep_alone(self, parameter: Tensor, dim: int) -> None:
        assert parameter.grad is not None
        grad = parameter.grad if dim == 0 else parameter.grad.T
        grad[: self.rows.start] = 0
        grad[self.rows.stop :] = 0


class BlockAdapter:
    """LoRA blocks on a backbone, of which one at a time is open for training.

    The gradients of all other rows and columns are zeroed as they are accumulated. With fresh
    Adam moments for every task and no weight decay, they then stay bit-identical.
    """

    def __init__(
        self, backbone: "Backbone", config: "AdapterConfig", *, blocks: int, checkpointing: bool
    ) -> None:
        self.rank = config.rank
        self.scale = config.alpha / config.rank
        self.dropout = config.dropout
        self.blocks = blocks
        self._open = _OpenRows()
        # (A, B) of the open block when it was opened, by layer
        self._opened: list[tuple[Tensor, Tensor]] = []
        # The method's extra loss on the open block's parameters, or None.
        self.penalty: Callable[[], Tensor] | None = None
        # The method's work after a task is learned, or None.
        self.after_task: Callable[[Sequence[TrainingSet], Progress], None] | None = None
        # The method's state between tasks besides the blocks; saved and loaded with them.
        self.memory: dict[str, Tensor] = {}
        backbone.attach_lora(
            config,
            rank=config.rank * blocks,
            alpha=config.alpha * blocks,
            checkpointing=checkpointing,
            offload=not holds_layer_inputs(backbone),
        )
        self.model = backbone.model
        # A chat template that is not the model's own; saved with the adapter.
        self._template = (
            None if backbone.config.chat_template == "model" else backbone.tokenizer.chat_template
        )
        clear(self.model)
        pairs = lora_pairs(self.model)
        # pairs[i] = (A: [total rank, d_in], B: [d_out, total rank]) of one adapted layer
        self.pairs: list[tuple[nn.Parameter, nn.Parameter]] = list(pairs.values())
        # names of these layers in the model, in the same order
        self.layers: list[str] = [name.removeprefix("base_model.model.") for name in pairs]
        # Hooks hold these rows alone: the garbage collector does not see hooks of tensors, so one that held
        # the adapter, and with it the model, would keep both for ever.
        rows = self._open
        for a, b in self.pairs:
            a.register_post_accumulate_grad_hook(lambda p: rows.keep_alone(p, dim=0))
            b.register_post_accumulate_grad_hook(lambda p: rows.keep_alone(p, dim=1))

    @property
    def active(self) -> slice:
        """The rows of A, and columns of B, of the open block."""
        return self._open.rows

    @property
    def past(self) -> slice:
        """Rows of A (columns of B) learned in earlier tasks."""
        return slice(0, self.active.start)

    def open_block(self, stage: int, seed: int) -> None:
        """Open the block of stage `stage` (0-based): A drawn as PEFT does, B zero.

        With fewer blocks than stages, training continues on the last block.
        """
        block = min(stage, self.blocks - 1)
        self._open.rows = slice(block * self.rank, (block + 1) * self.rank)
        if block == stage:
            self._begin_block(seed)
        self._opened = self._open_factors()

    def _begin_block(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():  # not through `.data`, whose writes Unsloth's cached copies do not notice
            for a, b in self.pairs:
                rows = torch.empty(self.rank, a.shape[1])
                nn.init.kaiming_uniform_(rows, a=math.sqrt(5), generator=generator)
                a[self.active] = rows.to(a.device)
                b[:, self.active] = 0

    def _open_factors(self) -> list[tuple[Tensor, Tensor]]:
        """Copies of (A, B) of the open block, by layer: float64 [rank, d_in], [d_out, rank], on the CPU."""
        return [
            (a[self.active].detach().cpu().double(), b[:, self.active].detach().cpu().double())
            for a, b in self.pairs
        ]

    def update_norms(self) -> dict[str, float]:
        """Size of the update by layer: Frobenius norm of scale * (B A - B0 A0) of the open block.

        B0 A0 is the block's product when it was opened: 0 for a new block, so that the norm is that of
        scale * B A. The products [d_out, d_in] are not formed.
        """
        found = {}
        for layer, new, old in zip(self.layers, self._open_factors(), self._opened, strict=True):
            a = torch.cat([new[0], old[0]])
            b = torch.cat([new[1], -old[1]], dim=1)
            square = ((a @ a.T) * (b.T @ b)).sum().item()  # the trace of (A A^T)(B^T B)
            found[layer] = self.scale * math.sqrt(max(0.0, square))
        return found

    def update_norm(self) -> float:
        """Size of the update over all layers: the root of the sum of squares of `update_norms`."""
        return math.hypot(*self.update_norms().values())

    @contextlib.contextmanager
    def scaled(self, factor: float) -> Iterator[None]:
        """Context in which all blocks act at `factor` times their scale alpha / rank."""
        layers = list(lora_layers(self.model).values())
        before = [dict(layer.scaling) for layer in layers]
        for layer in layers:
            layer.scaling["default"] *= factor
        try:
            yield
        finally:
            for layer, scaling in zip(layers, before, strict=True):
                layer.scaling.update(scaling)

    def frozen_state(self) -> list[Tensor]:
        """Copies of all weights that must not change while the open block is trained."""
        return [t.detach().clone() for a, b in self.pairs for t in (a[self.past], b[:, self.past])]

    def assert_frozen(self, before: list[Tensor]) -> None:
        """Raises TrainingError unless past blocks are bit-identical to `before`."""
        if not all(torch.equal(x, y) for x, y in zip(before, self.frozen_state(), strict=True)):
            raise TrainingError(
                "LoRA blocks of earlier tasks changed while a new one was trained; expected them "
                "bit-identical. "
                "This is a fault of sapo-lite or of an optimiser that moves weights without a gradient: "
                "please report it with the run folder's environment.json."
            )

    def restore_float32(self, state: list[tuple[Tensor, Tensor]]) -> None:
        """Restore the float32 weights that building a trainer has cast to bfloat16."""
        for (a, b), (a0, b0) in zip(self.pairs, state, strict=True):
            a.data, b.data = a0.clone(), b0.clone()

    def state(self) -> list[tuple[Tensor, Tensor]]:
        """Copies of all (A, B) weights in float32."""
        return [(a.detach().float().clone(), b.detach().float().clone()) for a, b in self.pairs]

    def save(self, folder: Path) -> None:
        """Write a standard PEFT adapter, and the chat template it needs; equal weights give equal bytes."""
        self.model.save_pretrained(str(folder), selected_adapters=["default"], save_embedding_layers=False)
        # PEFT keeps module names in a set, whose order differs from process to process.
        path = folder / "adapter_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config["target_modules"].sort()
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        if self._template is not None:
            (folder / TEMPLATE).write_text(self._template, encoding="utf-8")
        if self.memory:
            save_file({name: t.cpu() for name, t in sorted(self.memory.items())}, folder / _MEMORY)

    def load(self, folder: Path) -> None:
        """Load an adapter that `save` wrote.

        Raises:
            RunFolderError: the method's state is missing from the folder.
        """
        from peft import load_peft_weights, set_peft_model_state_dict

        memory = folder / _MEMORY
        if self.after_task is not None and not memory.exists():
            raise RunFolderError(
                f"{folder}: expected {_MEMORY} beside the adapter's weights, which tells what earlier tasks "
                "need, found none. Put it back, or start over with --fresh."
            )
        set_peft_model_state_dict(self.model, load_peft_weights(str(folder), device="cpu"))
        self.memory = load_file(memory, device=str(self.pairs[0][0].device)) if memory.exists() else {}


def block_per_task(
    backbone: "Backbone", config: "AdapterConfig", *, tasks: int, checkpointing: bool
) -> BlockAdapter:
    """LoRAInc: a new block per task, earlier blocks frozen and added in at full scale."""
    return BlockAdapter(backbone, config, blocks=tasks, checkpointing=checkpointing)


def one_block(
    backbone: "Backbone", config: "AdapterConfig", *, tasks: int, checkpointing: bool
) -> BlockAdapter:
    """One block for all tasks: plain sequential fine-tuning."""
    return BlockAdapter(backbone, config, blocks=1, checkpointing=checkpointing)
