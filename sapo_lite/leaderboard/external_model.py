"""A model of another program: used as a backbone, with its state restored afterwards."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedConfig

from sapo_lite.errors import BackboneError
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.four_bit import without_repacking
from sapo_lite.recipe import ModelConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@contextlib.contextmanager
def as_found(model: Any, tokenizer: "PreTrainedTokenizerBase") -> Iterator[None]:
    """Context manager that restores model and tokenizer on exit, also after an error.

    It restores the mode of every module, the attention implementation (packs set their own), and the padding
    and truncation that a fast tokenizer remembers; 4-bit weights are not repacked by bitsandbytes inside.
    Autocast of the caller is off inside: the backbone has its own.

    Raises:
        BackboneError: the model is no causal language model, or not on a CPU or a CUDA device.
    """
    device = _device(model)
    modes = [(module, module.training) for module in model.modules()]
    configs = [getattr(module, "config", None) for module, _ in modes]
    attention = [(c, c._attn_implementation) for c in configs if isinstance(c, PreTrainedConfig)]
    fast = getattr(tokenizer, "backend_tokenizer", None)
    truncation, padding = (fast.truncation, fast.padding) if fast else (None, None)
    try:
        with torch.autocast(device.type, enabled=False), without_repacking(model):
            yield
    finally:
        for module, training in modes:
            module.training = training
        for config, implementation in attention:  # a config comes before those inside it, which it sets too
            config._attn_implementation = implementation
        if fast and truncation:
            fast.enable_truncation(**truncation)
        if fast and padding:
            fast.enable_padding(**padding)


def as_backbone(model: Any, tokenizer: "PreTrainedTokenizerBase", longest: int) -> Backbone:
    """Wrap the model as a backbone for rows of at most `longest` tokens. Use it inside `as_found`."""
    config = ModelConfig(
        name=model.config.name_or_path or type(model).__name__,
        quantization="none",  # what is loaded is not quantised again
        # A backbone has two types: a float16 model counts as float32, that is without autocast.
        dtype="bfloat16" if precision(model) is torch.bfloat16 else "float32",
        loader="transformers",
        max_source_tokens=longest,
        max_answer_tokens=1,
    )
    backbone = Backbone(model, tokenizer, config, fused=False)
    backbone.fused = backbone.device.type == "cuda" and _runs_unsloth(backbone.causal_lm)
    return backbone


def reach(model: Any, tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """Greatest number of tokens that the model can read; None if model and tokenizer name no limit."""
    config = model.config.get_text_config()
    limits = [
        getattr(config, "max_position_embeddings", None),
        # Unsloth's CUDA forward cuts what is longer, without an error.
        getattr(model, "max_seq_length", None),
        tokenizer.model_max_length,
    ]
    known = [int(limit) for limit in limits if limit and limit < 1e9]  # an unset tokenizer says 1e30
    return min(known, default=None)


def _device(model: Any) -> torch.device:
    """The model's device. Raises BackboneError if it is no causal language model on a CPU or on CUDA."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if head is None or getattr(model.config, "is_encoder_decoder", False):
        found = type(model).__name__
        fix = " Unwrap it first, as by accelerator.unwrap_model(model)." if hasattr(model, "module") else ""
        raise BackboneError(f"expected a causal language model of transformers or PEFT, found {found}.{fix}")
    device: torch.device = head.weight.device
    if device.type not in ("cpu", "cuda"):
        raise BackboneError(f"expected a model on the CPU or on CUDA, found {device.type}. Move it first.")
    return device


def precision(model: Any) -> torch.dtype:
    """The least precise type that the model computes in: float32 only if all of it is in float32."""
    found = {p.dtype for p in model.parameters() if p.is_floating_point()}
    # The compute type of 4-bit layers, whose weights are integers.
    found |= {m.compute_dtype for m in model.modules() if getattr(m, "compute_dtype", None)}
    if torch.float16 in found:
        return torch.float16
    return torch.float32 if found <= {torch.float32, torch.float64} else torch.bfloat16


def _runs_unsloth(causal_lm: Any) -> bool:
    """Whether the model's forward is one of Unsloth's own for CUDA.

    Unsloth puts it into the class (`pre_patch` in its models/llama.py, qwen3.py, mistral.py, ...), so the
    class shows it, whatever loaded the model. Other families it compiles, into modules of another name, and
    they keep transformers' attention interface. Written from Unsloth's source, not run on a GPU.
    """
    return str(type(causal_lm).forward.__module__).startswith("unsloth.models.")
