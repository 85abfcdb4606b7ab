"""Tiny random models of the architectures that people try, by name; docs/models.md has the same names.

    save("mixtral", folder)  # a folder that `load_backbone` takes

All share one tokenizer with a ChatML template. Two layers of 32 or 64, with weights large enough for losses
and answers that differ.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf

from tiny import bpe

VOCABULARY = 512
LONGEST = 512  # tokens that every model reads

CHATML = (
    "{% for m in messages %}{{'<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\\n'}}{% endif %}"
)

# Settings under the names that most families use, and under GPT-2's.
_IDS = {"vocab_size": VOCABULARY, "eos_token_id": 2, "pad_token_id": 0, "bos_token_id": 0}
_SHAPE = {
    **_IDS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": LONGEST,
    "initializer_range": 0.15,
}
_GPT = {
    **_IDS,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": LONGEST,
    "initializer_range": 0.15,
}
_HEAD = {"head_dim": 8}
_WINDOW = {"sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]}
_EXPERTS = {"num_experts_per_tok": 2, "num_local_experts": 4}
_QWEN_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
    "vision_use_head": False,
}
_GEMMA3 = {**_SHAPE, **_HEAD, **_WINDOW, "tie_word_embeddings": True}


def _shaped(name: str, **settings: Any) -> Callable[[], Any]:
    return lambda: getattr(hf, name)(**{**_SHAPE, **settings})


def _gpt(name: str, **settings: Any) -> Callable[[], Any]:
    return lambda: getattr(hf, name)(**{**_GPT, **settings})


def _longrope() -> Any:
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0] * 4,
        "original_max_position_embeddings": 128,
    }
    return hf.Phi3Config(**_SHAPE, original_max_position_embeddings=128, rope_parameters=rope)


def _gemma3_vision() -> Any:
    return hf.Gemma3Config(text_config=_GEMMA3, vision_config=_VISION, mm_tokens_per_image=4)


def _gemma4_text() -> Any:
    return hf.Gemma4TextConfig(
        **_SHAPE,
        **_HEAD,
        **_WINDOW,
        global_head_dim=8,
        vocab_size_per_layer_input=VOCABULARY,
        hidden_size_per_layer_input=8,
        num_kv_shared_layers=0,
        final_logit_softcapping=1.0,
    )


def _gemma4_vision() -> Any:
    heads = {"num_key_value_heads": 2, "head_dim": 16, "global_head_dim": 16, "position_embedding_size": 64}
    return hf.Gemma4Config(text_config=_gemma4_text(), vision_config={**_VISION, **heads})


_MLA = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
}

# Configuration of each architecture, made on demand.
ARCHITECTURES: dict[str, Callable[[], Any]] = {
    "qwen3": _shaped("Qwen3Config", **_HEAD, tie_word_embeddings=True),
    "qwen2": _shaped("Qwen2Config"),
    "llama": _shaped("LlamaConfig"),
    "mistral": _shaped("MistralConfig", sliding_window=None),
    "mistral-window": _shaped("MistralConfig", sliding_window=64),
    "ministral3": _shaped("Ministral3Config", **_HEAD),
    "smollm3": _shaped("SmolLM3Config"),
    "olmo2": _shaped("Olmo2Config"),
    "olmo3": _shaped("Olmo3Config", **_WINDOW),
    "gemma": _shaped("GemmaConfig", **_HEAD),
    "gemma2": _shaped("Gemma2Config", **_HEAD, **_WINDOW, final_logit_softcapping=1.0),
    "gemma3": lambda: hf.Gemma3TextConfig(**{**_GEMMA3, "sliding_window": LONGEST}),
    "gemma3-window": lambda: hf.Gemma3TextConfig(**_GEMMA3),
    "gemma3-vision": _gemma3_vision,
    "gemma3n": _shaped(
        "Gemma3nTextConfig",
        **_HEAD,
        **_WINDOW,
        vocab_size_per_layer_input=VOCABULARY,
        hidden_size_per_layer_input=8,
        intermediate_size=[64, 64],
        altup_num_inputs=2,
        laurel_rank=8,
        num_kv_shared_layers=0,
        activation_sparsity_pattern=[0.0, 0.0],
    ),
    "gemma4": _gemma4_text,
    "gemma4-vision": _gemma4_vision,
    "phi": _shaped("PhiConfig", partial_rotary_factor=0.5),
    "phi3": _shaped("Phi3Config"),
    "phi3-longrope": _longrope,
    "granite": _shaped("GraniteConfig", logits_scaling=4.0, attention_multiplier=0.1),
    "cohere": _shaped("CohereConfig", logit_scale=0.25),
    "cohere2": _shaped("Cohere2Config", logit_scale=0.25, **_WINDOW, **_HEAD),
    "minicpm3": _shaped("MiniCPM3Config", **_MLA, num_key_value_heads=4, dim_model_base=16),
    "llama4": _shaped(
        "Llama4TextConfig",
        **_HEAD,
        intermediate_size_mlp=64,
        num_local_experts=2,
        layer_types=["full_attention", "full_attention"],
    ),
    "stablelm": _shaped("StableLmConfig"),
    "starcoder2": _shaped("Starcoder2Config", sliding_window=None),
    "glm4": _shaped("Glm4Config", **_HEAD),
    "ernie4.5": _shaped("Ernie4_5Config", **_HEAD),
    "hunyuan": _shaped("HunYuanDenseV1Config", **_HEAD),
    "nemotron": _shaped("NemotronConfig"),
    "deepseek-v3": _shaped(
        "DeepseekV3Config",
        **_MLA,
        num_key_value_heads=4,
        moe_intermediate_size=32,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_group=2,
        topk_group=1,
        first_k_dense_replace=1,
    ),
    "mixtral": _shaped("MixtralConfig", **_EXPERTS, sliding_window=None),
    "qwen2-moe": _shaped("Qwen2MoeConfig", **_QWEN_EXPERTS, shared_expert_intermediate_size=32),
    "qwen3-moe": _shaped("Qwen3MoeConfig", **_HEAD, **_QWEN_EXPERTS),
    "gpt-oss": _shaped("GptOssConfig", **_HEAD, **_WINDOW, **_EXPERTS),
    "granite-moe": _shaped("GraniteMoeConfig", **_EXPERTS, logits_scaling=4.0),
    "gpt2": _gpt("GPT2Config"),
    "gpt-neox": _shaped("GPTNeoXConfig"),
    "gptj": _gpt("GPTJConfig", rotary_dim=4),
    "opt": _shaped("OPTConfig", ffn_dim=64, word_embed_proj_dim=32, init_std=0.15),
    "bloom": lambda: hf.BloomConfig(**_IDS, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.15),
    "falcon": _shaped("FalconConfig", num_kv_heads=2, new_decoder_architecture=True, alibi=False),
    "falcon-alibi": _shaped("FalconConfig", num_kv_heads=2, new_decoder_architecture=True, alibi=True),
    "mpt": lambda: hf.MptConfig(
        **_IDS, d_model=32, n_layers=2, n_heads=4, max_seq_len=LONGEST, initializer_range=0.15
    ),
    "modernbert-decoder": _shaped("ModernBertDecoderConfig", local_attention=64),
    "qwen3.5": _shaped("Qwen3_5TextConfig", **_HEAD, **_LINEAR),
    "qwen3-next": _shaped(
        "Qwen3NextConfig",
        **_HEAD,
        **_LINEAR,
        **_QWEN_EXPERTS,
        shared_expert_intermediate_size=32,
    ),
    "lfm2": _shaped("Lfm2Config", layer_types=["conv", "full_attention"], block_auto_adjust_ff_dim=False),
    "falcon-h1": _shaped(
        "FalconH1Config",
        mamba_d_ssm=32,
        mamba_n_heads=4,
        mamba_d_head=8,
        mamba_d_state=8,
        mamba_chunk_size=16,
    ),
    "granite-hybrid": _shaped(
        "GraniteMoeHybridConfig",
        **_EXPERTS,
        layer_types=["mamba", "attention"],
        shared_intermediate_size=32,
        mamba_n_heads=8,
        mamba_d_head=8,
        mamba_d_state=8,
        mamba_chunk_size=16,
    ),
    "jamba": _shaped(
        "JambaConfig",
        num_experts=2,
        num_experts_per_tok=1,
        attn_layer_period=2,
        attn_layer_offset=1,
        expert_layer_period=2,
        expert_layer_offset=1,
        mamba_d_state=8,
        mamba_dt_rank=4,
        use_mamba_kernels=False,
    ),
    "mamba": _shaped("MambaConfig", state_size=8),
    "mamba2": _shaped("Mamba2Config", state_size=8, num_heads=8, head_dim=8, n_groups=1, chunk_size=16),
    "recurrent-gemma": _shaped(
        "RecurrentGemmaConfig", lru_width=32, attention_window_size=64, block_types=["recurrent", "attention"]
    ),
    "rwkv": lambda: hf.RwkvConfig(
        **_IDS, hidden_size=32, attention_hidden_size=32, num_hidden_layers=2, context_length=LONGEST
    ),
}


def tokenizer() -> Any:
    """Byte-level BPE of fewer words than VOCABULARY; the end of a turn is its end of sequence, id 2."""
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=bpe(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHATML,
    )


def build(name: str) -> Any:
    """The model with random weights, the same ones at every call."""
    torch.manual_seed(7)
    model = hf.AutoModelForCausalLM.from_config(ARCHITECTURES[name]()).eval()
    model.generation_config = hf.GenerationConfig(eos_token_id=2, pad_token_id=0)
    return model


def save(name: str, folder: Path) -> Path:
    """The model and the shared tokenizer in a folder."""
    build(name).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
