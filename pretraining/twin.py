"""A Llama made from a Qwen3, so that the second backbone need not be trained from random weights.

The two architectures differ in one thing: Qwen3 divides every query and key by its root mean square and
multiplies it by a learned gain. In a trained model these root mean squares differ little between tokens (by
10 to 20 %, measured), so one divisor for each head is nearly equivalent, and it can be multiplied into the
weights. A short training removes the remaining difference.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pretraining.batch import PackBatch, answer_logits


def load_qwen(folder: Path) -> Any:
    """A trained Qwen3 in float32."""
    from transformers import Qwen3ForCausalLM

    return Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@torch.no_grad()
def as_llama(qwen: Any, batch: PackBatch) -> Any:
    """A Llama with the weights of a Qwen3; the norms of queries and keys on `batch` are folded in."""
    from transformers import LlamaConfig, LlamaForCausalLM

    inverse = _inverse_norms(qwen, batch)
    state = {name: tensor.clone() for name, tensor in qwen.state_dict().items() if name not in inverse}
    for name, by_head in inverse.items():
        projection = name.replace("_norm.", "_proj.")
        gain = qwen.get_parameter(name)
        scale = by_head[:, None] * gain  # [heads, head dimension]
        state[projection] *= scale.reshape(-1, 1)
    shared = set(LlamaConfig().to_dict()) - {"architectures", "model_type"}
    llama = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in qwen.config.to_dict().items() if k in shared}))
    llama.load_state_dict(state)
    return llama


def _inverse_norms(qwen: Any, batch: PackBatch) -> dict[str, Tensor]:
    """1 / root mean square, averaged over the tokens of the batch, [heads], by the name of a norm's gain."""
    found: dict[str, Tensor] = {}

    def record(name: str) -> Callable[..., None]:
        def hook(module: Any, given: tuple[Tensor], _: Tensor) -> None:
            squares = given[0].pow(2).mean(-1)  # [B, T, heads]
            found[name] = (squares + module.variance_epsilon).rsqrt().mean((0, 1))

        return hook

    norms = [(n, m) for n, m in qwen.named_modules() if n.endswith(("q_norm", "k_norm"))]
    hooks = [module.register_forward_hook(record(f"{name}.weight")) for name, module in norms]
    answer_logits(qwen, batch)
    for hook in hooks:
        hook.remove()
    return found
