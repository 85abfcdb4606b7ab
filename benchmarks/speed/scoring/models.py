"""The models that are measured: the embedded backbone, and random weights of larger shapes."""

from typing import Any

import torch

from sapo_lite.model.backbone import Backbone
from sapo_lite.model.load import load_backbone
from sapo_lite.recipe import ModelConfig

# All are Qwen3 with a tied vocabulary. Random weights take as long as trained ones.
SHAPES: dict[str, dict[str, int]] = {
    "100m": {
        "vocab_size": 50304,
        "hidden_size": 640,
        "intermediate_size": 1920,
        "num_hidden_layers": 14,
        "num_attention_heads": 10,
        "num_key_value_heads": 5,
        "head_dim": 64,
    },
    "qwen3-0.6b": {
        "vocab_size": 151936,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
}
MODELS = ("lab", *SHAPES)
# Maximum tokens of a prompt and of an answer: the embedded backbone's, and the published ones.
LAB_LENGTHS: dict[str, Any] = {"max_source_tokens": 480, "max_answer_tokens": 32}
LENGTHS: dict[str, Any] = {"max_source_tokens": 1536, "max_answer_tokens": 128}


def make_backbone(name: str, dtype: str) -> Backbone:
    """One of MODELS, through transformers alone.

    The random ones have the embedded backbone's tokenizer and chat format, whose ids are below their
    vocabularies: so texts are as long as that tokenizer of 2,048 tokens makes them.
    """
    settings: dict[str, Any] = {"quantization": "none", "dtype": dtype, "loader": "transformers"}
    lab = load_backbone(ModelConfig(name="lab", **settings, **LAB_LENGTHS))
    if name == "lab":
        return lab
    model = _random_qwen3(SHAPES[name], getattr(torch, dtype))
    return Backbone(model, lab.tokenizer, ModelConfig(name=f"./{name}", **settings, **LENGTHS), fused=False)


def _random_qwen3(shape: dict[str, int], dtype: torch.dtype) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(tie_word_embeddings=True, max_position_embeddings=2048, **shape)
    return Qwen3ForCausalLM(config).to(dtype).requires_grad_(False)
