"""Tiny random models and the GGUF files that llama.cpp's converter would write of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tiny import llama_tokenizer, qwen3_tokenizer

_SHAPE: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 16384,
    "initializer_range": 0.15,
    "head_dim": 16,
    "tie_word_embeddings": True,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_GEMMA = {**_SHAPE, "query_pre_attn_scalar": 16, "sliding_window": 64}


def llama(rope: dict[str, Any] | None = None) -> LlamaForCausalLM:
    torch.manual_seed(7)
    return LlamaForCausalLM(
        LlamaConfig(**{**_SHAPE, "tie_word_embeddings": False}, rope_parameters=rope or dict(LLAMA3_ROPE))
    )


def qwen2() -> Qwen2ForCausalLM:
    torch.manual_seed(7)
    model = Qwen2ForCausalLM(Qwen2Config(**_SHAPE))
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):  # zero at first
            torch.nn.init.normal_(parameter)
    return model


def qwen3() -> Qwen3ForCausalLM:
    torch.manual_seed(7)
    return Qwen3ForCausalLM(Qwen3Config(**_SHAPE))


def gemma2() -> Gemma2ForCausalLM:
    torch.manual_seed(7)
    return Gemma2ForCausalLM(Gemma2Config(**_GEMMA))


def gemma3() -> Gemma3ForCausalLM:
    torch.manual_seed(7)
    # The sixth layer sees everything, by another rope; those before it see a window.
    return Gemma3ForCausalLM(Gemma3TextConfig(**{**_GEMMA, "num_hidden_layers": 6}))


MODELS: dict[str, Callable[[], Any]] = {
    "llama": llama,
    "qwen2": qwen2,
    "qwen3": qwen3,
    "gemma2": gemma2,
    "gemma3": gemma3,
}


def tokenizer_of(architecture: str) -> PreTrainedTokenizerFast:
    return llama_tokenizer() if architecture == "llama" else qwen3_tokenizer()


def write_gguf(
    path: Path,
    model: Any,
    tokenizer: PreTrainedTokenizerFast | None,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    *,
    pre: str | None = None,
    edit: Callable[[gguf.GGUFWriter], None] = lambda writer: None,
) -> Path:
    """Write a model with its tokenizer. Matrices become what `kind` says, in the file and in the model.

    edit: called last, to add metadata or tensors
    """
    architecture = str(model.config.model_type).removesuffix("_text")
    writer = gguf.GGUFWriter(path, architecture)
    _write_shape(writer, model.config)
    if tokenizer is not None:
        words = pre or ("llama-bpe" if architecture == "llama" else "qwen2")
        write_tokenizer(writer, tokenizer, model.config.vocab_size, words)
    _write_tensors(writer, model, architecture, kind)
    edit(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_shape(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_key_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
    if getattr(config, "query_pre_attn_scalar", None):
        writer.add_sliding_window(config.sliding_window)


def write_tokenizer(
    writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerFast, vocabulary: int, pre: str
) -> None:
    """Tokens, merges, special tokens and chat template; unused tokens fill the vocabulary."""
    known = {number: token for token, number in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([known.get(number, f"[PAD{number}]") for number in range(vocabulary)])
    writer.add_token_types(
        [
            (3 if added[number].special else 4) if number in added else (1 if number in known else 5)
            for number in range(vocabulary)
        ]
    )
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(merge) for merge in merges])
    for role in ("bos", "eos", "pad"):
        if (number := getattr(tokenizer, f"{role}_token_id")) is not None:
            getattr(writer, f"add_{role}_token_id")(number)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _write_tensors(
    writer: gguf.GGUFWriter, model: Any, architecture: str, kind: gguf.GGMLQuantizationType
) -> None:
    arch = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == architecture)
    names = gguf.get_tensor_name_map(arch, model.config.num_hidden_layers)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            stem, ending = name.rsplit(".", 1)
            used = kind if parameter.dim() == 2 else gguf.GGMLQuantizationType.F32
            held = gguf.quantize(_arranged(parameter.numpy(), name, model.config), used)
            numbers = gguf.dequantize(held, used).astype(np.float32)
            parameter.copy_(torch.from_numpy(_arranged(numbers, name, model.config, -1).copy()))
            writer.add_tensor(f"{names.get_name(stem)}.{ending}", held, raw_dtype=used)
    if model.config.rope_parameters.get("rope_type") == "llama3":
        size, theta = model.config.head_dim, model.config.rope_parameters["rope_theta"]
        plain = theta ** -(torch.arange(0, size, 2) / size)
        writer.add_tensor("rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq).numpy())


def _arranged(weights: np.ndarray, name: str, config: Any, way: int = 1) -> np.ndarray:
    """As llama.cpp holds them (or back, with `way` -1): Llama's heads are interleaved, Gemma's norms + 1."""
    if config.model_type == "llama" and ("q_proj" in name or "k_proj" in name):
        heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
        halves = (2, weights.shape[0] // heads // 2)
        shape = halves if way == 1 else halves[::-1]
        return weights.reshape(heads, *shape, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)
    if config.model_type.startswith("gemma") and name.endswith("norm.weight"):
        return weights + np.float32(way)
    return weights
