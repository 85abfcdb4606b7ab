"""The config of a GGUF file: transformers' reading of it, and what that leaves out."""

import math
from pathlib import Path
from typing import Any

from sapo_lite.errors import BackboneError
from sapo_lite.model.gguf_file import GgufFile
from sapo_lite.support.messages import quoted

# Rope of Llama 3.1 to 3.3, with a factor of its own each; the file holds the divisors that it leads to.
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
_DIVISORS = "rope_freqs.weight"
# Number of layers of the two models whose attention scale follows from their width: 27B of Gemma 2 and 3.
_SCALED_BY_WIDTH = {"gemma2": 46, "gemma3": 62}
# Parts of a vision tower, which some files hold beside the language model.
_VISION = ("v.", "mm.")


def config_of(name: str, file: GgufFile, link: Path) -> Any:
    """transformers' config of the file.

    link: to the file, alone in its folder

    Raises:
        BackboneError: the file extends rope in a way that is not read.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(link.parent, gguf_file=link.name, trust_remote_code=False)
    scaling = file.value("rope.scaling.type")
    if scaling not in (None, "none"):
        raise BackboneError(
            f"{name}: it extends its context by rope scaling of the type {quoted(scaling)}, which is not "
            "read from GGUF files. Use the model's folder of safetensors or its hub name instead."
        )
    if (size := file.value("attention.key_length")) is not None:
        config.head_dim = size
    if file.architecture in _SCALED_BY_WIDTH:
        wide = file.value("block_count") == _SCALED_BY_WIDTH[file.architecture]
        heads = file.value("attention.head_count")
        config.query_pre_attn_scalar = file.value("embedding_length") // heads if wide else config.head_dim
    divisors = next((tensor for tensor in file.tensors if tensor.name == _DIVISORS), None)
    if divisors is not None:
        config.rope_parameters = _llama3_rope(name, config, [float(d) for d in divisors.data])
    return config


def _llama3_rope(name: str, config: Any, divisors: list[float]) -> dict[str, Any]:
    """Parameters of the rope with these divisors of its frequencies.

    Raises:
        BackboneError: it is not Llama 3's.
    """
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    theta = config.rope_parameters["rope_theta"]
    rope = {"rope_type": "llama3", "rope_theta": theta, "factor": max(divisors), **_LLAMA3}
    plain = [theta ** (-2 * i / (2 * len(divisors))) for i in range(len(divisors))]
    config.rope_parameters = rope
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    expected = [frequency / slower for frequency, slower in zip(plain, scaled.tolist(), strict=True)]
    if not all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(divisors, expected, strict=True)):
        raise BackboneError(
            f"{name}: its divisors of rope frequencies are not those of Llama 3, and others are not read "
            "from GGUF files. Use the model's folder of safetensors or its hub name instead."
        )
    return rope


def require_all_read(name: str, file: GgufFile, model: Any) -> None:
    """Raises BackboneError if the file holds weights that the model lacks: transformers just drops them."""
    read = sum(parameter.numel() for parameter in model.parameters())
    held = sum(
        int(tensor.n_elements)
        for tensor in file.tensors
        if tensor.name != _DIVISORS and not tensor.name.startswith(_VISION)
    )
    if read != held:
        raise BackboneError(
            f"{name}: expected the {read} numbers of transformers' {type(model).__name__}, found {held} in "
            "the file. Weights would be left out: use the model's folder of safetensors or its hub name."
        )
