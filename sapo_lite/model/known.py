"""Published configurations of well-known models, so that a run can be planned without a connection."""

import re
from typing import Any

_QWEN3 = {"vocab_size": 151936, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960}
_LLAMA = {"vocab_size": 128256, "num_key_value_heads": 8, "max_position_embeddings": 131072}
# What repackagers add to a name: the company's, the kind of weights, the number format.
_ADDED = re.compile(r"^meta-|-(base|instruct|unsloth|bnb|4bit)(?=-|$)")


def _shape(
    hidden: int, inner: int, layers: int, heads: int, *, tied: bool, **more: int
) -> dict[str, int | bool]:
    return {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "tie_word_embeddings": tied,
        **more,
    }


# From the config.json of each, on the Hugging Face hub.
_KNOWN: dict[str, tuple[str, dict[str, int | bool]]] = {
    "Qwen3-0.6B": ("qwen3", _QWEN3 | _shape(1024, 3072, 28, 16, tied=True)),
    "Qwen3-1.7B": ("qwen3", _QWEN3 | _shape(2048, 6144, 28, 16, tied=True)),
    "Qwen3-4B": ("qwen3", _QWEN3 | _shape(2560, 9728, 36, 32, tied=True)),
    "Qwen3-8B": ("qwen3", _QWEN3 | _shape(4096, 12288, 36, 32, tied=False)),
    "Llama-3.2-1B": ("llama", _LLAMA | _shape(2048, 8192, 16, 32, tied=True, head_dim=64)),
    "Llama-3.2-3B": ("llama", _LLAMA | _shape(3072, 8192, 28, 24, tied=True, head_dim=128)),
    "Llama-3.1-8B": ("llama", _LLAMA | _shape(4096, 14336, 32, 32, tied=False, head_dim=128)),
}


def known_config(name: str) -> tuple[str, Any] | None:
    """Name and transformers' configuration of the known model that `name` is a packaging of, or None.

    A name with "bnb-4bit" has the note that its weights are stored in 4 bits.
    """
    from transformers import AutoConfig

    bare = _ADDED.sub("", name.rpartition("/")[2].lower())
    found = next((known for known in _KNOWN if known.lower() == bare), None)
    if found is None:
        return None
    kind, settings = _KNOWN[found]
    config = AutoConfig.for_model(kind, **settings)
    if "bnb-4bit" in name.lower():
        config.quantization_config = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    return found, config
