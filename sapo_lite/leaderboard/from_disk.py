"""The model that a command line names, with an adapter on it if there is one."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoTokenizer

from sapo_lite.errors import BackboneError
from sapo_lite.model.hub import locate_model
from sapo_lite.model.load import load_backbone
from sapo_lite.recipe import ModelConfig

if TYPE_CHECKING:
    from sapo_lite.leaderboard.command import Request


def load(request: "Request") -> tuple[ModelConfig, Any, Any]:
    """The model as asked, frozen, with its adapter, and the tokenizer it was trained with."""
    config = _model_config(request)
    backbone = load_backbone(config)
    if request.adapter is None:
        return config, backbone.model, backbone.tokenizer
    model = _with_adapter(backbone.model, request.adapter, request.model)
    return config, model, _tokenizer_beside(request.adapter) or backbone.tokenizer


def _model_config(request: "Request") -> ModelConfig:
    try:
        found = AutoConfig.from_pretrained(locate_model(request.model))
    except (OSError, ValueError) as error:
        raise BackboneError(f"{request.model}: its config.json cannot be used: {error}") from None
    quantized = getattr(found, "quantization_config", None) or {}
    is_4bit = bool(quantized.get("load_in_4bit"))  # by bitsandbytes: asked for again, it stays as it is
    # Most CPUs are very slow in bfloat16, and not all cards know it.
    native = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    longest = getattr(found.get_text_config(), "max_position_embeddings", 2048)
    return ModelConfig(
        name=request.model,
        quantization=request.quantization or ("nf4" if is_4bit else "none"),
        dtype=request.dtype or ("bfloat16" if native else "float32"),
        loader=request.loader,
        max_source_tokens=max(1, min(longest, request.max_tokens or longest) - 1),
        max_answer_tokens=1,
    )


def _with_adapter(model: Any, folder: Path, name: str) -> Any:
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            # An adapter of another model would be used with weights that it does not have.
            warnings.filterwarnings("error", message=".*missing adapter keys")
            return PeftModel.from_pretrained(model, folder)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, UserWarning) as error:
        reason = " ".join(str(error).split())[:200]
        raise BackboneError(f"--adapter {folder}: cannot be put on {name}: {reason}") from error


def _tokenizer_beside(adapter: Path) -> Any:
    """The tokenizer saved with the adapter: its chat template is the one it was trained with."""
    if not (adapter / "tokenizer_config.json").is_file():
        return None
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    return tokenizer if tokenizer.chat_template else None
