"""Loading of a model and its tokenizer.

On a CUDA GPU, Unsloth serves as a loader and a set of kernels. On a CPU, or with `model.loader =
"transformers"`, plain transformers and PEFT do the same, so nothing in sapo-lite depends on Unsloth's licence
or presence.
"""

import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sapo_lite.errors import BackboneError, SapoLiteError
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat_template import use_template
from sapo_lite.model.files import read_config, read_tokenizer, reason_of
from sapo_lite.model.four_bit import stop_repacking
from sapo_lite.model.hub import locate_model
from sapo_lite.model.identity import model_identity
from sapo_lite.model.precision import choose_format
from sapo_lite.model.tokenizer import load_chat_format
from sapo_lite.model.weights import loading_info, require_all_weights, require_downloaded

if TYPE_CHECKING:
    from sapo_lite.recipe import ModelConfig


# Set unless they are set: to measure what they are for, or should a later version need them no more.
_FOR_CUDA = (
    # cuDNN's attention comes first on cards of compute capability 9.0 and 10.0, and takes tens of
    # milliseconds to plan every new shape: every pack, and every token of an answer.
    ("TORCH_CUDNN_SDPA_DEPRIORITIZED", "1"),
    # Unsloth keeps inputs of checkpointed layers in bfloat16 otherwise, also in training in float32.
    ("UNSLOTH_OFFLOAD_FP32", "exact"),
    # It compiles every layer for training otherwise: the first step takes a minute, and training rounds in
    # other places than scoring.
    ("UNSLOTH_BLOCK_COMPILE_LEGACY", "0"),
)


def load_backbone(config: "ModelConfig") -> Backbone:
    """Load model and tokenizer as the recipe says, with or without NF4 quantisation (double quantisation).

    The backbone's own `config` has the number format that was chosen in place of "auto".

    Raises:
        BackboneError: the model is not on disk and cannot be fetched, does not load, or its files lack
            weights.
        RenderError: its tokenizer or chat template cannot be used.
    """
    path = locate_model(config.name)
    _prepare_environment()
    require_downloaded(path)
    config = _with_loader(config)
    dtype, notice = choose_format(config, path)
    config = config.model_copy(update={"dtype": dtype})
    load = _load_with_unsloth if config.loader == "unsloth" else _load_with_transformers
    try:
        model, tokenizer, unused = load(path, config)
    except SapoLiteError:
        raise
    except Exception as error:  # safetensors, pickle or a package for quantised weights may raise anything
        fix = " Its files are damaged or incomplete: download it again." if _is_damage(error) else ""
        raise BackboneError(
            f"{config.name} could not be loaded from {path}: {reason_of(error)}{fix}"
        ) from error
    stop_repacking(model)
    _require_what_was_asked(model, config)
    model.requires_grad_(False)
    # Some mixtures of experts ask for their routers' logits, for a loss that generation with a cache cannot
    # compute.
    if getattr(model.config.get_text_config(), "output_router_logits", False):
        model.config.get_text_config().output_router_logits = False
    use_template(tokenizer, config)
    fused = config.loader == "unsloth" and torch.cuda.is_available()
    backbone = Backbone(model, tokenizer, config, fused=fused, unused_weights=unused, notice=notice)
    if tokenizer.pad_token_id is None:
        end = tokenizer.convert_ids_to_tokens(min(backbone.chat.stop_ids))
        tokenizer.pad_token = tokenizer.eos_token or end
    return backbone


def check_files(config: "ModelConfig", notice: Callable[[str], None] | None = None) -> None:
    """Check a model that is on this disk by its small files, before anything else is done.

    notice: called with a line for the user before a conversion

    Raises:
        BackboneError: it cannot be loaded, or its weights are of a kind that is not taken.
        RenderError: its tokenizer or chat template cannot be used.
    """
    if not model_identity(config.name):
        return
    path = locate_model(config.name, notice)
    _prepare_environment()
    require_downloaded(path)
    if _with_loader(config).loader == "unsloth":
        _unsloth()  # before transformers is imported
    read_config(path, config.name)
    load_chat_format(config)


def _with_loader(config: "ModelConfig") -> "ModelConfig":
    """The settings with the loader that `loader` "auto" stands for on this machine."""
    if config.loader != "auto":
        return config
    loader = "unsloth" if torch.cuda.is_available() else "transformers"
    return config.model_copy(update={"loader": loader})


def _is_damage(error: Exception) -> bool:
    from safetensors import SafetensorError

    return isinstance(error, SafetensorError | pickle.UnpicklingError)


def _unsloth() -> Any:
    """Unsloth's class of loaders. Raises BackboneError if it is not installed."""
    try:
        from unsloth import FastLanguageModel
    except ImportError as error:
        raise BackboneError(
            "Unsloth is not installed. Install it with `pip install --no-deps unsloth==2026.10.9 "
            "unsloth_zoo==2026.10.9` (no GPU) or `pip install 'sapo-lite[gpu]'` (CUDA), or load with "
            "plain transformers: --set model.loader=transformers."
        ) from error
    return FastLanguageModel


def _load_with_unsloth(path: Path, config: "ModelConfig") -> tuple[Any, Any, str | None]:
    """Model, tokenizer, and a notice about weights in the files that the model does not have, or None."""
    load = _unsloth().from_pretrained
    read_config(path, config.name)
    unused = require_all_weights(config.name, loading_info(path))
    model, tokenizer = load(
        str(path),
        max_seq_length=config.max_source_tokens + config.max_answer_tokens,
        dtype=getattr(torch, config.dtype),
        load_in_4bit=config.quantization == "nf4",
        use_exact_model_name=True,
        trust_remote_code=False,
    )
    # Otherwise Unsloth's CUDA trainer uses bfloat16 autocast for a float32 model. Its CPU path ignores this.
    model._unsloth_forced_float32 = config.dtype == "float32"
    return model, tokenizer, unused


def _load_with_transformers(path: Path, config: "ModelConfig") -> tuple[Any, Any, str | None]:
    """Model, tokenizer and notice, as `_load_with_unsloth`."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    read_config(path, config.name)
    dtype = getattr(torch, config.dtype)
    options: dict[str, Any] = {"dtype": dtype, "device_map": "cuda" if torch.cuda.is_available() else "cpu"}
    if config.quantization == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    unused = require_all_weights(config.name, loading_info(path))
    model, info = AutoModelForCausalLM.from_pretrained(
        path,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # otherwise an error that names none of them
        trust_remote_code=False,
        **options,
    )
    # transformers' own report knows more about other formats than safetensors, and less about shapes in 4
    # bits.
    unused = unused or require_all_weights(config.name, info)
    return model, read_tokenizer(path, config.name), unused


def _require_what_was_asked(model: Any, config: "ModelConfig") -> None:
    if config.quantization == "nf4" and not getattr(model, "is_loaded_in_4bit", False):
        # If bitsandbytes does not work, Unsloth prints a line and loads 16 bits.
        raise BackboneError(
            f"{config.name} was loaded in 16 bits though 4 were asked for: bitsandbytes does not work here. "
            "Run `python -m bitsandbytes` to see why, or set model.quantization = 'none'."
        )
    native = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if config.dtype == "bfloat16" and torch.cuda.is_available() and not native:
        raise BackboneError(
            f"{torch.cuda.get_device_name()} does not compute in bfloat16. "
            "Set model.dtype = 'float32' (with model.quantization = 'nf4' the weights stay small)."
        )
    length = config.max_source_tokens + config.max_answer_tokens
    reach = getattr(model.config.get_text_config(), "max_position_embeddings", length)
    if length > reach:
        raise BackboneError(
            f"model.max_source_tokens + model.max_answer_tokens is {length}, but {config.name} reads "
            f"{reach} tokens at most. Lower them."
        )


def _prepare_environment() -> None:
    """Keep libraries offline, silent and out of the working directory. The model is on disk already."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sapo-lite"
    os.environ.update(
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        TRANSFORMERS_VERBOSITY="error",
        TOKENIZERS_PARALLELISM="false",
        UNSLOTH_DISABLE_STATISTICS="1",
    )
    for name, value in (*_FOR_CUDA, ("UNSLOTH_COMPILE_LOCATION", str(cache / "unsloth_compiled"))):
        os.environ.setdefault(name, value)
    # Where torch has read the variable already.
    torch.backends.cuda.enable_cudnn_sdp(os.environ["TORCH_CUDNN_SDPA_DEPRIORITIZED"] != "1")
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True  # the environment variable is read only at import
    for name in ("bitsandbytes", "torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
