"""The lab's two models as transformers classes: Qwen3, and a Llama of the same size."""

from typing import Any

import torch

from pretraining.tokenizer import VOCABULARY

_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "intermediate_size": 640,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

ARCHITECTURES = ("qwen3", "llama")


def new_model(architecture: str, seed: int, **shape: Any) -> Any:
    """A model with random weights, float32. `shape` overrides settings of its configuration."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    if architecture == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**{**_SHAPE, **shape}))
    return LlamaForCausalLM(LlamaConfig(**{**_SHAPE, **shape}))
